//! Who did what, as data: metadata only, never a token or a payload.

use std::net::IpAddr;

use serde::Serialize;
use shared::ids::{ApiKeyId, ClientId, FamilyId, UserId, WorkspaceId};

/// A security event. The page `docs/operate/audit.md` lists every one.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    AccountCreated {
        actor: &'a Actor,
        user: &'a UserId,
    },
    AccountDisabled {
        actor: &'a Actor,
        user: &'a UserId,
    },
    AccountEnabled {
        actor: &'a Actor,
        user: &'a UserId,
    },
    AccountLinked {
        upstream: &'a str,
        user: &'a UserId,
    },
    AccountRemoved {
        actor: &'a Actor,
        user: &'a UserId,
    },
    AdminActed {
        act: &'a str,
        actor: &'a Actor,
        status: u16,
    },
    ApiKeyMade {
        key: &'a ApiKeyId,
        scope: String,
        user: &'a UserId,
    },
    ApiKeyRenewed {
        key: &'a ApiKeyId,
        overlaps: bool,
        user: &'a UserId,
    },
    ApiKeyRevoked {
        key: &'a ApiKeyId,
        user: &'a UserId,
    },
    ClientChanged {
        client: &'a ClientId,
    },
    ClientDeleted {
        client: &'a ClientId,
    },
    ClientRegistered {
        client: &'a ClientId,
        name: &'a str,
    },
    ClientSecretRotated {
        client: &'a ClientId,
    },
    ClientSecretWrong {
        client: &'a ClientId,
    },
    CodeReplayed {
        client: &'a ClientId,
        family: FamilyId,
        revoked: bool,
    },
    /// The deployment file was read again while the server ran.
    ConfigurationReloaded {
        actor: &'a Actor,
        /// What the text that came into use is known by; empty where it was refused.
        digest: &'a str,
        is_applied: bool,
    },
    ConsentDenied {
        client: &'a ClientId,
        user: &'a UserId,
    },
    ConsentGiven {
        client: &'a ClientId,
        scope: String,
        user: &'a UserId,
    },
    ConsentReused {
        client: &'a ClientId,
        scope: String,
        user: &'a UserId,
    },
    GrantRevoked {
        client: &'a ClientId,
        family: FamilyId,
        user: &'a UserId,
    },
    InitialAccessCreated {
        note: &'a str,
    },
    InitialAccessRevoked,
    KeysChanged {
        act: &'a str,
        actor: &'a Actor,
        purpose: &'a str,
        version: u64,
    },
    MembershipGiven {
        actor: &'a Actor,
        role: &'a str,
        user: &'a UserId,
        workspace: &'a WorkspaceId,
    },
    MembershipTaken {
        actor: &'a Actor,
        user: &'a UserId,
        workspace: &'a WorkspaceId,
    },
    PasswordChanged {
        actor: &'a Actor,
        user: &'a UserId,
    },
    PersonSignedOut {
        actor: &'a Actor,
        user: &'a UserId,
    },
    RefreshForked {
        family: FamilyId,
    },
    RefreshReused {
        client: &'a ClientId,
        family: FamilyId,
    },
    RefreshRolledForward {
        family: FamilyId,
        to: u32,
    },
    RefreshStale {
        client: &'a ClientId,
        family: FamilyId,
    },
    SessionEnded {
        session: &'a str,
        user: &'a UserId,
    },
    SignInDelayed,
    SignInFailed,
    SignedIn {
        user: &'a UserId,
    },
    SignedInUpstream {
        upstream: &'a str,
        user: &'a UserId,
    },
    WorkspaceCreated {
        actor: &'a Actor,
        workspace: &'a WorkspaceId,
    },
    WorkspacePlanChanged {
        actor: &'a Actor,
        workspace: &'a WorkspaceId,
    },
    WorkspaceRemoved {
        actor: &'a Actor,
        workspace: &'a WorkspaceId,
    },
}

/// Who acted: an operator, by what the operating system says of their process, or the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Actor {
    Operator {
        /// The name the operator's command gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
        uid: u32,
    },
    /// The person whose account it is.
    Person,
    /// A provider that people sign in with, by its claims.
    Provider { upstream: String },
    /// Who showed the token of the admin listener.
    Remote {
        address: IpAddr,
        /// The name the operator's command gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A server that leads, by itself.
    Server { name: String, term: u64 },
    /// Whoever may send the process a signal.
    Signal,
}

impl Event<'_> {
    /// Writes the event to the log, under the target `audit`.
    pub(crate) fn record(&self) {
        let event = serde_json::to_string(self).unwrap_or_default();
        if matches!(self, Self::RefreshForked { .. } | Self::RefreshReused { .. }) {
            tracing::warn!(target: "audit", %event);
        } else {
            tracing::info!(target: "audit", %event);
        }
    }
}
