//! The verbs, each only where the servers hold what was revoked.
//!
//! After a broken connection these are made once more, because to repeat them is harmless: every
//! read (`record`, `records`, `count`, `code`, `family`, `families_of`, `feed`), `confirm_all`,
//! `put_code`, `put_records`, `rotate_refresh`, and `replace_record` where it does not compare. Not
//! so what counts, spends, compares or announces: `miss_code`, `redeem_code`, `roll_forward`,
//! `append_event`, `revoke_family` and the other changes of records.

use std::sync::Arc;

use async_trait::async_trait;
use shared::{
    ids::FamilyId,
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};

use super::{Again, GuardedStore, Patience, admitted, patient, repeated};
use crate::{
    rules::{
        refresh_token::Nonce,
        rotation::{Attempt, Context, Family, Presented, Step},
        terms::{Terms, TermsId},
    },
    store::{
        CodeRecord, EventFeed, Expected, Families, Feed, Kind, NewRecord, Owner, Records,
        Redemption, Rotation, Standing, Store, StoreError,
    },
};

#[async_trait]
impl Store for GuardedStore {
    async fn mark(&self, now: Timestamp) -> Result<(), StoreError> {
        self.admit().await?;
        let inner: &dyn Store = &self.inner;
        inner.put_mark(&self.journal, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        // Also follows the feed where nobody asks for anything.
        self.admit().await?;
        self.journal.beat(now)?;
        self.inner.sweep(now).await
    }
}

#[async_trait]
impl EventFeed for GuardedStore {
    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        self.journal.write(vec![event.clone()], self.clock.now()).await?;
        self.admit().await?;
        self.inner.append_event(event, now).await
    }

    async fn note_standing(&self, standing: Standing, now: Timestamp) -> Result<(), StoreError> {
        self.journal.note(standing, now).await
    }

    fn logged_keys(&self, now: Timestamp) -> Result<Vec<Standing>, StoreError> {
        self.journal.keys(now)
    }

    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError> {
        repeated!(self, self.inner.feed(after))
    }
}

#[async_trait]
impl Records for GuardedStore {
    async fn record(&self, kind: Kind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let patience = Patience::new();
        loop {
            let read = repeated!(self, self.inner.record(kind, key));
            // A refresh reads its client first.
            match patience.pause(&read) {
                Some(pause) if kind == Kind::Client => tokio::time::sleep(pause).await,
                _ => return read,
            }
        }
    }

    async fn records_at(&self, at: &[(Kind, &str)]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        repeated!(self, self.inner.records_at(at))
    }

    async fn replace_record(
        &self,
        kind: Kind,
        key: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        if expected == Expected::Anything {
            let verb = || self.inner.replace_record(kind, key, expected, value, expires);
            return repeated!(self, verb());
        }
        self.admit().await?;
        self.inner.replace_record(kind, key, expected, value, expires).await
    }

    async fn put_records(
        &self,
        kind: Kind,
        new: &[NewRecord],
        gone: &[String],
    ) -> Result<(), StoreError> {
        repeated!(self, self.inner.put_records(kind, new, gone))
    }

    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        repeated!(self, self.inner.count(kind))
    }

    async fn records(
        &self,
        kind: Kind,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        repeated!(self, self.inner.records(kind, prefix, after, limit))
    }
}

#[async_trait]
impl Families for GuardedStore {
    async fn put_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        record: &CodeRecord,
    ) -> Result<(), StoreError> {
        repeated!(self, self.inner.put_code(family, code, record))
    }

    async fn code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(CodeRecord, Option<Timestamp>)>, StoreError> {
        repeated!(self, self.inner.code(family, code, now))
    }

    async fn miss_code(&self, family: FamilyId, code: &SecretHash) -> Result<(), StoreError> {
        self.admit().await?;
        self.inner.miss_code(family, code).await
    }

    async fn redeem_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
        created: &Family,
    ) -> Result<Redemption, StoreError> {
        self.admit().await?;
        self.inner.redeem_code(family, code, now, created).await
    }

    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError> {
        patient!(admitted!(self, self.inner.family(family)))
    }

    async fn terms(&self, id: TermsId) -> Result<Option<Arc<Terms>>, StoreError> {
        patient!(admitted!(self, self.inner.terms(id)))
    }

    async fn families_of(
        &self,
        owner: Owner<'_>,
        after: Option<FamilyId>,
        limit: usize,
    ) -> Result<Vec<FamilyId>, StoreError> {
        repeated!(self, self.inner.families_of(owner, after, limit))
    }

    async fn rotate_refresh(
        &self,
        family: FamilyId,
        token: &Presented,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Rotation>, StoreError> {
        let rotation = if attempt.policy.strict {
            // It may have run: asked again, it would take the token for a stolen one.
            self.admit().await?;
            let rotation = self.inner.rotate_refresh(family, token, attempt).await?;
            self.upheld(family, rotation).await?
        } else {
            patient!(admitted!(self, self.inner.rotate_refresh(family, token, attempt)))?
        };
        if let Some(Rotation { step: Step::Reuse | Step::Revoked, .. }) = rotation {
            self.journal.write(vec![Event::Family { family }], self.clock.now()).await?;
        }
        Ok(rotation)
    }

    async fn roll_forward(
        &self,
        family: FamilyId,
        from: (u32, Nonce),
        to: (u32, Nonce),
        from_here: (Timestamp, Context),
    ) -> Result<bool, StoreError> {
        self.admit().await?;
        self.inner.roll_forward(family, from, to, from_here).await
    }

    async fn revoke_family(&self, family: FamilyId, now: Timestamp) -> Result<bool, StoreError> {
        // Before the log has it: what is put in force again is not found alive below.
        let admitted = self.admit().await;
        // Where the store does not answer, the revocation is pending here.
        self.journal.write(vec![Event::Family { family }], self.clock.now()).await?;
        admitted?;
        self.admit().await?;
        self.inner.revoke_family(family, now).await
    }

    async fn confirm_all(&self, receipts: &[Receipt], now: Timestamp) -> Result<(), StoreError> {
        repeated!(self, self.inner.confirm_all(receipts, now))
    }
}

impl GuardedStore {
    /// A rotation that was answered, but perhaps by a server that another has replaced since.
    /// That one may have lost the rotation, which its token proves later; it must not have lost
    /// that the family was revoked.
    async fn upheld(
        &self,
        family: FamilyId,
        rotation: Option<Rotation>,
    ) -> Result<Option<Rotation>, StoreError> {
        if self.still_admitted().is_ok() {
            return Ok(rotation);
        }
        let held: Option<Family> = patient!(admitted!(self, self.inner.family(family)))?;
        Ok(rotation.zip(held).map(|(rotation, held)| {
            if held.revoked { Rotation { family: held, step: Step::Revoked } } else { rotation }
        }))
    }
}
