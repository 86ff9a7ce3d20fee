//! Local accounts: the people of the deployment file, with argon2id passwords.
//!
//! Unknown names and wrong passwords take the same time and give the same answer; hashing runs
//! on the blocking pool behind few permits, so that sign-ins never starve tokens.

use std::{collections::HashMap, sync::Arc};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use shared::{ids::UserId, secret::Secret};
use tokio::sync::{Semaphore, TryAcquireError};

use super::User;
use crate::config::ConfiguredUser;

/// How many passwords are hashed at the same time, and how many may wait.
const PERMITS: usize = 2;
const WAITING: usize = 64;

/// Why nobody was signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("too many people are signing in at this moment; try again in a few seconds")]
    Busy,
    #[error("that name and password do not belong together")]
    Wrong,
}

/// Accounts by name and by id.
#[derive(Debug)]
pub(crate) struct Local {
    by_id: HashMap<UserId, Arc<User>>,
    by_name: HashMap<String, (UserId, Arc<str>)>,
    /// The hash that an unknown name's password is compared with.
    nobody: Arc<str>,
    permits: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// Accounts that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("a password cannot be hashed: {0}")]
pub struct AccountError(String);

impl Local {
    /// Accounts of these people. Passwords given in the clear are hashed here.
    pub(crate) fn open(users: &[ConfiguredUser]) -> Result<Self, AccountError> {
        let mut by_id = HashMap::new();
        let mut by_name = HashMap::new();
        let mut costliest = None;
        for user in users {
            let given = user.password.expose();
            let hash: Arc<str> = if given.starts_with("$argon2id$") {
                PasswordHash::new(given).map_err(|error| AccountError(error.to_string()))?;
                given.into()
            } else {
                hash(given)?.into()
            };
            costliest = costliest.or_else(|| given.starts_with("$argon2id$").then(|| hash.clone()));
            by_name.insert(user.username.to_lowercase(), (user.id.clone(), hash));
            let known = User {
                cutoff: None,
                email: user.email.clone(),
                email_verified: user.email.is_some(),
                id: user.id.clone(),
                memberships: user.memberships.clone(),
                name: user.name.clone(),
                username: user.username.clone(),
            };
            by_id.insert(user.id.clone(), Arc::new(known));
        }
        Ok(Self {
            by_id,
            by_name,
            // Comparing with a real hash takes as long as with any other; it signs nobody in.
            nobody: match costliest {
                Some(hash) => hash,
                None => hash("nobody")?.into(),
            },
            permits: Arc::new(Semaphore::new(PERMITS)),
            queue: Arc::new(Semaphore::new(WAITING)),
        })
    }

    /// The person of an id, if the account is active.
    pub(crate) fn user(&self, id: &UserId) -> Option<Arc<User>> {
        self.by_id.get(id).cloned()
    }

    /// Signs a person in.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: Secret,
    ) -> Result<Arc<User>, SignInError> {
        let known = self.by_name.get(&username.trim().to_lowercase());
        let hash = known.map_or_else(|| self.nobody.clone(), |(_, hash)| hash.clone());
        let waiting = self.queue.clone().try_acquire_owned();
        let waiting = waiting.map_err(|_: TryAcquireError| SignInError::Busy)?;
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| SignInError::Busy)?;
        let verify = move || {
            let _held = (waiting, permit);
            verify(&hash, password.expose())
        };
        let fits = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        match known {
            Some((id, _)) if fits => self.user(id).ok_or(SignInError::Wrong),
            _ => Err(SignInError::Wrong),
        }
    }
}

fn hash(password: &str) -> Result<String, AccountError> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| AccountError(error.to_string()))
}

fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}
