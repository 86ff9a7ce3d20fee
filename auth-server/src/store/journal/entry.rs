//! What the log of revocations says, line by line.

use std::collections::BTreeSet;

use keys::Purpose;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, KeyId, UserId, WorkspaceId},
    internal::Event,
    secret::SecretHash,
    time::Timestamp,
};

use crate::store::StoreError;

/// A change that takes something away and is not on the feed, or gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Whether somebody may sign in to an account.
    Account { user: UserId, active: bool },
    /// A client was deleted.
    ClientGone { client: ClientId },
    /// When secrets of a client end, each by its digest: they were replaced.
    ClientSecrets { client: ClientId, ends: Vec<(SecretHash, Timestamp)> },
    /// Grants of a person up to a moment are over.
    Grants { user: UserId, not_after: Timestamp },
    /// What is left of an initial access token, by its digest; zero when it was revoked.
    InitialAccess { token: String, left: u32 },
    /// A key is refused for ever.
    KeyGone { key: KeyId, purpose: Purpose },
    /// The keys of a purpose changed.
    KeySet { purpose: Purpose, version: u64 },
    /// Somebody left a workspace.
    Left { user: UserId, workspace: WorkspaceId },
    /// Somebody became a member of a workspace.
    Member { user: UserId, workspace: WorkspaceId },
    /// An account got another password at this moment, and sessions up to another ended.
    Password { user: UserId, set: Timestamp, sessions: Option<Timestamp> },
    /// A session ended; by the digest of its secret.
    Session { session: SecretHash },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Logged {
    Event(Event),
    Standing(Standing),
}

/// A line of the file that says what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) what: Logged,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Entry(Entry),
    /// The log has everything that was revoked until this moment.
    Heard {
        heard: Timestamp,
    },
    /// The store said at this moment that it has everything that is in the log.
    Marked {
        marked: Timestamp,
    },
    /// From this moment on the log has everything.
    Since {
        since: Timestamp,
        /// What this log is called in stores.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        journal: Option<String>,
        /// Other logs whose entries are in it.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        took_up: BTreeSet<String>,
    },
}

/// What happened as text, equal for equal ones.
pub(in crate::store) fn name(what: &Logged) -> Result<String, StoreError> {
    serde_json::to_string(what).map_err(|error| StoreError::Journal(error.to_string()))
}
