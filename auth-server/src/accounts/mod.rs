//! People: who they are, what they are members of, and how a password is checked.

mod local;

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{UserId, WorkspaceId};

pub use self::local::AccountError;
pub(crate) use self::local::{Local, SignInError};

/// A person as pages and grants need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
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
}
