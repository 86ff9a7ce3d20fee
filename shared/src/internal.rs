//! The internal interface: what a gateway asks of the auth-server and tells it.
//!
//! The feed is counted by (epoch, seq): a reader that meets another epoch or a gap takes a new
//! snapshot. Entries live for the longest access token plus skew.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClientId, FamilyId, KeyId, TokenId, UserId, WorkspaceId},
    time::Timestamp,
};

/// A place in the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Changes whenever the feed starts anew.
    pub epoch: String,
    /// The last event that was read.
    pub seq: u64,
}

/// Something that takes access away before a token's own expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum Event {
    /// Tokens of the client whose grant began at or before the moment.
    Client { client: ClientId, not_after: Timestamp },
    /// Every token of the family.
    Family { family: FamilyId },
    /// Nothing that this key signed is accepted again, whatever a JWKS says.
    Key { key: KeyId },
    /// Tokens of the person that name the workspace, issued at or before the moment.
    Membership { user: UserId, workspace: WorkspaceId, not_after: Timestamp },
    /// Tokens of the person whose grant began at or before the moment.
    Person { user: UserId, not_after: Timestamp },
    /// One access token.
    Token { token: TokenId },
}

/// An answer to `events`: a snapshot of what is in force, or what came since the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    pub cursor: Cursor,
    /// True when `events` is everything in force rather than what is new.
    pub snapshot: bool,
    pub events: Vec<Event>,
}

/// Proof that a client received a generation: it was seen in a verified access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receipt {
    pub family: FamilyId,
    #[serde(rename = "gen")]
    pub generation: u32,
}

/// What a gateway reports, batched to at most one report a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub receipts: Vec<Receipt>,
    /// The version of the JWKS this gateway verifies with.
    pub key_set_version: u64,
}
