//! Who did what, as data: metadata only, never a token or a payload.

use serde::Serialize;
use shared::ids::{ClientId, FamilyId, UserId};

/// A security event.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    ClientChanged { client: &'a ClientId },
    ClientDeleted { client: &'a ClientId },
    ClientRegistered { client: &'a ClientId, name: &'a str },
    ClientSecretRotated { client: &'a ClientId },
    ClientSecretWrong { client: &'a ClientId },
    CodeReplayed { client: &'a ClientId, family: FamilyId, revoked: bool },
    ConsentDenied { client: &'a ClientId, user: &'a UserId },
    ConsentGiven { client: &'a ClientId, scope: String, user: &'a UserId },
    GrantRevoked { family: FamilyId },
    InitialAccessCreated { note: &'a str },
    InitialAccessRevoked,
    RefreshForked { family: FamilyId },
    RefreshReused { client: &'a ClientId, family: FamilyId },
    RefreshRolledForward { family: FamilyId, to: u32 },
    RefreshStale { client: &'a ClientId, family: FamilyId },
    SignInFailed,
    SignedIn { user: &'a UserId },
}

impl Event<'_> {
    /// Writes the event to the log, under the target `audit`.
    pub(crate) fn record(&self) {
        let event = serde_json::to_string(self).unwrap_or_default();
        match self {
            Self::RefreshForked { .. } | Self::RefreshReused { .. } => {
                tracing::warn!(target: "audit", %event);
            }
            Self::ClientChanged { .. }
            | Self::ClientDeleted { .. }
            | Self::ClientRegistered { .. }
            | Self::ClientSecretRotated { .. }
            | Self::ClientSecretWrong { .. }
            | Self::CodeReplayed { .. }
            | Self::ConsentDenied { .. }
            | Self::ConsentGiven { .. }
            | Self::GrantRevoked { .. }
            | Self::InitialAccessCreated { .. }
            | Self::InitialAccessRevoked
            | Self::RefreshRolledForward { .. }
            | Self::RefreshStale { .. }
            | Self::SignInFailed
            | Self::SignedIn { .. } => tracing::info!(target: "audit", %event),
        }
    }
}
