//! The internal interface: what a gateway asks of the auth-server and tells it.
//!
//! The feed is counted by (epoch, seq): a reader that meets another epoch or a gap takes a new
//! snapshot. Entries live for the longest access token plus skew.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ApiKeyId, ClientId, FamilyId, KeyId, TokenId, UserId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
    secret::SecretHash,
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
    /// What is open under an API key of this revision or an earlier one.
    ApiKey { key: ApiKeyId, revision: u32 },
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
    /// The version of the issuer's key set: who holds an older one fetches it anew.
    #[serde(default)]
    pub key_set_version: u64,
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
    /// When each API key was last used here.
    #[serde(default)]
    pub keys: Vec<ApiKeyUse>,
    /// The version of the JWKS this gateway verifies with.
    pub key_set_version: u64,
    /// The ids of the keys it would accept now, in order.
    #[serde(default)]
    pub kids: Vec<KeyId>,
    /// What the gateway calls itself, different for each process; empty: it does not say.
    #[serde(default)]
    pub verifier: String,
}

/// The last use of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ApiKeyUse {
    pub key: ApiKeyId,
    pub at: Timestamp,
}

/// Whose rights are asked for. An answer holds for the moment and is never kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum PrincipalQuery {
    /// The owner of an API key, by the key's SHA-256.
    ApiKey { hash: SecretHash },
    /// The person behind a grant, at one of its resources.
    Family { family: FamilyId, resource: ResourceIndicator },
}

/// What a person may do at a resource through a key or a grant, at the moment of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// When the key or the grant was made: what cut-offs are compared with.
    pub began: Timestamp,
    pub credential: PrincipalCredential,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    pub resource: ResourceIndicator,
    pub scope: Scope,
    pub user: UserId,
    /// Sorted, possibly empty.
    pub workspaces: Vec<WorkspaceId>,
}

/// What a principal acts through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PrincipalCredential {
    /// An API key; the revision changes whenever the key does.
    ApiKey { key: ApiKeyId, revision: u32 },
    /// A grant to a client.
    Family { client: ClientId, family: FamilyId },
}

/// A verifier as it last reported itself: which keys it would accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// When it reported last.
    pub at: Timestamp,
    pub key_set_version: u64,
    pub keys: Vec<SeenKey>,
    pub name: String,
}

/// A key that a verifier has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenKey {
    pub kid: KeyId,
    /// When it first reported that it has the key.
    pub since: Timestamp,
}
