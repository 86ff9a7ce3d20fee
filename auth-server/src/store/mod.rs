//! What auth-server keeps, as verbs: each is atomic in every engine, and a failed one changed
//! nothing. Records that have expired may be gone at any time, so every read compares `now`.

#[cfg(test)]
mod contract;
mod embedded;
mod record;
mod redis;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, FamilyId, UserId},
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};

pub(crate) use self::{embedded::EmbeddedStore, redis::RedisStore};
use crate::rules::{
    client_metadata::Client,
    consent::Grant,
    pkce::CodeChallenge,
    redirect_uri::RedirectTarget,
    refresh_token::Nonce,
    rotation::{Attempt, Context, Family, Presented, Step},
};

/// Why a verb could not be carried out. Never shown to a peer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The clocks of this process and of the store are more than 30 s apart.
    #[error("the clocks of this process and of the store are more than 30 s apart")]
    ClockSkew,
    /// A record that cannot be read.
    #[error("a record cannot be read: {0}")]
    Corrupt(String),
    /// The engine's fault.
    #[error("the store cannot answer")]
    Engine(#[from] store::StoreError),
}

/// An authorization code's record; the code itself is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    pub(crate) challenge: CodeChallenge,
    pub(crate) expires: Timestamp,
    pub(crate) grant: Grant,
    pub(crate) issued: Timestamp,
    pub(crate) redirect: RedirectTarget,
}

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) expires: Timestamp,
    pub(crate) signed_in: Timestamp,
    pub(crate) user: UserId,
}

/// What redeeming a code led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Redemption {
    /// It was redeemed before, at this moment.
    Again(Timestamp),
    /// It was spent now, and its family exists.
    First,
    /// There is no such code.
    Gone,
}

/// What a refresh led to, with the family as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Rotation {
    pub(crate) family: Family,
    pub(crate) step: Step,
}

/// A part of the feed of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) epoch: String,
    pub(crate) events: Vec<Event>,
    pub(crate) last: u64,
}

/// How often a wrong verifier is forgiven before the code is burnt.
pub(crate) const WRONG_VERIFIERS: u32 = 3;

#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    // Clients.
    async fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError>;
    /// Creates or recreates a client.
    async fn put_client(&self, client: &Client) -> Result<(), StoreError>;

    // Browsers.
    async fn session(&self, secret: &SecretHash) -> Result<Option<Session>, StoreError>;
    async fn put_session(&self, secret: &SecretHash, session: &Session) -> Result<(), StoreError>;
    /// Takes a ticket: true once, false ever after.
    async fn take_ticket(&self, digest: &str, expires: Timestamp) -> Result<bool, StoreError>;
    /// Whether a ticket was taken.
    async fn has_note(&self, digest: &str) -> Result<bool, StoreError>;

    // Codes and families: those of one family are one slot.
    async fn put_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        record: &CodeRecord,
    ) -> Result<(), StoreError>;
    /// Reads a code that was not redeemed, and when it was if it was.
    async fn code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(CodeRecord, Option<Timestamp>)>, StoreError>;
    /// Counts a wrong verifier; the third burns the code, never an issued family.
    async fn miss_code(&self, family: FamilyId, code: &SecretHash) -> Result<(), StoreError>;
    /// Spends a code and creates its family, durably, never over an existing one.
    async fn redeem_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
        created: &Family,
    ) -> Result<Redemption, StoreError>;
    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError>;
    /// The families that a person granted to a client and that may still live: for pages, never
    /// for a decision that must see every one.
    async fn families_of(
        &self,
        user: &UserId,
        client: &ClientId,
    ) -> Result<Vec<FamilyId>, StoreError>;
    /// Presents a refresh token: [`crate::rules::rotation::step`], atomically. Reuse is revoked
    /// and on the feed before this returns.
    async fn rotate_refresh(
        &self,
        family: FamilyId,
        token: &Presented,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Rotation>, StoreError>;
    /// Moves a family that lost writes forward, if it still stands at `from`.
    async fn roll_forward(
        &self,
        family: FamilyId,
        from: (u32, Nonce),
        to: (u32, Nonce),
        (issued, context): (Timestamp, Context),
    ) -> Result<bool, StoreError>;
    /// Revokes a family and puts it on the feed, durably. True if it was alive.
    async fn revoke_family(&self, family: FamilyId, now: Timestamp) -> Result<bool, StoreError>;
    /// Notes that an access token of the current generation was seen. Never creates.
    async fn confirm(&self, receipt: Receipt) -> Result<(), StoreError>;

    // Keys.
    async fn key_set(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Replaces a key set if it still is `expected`; durably. False if it is not.
    async fn replace_key_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        set: &[u8],
    ) -> Result<bool, StoreError>;

    // The feed.
    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError>;
    /// What came after `after`, or everything that is kept.
    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError>;

    /// Drops what has expired.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError>;
}

/// How many events one answer of the feed holds at most.
pub(crate) const FEED_PAGE: usize = 100_000;
/// How many families of one person and client a page looks at.
pub(crate) const MOST_FAMILIES: usize = 32;
/// How long an event stays on the feed: longer than any access token lives.
pub(crate) const EVENT_LIFE: Duration = Duration::from_hours(2);
/// How long a redeemed code is remembered.
pub(crate) const TOMBSTONE: Duration = Duration::from_hours(1);
/// How long a dead family is remembered after its absolute expiry.
pub(crate) const AFTER_EXPIRY: Duration = Duration::from_hours(24);
/// How far the clocks of a process and of the store may be apart.
pub(crate) const MOST_SKEW: Duration = Duration::from_secs(30);
