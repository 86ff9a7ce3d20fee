//! Passwords as argon2id hashes (RFC 9106 section 4), checked on the blocking pool behind few
//! permits, so that sign-ins never starve tokens. A quarter of permits and queue, at least one,
//! is kept for devices that the account knows.

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use shared::secret::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may wait for each permit.
const WAITING_EACH: usize = 16;

/// Why nobody was signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("too many people are signing in at this moment; try again in a few seconds")]
    Busy,
    #[error("that name and password do not belong together")]
    Wrong,
}

/// Accounts that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("a password cannot be hashed: {0}")]
pub struct AccountError(String);

/// Which permits a check may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Of a device that has signed in to the account before.
    Known,
    Unknown,
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    /// How many were checked, for tests of who takes the same way.
    #[cfg(test)]
    pub(super) checks: std::sync::atomic::AtomicUsize,
    known: Share,
    /// The hash that an unknown name's password is compared with.
    pub(super) nobody: Arc<str>,
    unknown: Share,
}

/// Permits to compute, and places to wait for one.
#[derive(Debug)]
struct Share {
    all: usize,
    permits: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Share {
    fn of(permits: usize) -> Self {
        Self {
            all: permits,
            permits: Arc::new(Semaphore::new(permits)),
            queue: Arc::new(Semaphore::new(permits * WAITING_EACH)),
        }
    }
}

impl Passwords {
    /// Half of the processors compute hashes at most, and two hashes at a time at least.
    pub(super) fn new() -> Self {
        let permits = available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(2).max(2);
        let known = permits.div_ceil(4);
        Self {
            #[cfg(test)]
            checks: std::sync::atomic::AtomicUsize::default(),
            known: Share::of(known),
            nobody: nobody().into(),
            unknown: Share::of(permits - known),
        }
    }

    /// All permits, and those that are free.
    pub(super) fn permits(&self) -> (usize, usize) {
        let shares = [&self.known, &self.unknown];
        let all = shares.iter().map(|share| share.all).sum();
        (all, shares.iter().map(|share| share.permits.available_permits()).sum())
    }

    /// The hash of a password of the deployment file, which may hold the hash itself.
    pub(super) fn of_file(password: &Secret) -> Result<String, AccountError> {
        let given = password.expose();
        if given.starts_with("$argon2id$") {
            let checked = PasswordHash::new(given);
            return checked
                .map(|_| given.to_owned())
                .map_err(|error| AccountError(error.to_string()));
        }
        hash(given)
    }

    /// Whether a password has this hash. Without a hash nothing fits, after the same time.
    pub(super) async fn check(
        &self,
        hash: Option<Arc<str>>,
        password: Secret,
        lane: Lane,
    ) -> Result<(), SignInError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| Arc::clone(&self.nobody));
        let held = self.permit(lane).await?;
        #[cfg(test)]
        self.checks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let verify = move || {
            let _held = held;
            PasswordHash::new(&hash).is_ok_and(|hash| {
                let password = password.expose().as_bytes();
                Argon2::default().verify_password(password, &hash).is_ok()
            })
        };
        let fits = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        if exists && fits { Ok(()) } else { Err(SignInError::Wrong) }
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, SignInError> {
        let held = self.permit(Lane::Known).await?;
        let make = move || {
            let _held = held;
            hash(password.expose())
        };
        let hash = tokio::task::spawn_blocking(make).await;
        hash.ok().and_then(Result::ok).ok_or(SignInError::Busy)
    }

    /// A place in the queue and a permit; known devices may use the permits of all.
    async fn permit(
        &self,
        lane: Lane,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), SignInError> {
        let share = match lane {
            Lane::Known => &self.known,
            Lane::Unknown => &self.unknown,
        };
        let queue = Arc::clone(&share.queue);
        let waiting = queue.try_acquire_owned().map_err(|_| SignInError::Busy)?;
        let own = Arc::clone(&share.permits).acquire_owned();
        let permit = match lane {
            Lane::Unknown => own.await,
            Lane::Known => tokio::select! {
                biased;
                permit = own => permit,
                permit = Arc::clone(&self.unknown.permits).acquire_owned() => permit,
            },
        };
        Ok((waiting, permit.map_err(|_| SignInError::Busy)?))
    }
}

/// A hash that no password has, of the cost of every new hash. It is written and not computed: a
/// start would wait for it, and hold its memory.
fn nobody() -> String {
    let params = Params::DEFAULT;
    let (memory, time, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory},t={time},p={lanes}${salt}${output}")
}

fn hash(password: &str) -> Result<String, AccountError> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| AccountError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::new();
        let hash: Arc<str> = passwords.hash(secret("right")).await.unwrap().into();
        let check = async |hash: Option<&Arc<str>>, password| {
            passwords.check(hash.cloned(), secret(password), Lane::Unknown).await
        };
        assert_eq!(check(Some(&hash), "right").await, Ok(()));
        assert_eq!(check(Some(&hash), "wrong").await, Err(SignInError::Wrong));
        assert_eq!(check(None, "right").await, Err(SignInError::Wrong));
        assert_eq!(check(None, "nobody").await, Err(SignInError::Wrong));
    }

    #[tokio::test]
    async fn a_crowd_of_strangers_leaves_room_for_known_devices() {
        let passwords = Passwords::new();
        let all = u32::try_from(passwords.unknown.permits.available_permits()).unwrap();
        let _busy = Arc::clone(&passwords.unknown.permits).acquire_many_owned(all).await;
        let queue = u32::try_from(passwords.unknown.queue.available_permits()).unwrap();
        let _full = Arc::clone(&passwords.unknown.queue).acquire_many_owned(queue).await;
        let stranger = passwords.check(None, secret("x"), Lane::Unknown).await;
        assert_eq!(stranger, Err(SignInError::Busy));
        let known = passwords.check(None, secret("x"), Lane::Known).await;
        assert_eq!(known, Err(SignInError::Wrong));
    }
}
