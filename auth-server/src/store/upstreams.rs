//! Sign-ins under way at other providers, and which account belongs to whom there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared::{
    ids::{UserId, WorkspaceId},
    secret::SecretHash,
    time::Timestamp,
};

use super::{Kind, Store, StoreError};

/// A sign-in under way: what must fit when the browser comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpstreamAttempt {
    /// The browser that began it.
    pub(crate) browser: SecretHash,
    pub(crate) expires: Timestamp,
    pub(crate) nonce: String,
    /// The sealed request of the page that it began on.
    pub(crate) request: String,
    pub(crate) upstream: String,
    pub(crate) verifier: String,
}

/// Somebody's account here and there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpstreamLink {
    pub(crate) user: UserId,
    /// The workspaces that the provider's claims gave, and may take again.
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

impl dyn Store + '_ {
    /// Keeps a sign-in that begins, under its state.
    pub(crate) async fn put_upstream_attempt(
        &self,
        state: &str,
        attempt: &UpstreamAttempt,
    ) -> Result<(), StoreError> {
        let key = SecretHash::of(state.as_bytes());
        self.write(Kind::UpstreamAttempt, key.as_str(), attempt, Some(attempt.expires)).await
    }

    /// Takes a sign-in out, once.
    pub(crate) async fn take_upstream_attempt(
        &self,
        state: &str,
    ) -> Result<Option<UpstreamAttempt>, StoreError> {
        let key = SecretHash::of(state.as_bytes());
        let attempt = self.read(Kind::UpstreamAttempt, key.as_str()).await?;
        let taken = self.delete(Kind::UpstreamAttempt, key.as_str()).await?;
        Ok(attempt.filter(|_| taken))
    }

    /// The account of somebody at a provider.
    pub(crate) async fn upstream_link(
        &self,
        upstream: &str,
        subject: &str,
    ) -> Result<Option<UpstreamLink>, StoreError> {
        self.read(Kind::UpstreamLink, &link_key(upstream, subject)).await
    }

    /// Links an account with somebody at a provider.
    pub(crate) async fn put_upstream_link(
        &self,
        upstream: &str,
        subject: &str,
        link: &UpstreamLink,
    ) -> Result<(), StoreError> {
        self.write(Kind::UpstreamLink, &link_key(upstream, subject), link, None).await
    }
}

/// Subjects may hold anything, so their hash stands in the key.
fn link_key(upstream: &str, subject: &str) -> String {
    format!("{upstream}/{}", SecretHash::of(subject.as_bytes()).as_str())
}
