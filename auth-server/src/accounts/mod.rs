//! People: who they are, what they are members of, and how a password is checked.

mod local;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shared::{
    ids::{UserId, WorkspaceId},
    secret::Secret,
    time::Timestamp,
};

pub use self::local::AccountError;
use self::local::Local;
pub(crate) use self::local::SignInError;
use crate::{config::ConfiguredUser, store::StoreError};

/// A person as pages and grants need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Grants and sessions that began at or before this moment are over.
    pub(crate) cutoff: Option<Timestamp>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) id: UserId,
    /// Workspace and role.
    pub(crate) memberships: BTreeMap<WorkspaceId, String>,
    pub(crate) name: String,
    pub(crate) username: String,
}

impl User {
    /// The workspaces the person is a member of.
    pub(crate) fn workspaces(&self) -> BTreeSet<WorkspaceId> {
        self.memberships.keys().cloned().collect()
    }

    /// Whether what began at this moment is still in force.
    pub(crate) fn accepts(&self, began: Timestamp) -> bool {
        self.cutoff.is_none_or(|cutoff| cutoff < began)
    }
}

/// Everybody who may sign in.
#[derive(Debug)]
pub(crate) struct Accounts {
    local: Local,
}

impl Accounts {
    /// The people of the deployment file.
    pub(crate) fn open(users: &[ConfiguredUser]) -> Result<Self, AccountError> {
        Ok(Self { local: Local::open(users)? })
    }

    /// The person of an id, if the account is active. At most one second behind the store.
    #[expect(clippy::unused_async, reason = "accounts of the store are read here too")]
    pub(crate) async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        Ok(self.local.user(id))
    }

    /// Signs a person in with a password.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: Secret,
    ) -> Result<Arc<User>, SignInError> {
        self.local.sign_in(username, password).await
    }
}
