//! Grants: codes, the families they become, and their refresh tokens. What belongs to one family
//! is one slot, so that each verb is atomic in every engine.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{ids::FamilyId, internal::Receipt, secret::SecretHash, time::Timestamp};

use super::{Owner, StoreError};
use crate::rules::{
    consent::Grant,
    openid::Method,
    pkce::CodeChallenge,
    redirect_uri::RedirectTarget,
    refresh_token::Nonce,
    rotation::{Attempt, Context, Family, Presented, Step},
    terms::{Terms, TermsId},
};

/// An authorization code's record; the code itself is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    pub(crate) challenge: CodeChallenge,
    pub(crate) expires: Timestamp,
    pub(crate) grant: Grant,
    pub(crate) issued: Timestamp,
    /// How the person signed in, for the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Method>,
    /// Comes back in the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    pub(crate) redirect: RedirectTarget,
}

/// What redeeming a code led to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Redemption {
    /// It was redeemed before, at this moment.
    Again(Timestamp),
    /// It is spent now, and this family exists: the one that was to be created, or the one of an
    /// earlier try whose outcome nobody learned.
    First(Box<Family>),
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

/// How often a wrong verifier is forgiven before the code is burnt.
pub(crate) const WRONG_VERIFIERS: u32 = 3;

/// The verbs of codes and families.
#[async_trait]
pub(crate) trait Families {
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
    /// Spends a code and creates its family, durably, never over an existing one. After an error
    /// the code is not lost: another try gets the one family it has.
    async fn redeem_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
        created: &Family,
    ) -> Result<Redemption, StoreError>;
    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError>;
    /// What a family of these terms allows; they exist as long as any such family.
    async fn terms(&self, id: TermsId) -> Result<Option<Arc<Terms>>, StoreError>;
    /// The families that a person granted, or that a client holds, and that may still live, from
    /// the one after `after` on: for pages and sweeps, never for a decision that must see every
    /// one.
    async fn families_of(
        &self,
        owner: Owner<'_>,
        after: Option<FamilyId>,
        limit: usize,
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
    /// Notes that access tokens of these generations were seen in calls. Never creates.
    async fn confirm_all(&self, receipts: &[Receipt], now: Timestamp) -> Result<(), StoreError>;
}
