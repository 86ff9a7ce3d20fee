//! People: who they are, what they are members of, and how a password is checked.
//!
//! The people and workspaces of the deployment file come first; the others are in the store and
//! are read through a cache that is at most one second old.

mod changes;
mod file;
mod passwords;
mod throttle;
mod upstream;
mod workspace_changes;
mod workspaces;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use moka::sync::Cache;
use shared::{
    ids::{UserId, WorkspaceId},
    secret::Secret,
    time::Timestamp,
};

pub use self::passwords::AccountError;
pub(crate) use self::{
    changes::{ChangeError, NewAccount},
    passwords::{Lane, SignInError},
    throttle::{Device, Throttle},
    upstream::NoEntry,
    workspaces::Workspaces,
};
use self::{file::FilePeople, passwords::Passwords};
use crate::{
    config::ConfiguredUser,
    store::{Account, Store, StoreError},
};

/// How far what is read here may be behind the store.
pub(crate) const BEHIND: Duration = Duration::from_secs(1);

/// How many people are remembered for that second.
const MOST_CACHED: u64 = 10_000;

/// A person as pages and grants need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Grants and sessions that began at or before this moment are over.
    pub(crate) cutoff: Option<Timestamp>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    /// Grants that began at or before this moment are over.
    pub(crate) grants_cutoff: Option<Timestamp>,
    pub(crate) id: UserId,
    /// Workspace and role.
    pub(crate) memberships: BTreeMap<WorkspaceId, String>,
    pub(crate) name: String,
    /// Sessions that began at or before this moment are over.
    pub(crate) sessions_cutoff: Option<Timestamp>,
    pub(crate) username: String,
}

impl User {
    /// Whether what began at this moment is still in force.
    pub(crate) fn accepts(&self, began: Timestamp) -> bool {
        self.cutoff.is_none_or(|cutoff| cutoff < began)
    }

    /// Whether a grant that began at this moment is still in force.
    pub(crate) fn accepts_grant(&self, began: Timestamp) -> bool {
        self.accepts(began) && self.grants_cutoff.is_none_or(|cutoff| cutoff < began)
    }

    /// Whether a session that began at this moment is still in force.
    pub(crate) fn accepts_session(&self, began: Timestamp) -> bool {
        self.accepts(began) && self.sessions_cutoff.is_none_or(|cutoff| cutoff < began)
    }

    /// When something begins that is begun now, by somebody who knows of the cutoffs: they are a
    /// moment ahead, for the sake of processes that do not know of them yet.
    pub(crate) fn begins(&self, now: Timestamp) -> Timestamp {
        let latest = self.cutoff.max(self.sessions_cutoff).max(self.grants_cutoff);
        latest.map_or(now, |cutoff| now.max(cutoff.plus(Duration::from_millis(1))))
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self {
            cutoff: account.cutoff,
            email: account.email,
            email_verified: account.email_verified,
            grants_cutoff: account.grants_cutoff,
            id: account.id,
            memberships: account.memberships,
            name: account.name,
            sessions_cutoff: account.sessions_cutoff,
            username: account.username,
        }
    }
}

/// Everybody who may sign in.
#[derive(Debug)]
pub(crate) struct Accounts {
    cache: Cache<UserId, Option<Arc<User>>>,
    file: FilePeople,
    passwords: Passwords,
    store: Arc<dyn Store>,
}

impl Accounts {
    /// The people of the deployment file and of the store.
    pub(crate) fn open(
        users: &[ConfiguredUser],
        store: Arc<dyn Store>,
    ) -> Result<Self, AccountError> {
        let passwords = Passwords::new();
        let file = FilePeople::open(users)?;
        let cache = Cache::builder().max_capacity(MOST_CACHED).time_to_live(BEHIND).build();
        Ok(Self { cache, file, passwords, store })
    }

    /// How many passwords may be hashed at a time, and how many more may be at the moment.
    pub(crate) fn password_permits(&self) -> (usize, usize) {
        self.passwords.permits()
    }

    /// The person of an id, if the account is active. At most one second behind the store.
    pub(crate) async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        if let Some(known) = self.cache.get(id) {
            return Ok(known);
        }
        let user = self.load(id).await?.map(Arc::new);
        self.cache.insert(id.clone(), user.clone());
        Ok(user)
    }

    /// Signs a person in with a password. Unknown, inactive and wrong take the same time.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: Secret,
        lane: Lane,
    ) -> Result<Result<Arc<User>, SignInError>, StoreError> {
        let (id, hash) = match self.file.named(username) {
            Some((id, hash)) => (Some(id.clone()), Some(Arc::clone(hash))),
            None => match self.store.account_named(username).await? {
                Some(Account { active: true, id, password, .. }) => {
                    (Some(id), password.map(Into::into))
                }
                _ => (None, None),
            },
        };
        if let Err(error) = self.passwords.check(hash, password, lane).await {
            return Ok(Err(error));
        }
        let user = match id {
            // What the cache remembers may be from before the account became active.
            Some(id) => self.load(&id).await?,
            None => None,
        };
        Ok(user.map(Arc::new).ok_or(SignInError::Wrong))
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, SignInError> {
        self.passwords.hash(password).await
    }

    /// The people of the deployment file.
    pub(crate) fn of_file(&self) -> impl Iterator<Item = &User> {
        self.file.all()
    }

    /// Whether the deployment file names the person, by id or by user name.
    pub(crate) fn is_of_file(&self, id_or_name: &str) -> bool {
        self.file.named(id_or_name).is_some()
            || self.file.all().any(|user| user.id.as_str() == id_or_name)
    }

    /// Forgets what is remembered of a person, because it has just changed.
    pub(crate) fn forget(&self, id: &UserId) {
        self.cache.invalidate(id);
    }

    async fn load(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        if let Some(user) = self.file.user(id) {
            let cutoff = self.store.person_cutoff(id).await?;
            let grants_cutoff = self.store.grants_cutoff(id).await?;
            return Ok(Some(User { cutoff, grants_cutoff, ..user.clone() }));
        }
        let account = self.store.account(id).await?;
        Ok(account.filter(|account| account.active).map(User::from))
    }
}

#[cfg(test)]
#[path = "sign_in_tests.rs"]
mod tests;
