//! Codes and families in the file: each verb is one transaction over one record.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    ids::FamilyId,
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};
use store::Writer;

use super::{
    EmbeddedStore,
    feed::append,
    keys::{code_key, corrupt, family_key, index_key, record_key},
};
use crate::{
    rules::{
        refresh_token::Nonce,
        rotation::{Attempt, Context, Family, Presented, Step, step},
        terms::{Terms, TermsId},
    },
    store::{
        AFTER_EXPIRY, CodeRecord, Families, Kind, Owner, Redemption, Rotation, StoreError,
        TOMBSTONE, WRONG_VERIFIERS,
        record::{decode, encode},
    },
};

/// A code's record with what happened to it since.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::store) struct StoredCode {
    pub(in crate::store) misses: u32,
    pub(in crate::store) record: CodeRecord,
    pub(in crate::store) used: Option<Timestamp>,
}

#[async_trait]
impl Families for EmbeddedStore {
    async fn put_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        record: &CodeRecord,
    ) -> Result<(), StoreError> {
        let key = code_key(family, code);
        let expires = record.expires.millis();
        let value = encode(&StoredCode { misses: 0, record: record.clone(), used: None })?;
        let work = move |writer: &mut Writer<'_>| writer.put(key.as_bytes(), &value, Some(expires));
        Ok(self.engine.write(work).await?)
    }

    async fn code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(CodeRecord, Option<Timestamp>)>, StoreError> {
        let stored: Option<StoredCode> = self.read(&code_key(family, code))?;
        Ok(stored
            .filter(|stored| stored.used.is_some() || now < stored.record.expires)
            .map(|stored| (stored.record, stored.used)))
    }

    async fn miss_code(&self, family: FamilyId, code: &SecretHash) -> Result<(), StoreError> {
        let key = code_key(family, code);
        let at = key.clone();
        self.change(key, move |stored: Option<StoredCode>, writer| {
            let Some(mut stored) = stored.filter(|stored| stored.used.is_none()) else {
                return Ok(());
            };
            stored.misses += 1;
            if stored.misses >= WRONG_VERIFIERS {
                return writer.delete(at.as_bytes()).map(|_| ());
            }
            let expires = stored.record.expires.millis();
            writer.put(
                at.as_bytes(),
                &encode(&stored).map_err(|error| corrupt(&error))?,
                Some(expires),
            )
        })
        .await
    }

    async fn redeem_code(
        &self,
        family: FamilyId,
        code: &SecretHash,
        now: Timestamp,
        created: &Family,
    ) -> Result<Redemption, StoreError> {
        let (key, family_key) = (code_key(family, code), family_key(family));
        let at = key.clone();
        let created = created.clone();
        self.change(key, move |stored: Option<StoredCode>, writer| {
            let Some(mut stored) = stored else { return Ok(Redemption::Gone) };
            if let Some(used) = stored.used {
                return Ok(Redemption::Again(used));
            }
            if now >= stored.record.expires || writer.get(family_key.as_bytes())?.is_some() {
                return Ok(Redemption::Gone);
            }
            stored.used = Some(now);
            let forget = now.plus(TOMBSTONE).millis();
            writer.put(
                at.as_bytes(),
                &encode(&stored).map_err(|error| corrupt(&error))?,
                Some(forget),
            )?;
            let terms = created.grant.terms();
            let terms_key = record_key(Kind::Terms, &terms.id().to_string());
            if writer.get(terms_key.as_bytes())?.is_none() {
                let terms = encode(&terms).map_err(|error| corrupt(&error))?;
                writer.put(terms_key.as_bytes(), &terms, None)?;
            }
            put_family(writer, &family_key, &created)?;
            let expires = created.absolute_expiry.millis();
            let grant = &created.grant;
            for owner in [Owner::Client(&grant.client), Owner::Person(&grant.user)] {
                let index = index_key(owner);
                writer.put(format!("{index}{family}").as_bytes(), b"1", Some(expires))?;
            }
            Ok(Redemption::First(Box::new(created)))
        })
        .await
    }

    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError> {
        self.read(&family_key(family))
    }

    async fn terms(&self, id: TermsId) -> Result<Option<Arc<Terms>>, StoreError> {
        if let Some(known) = self.terms.find(id) {
            return Ok(Some(known));
        }
        let stored: Option<Terms> = self.read(&record_key(Kind::Terms, &id.to_string()))?;
        Ok(stored.map(|terms| self.terms.keep(id, terms)))
    }

    async fn families_of(
        &self,
        owner: Owner<'_>,
        after: Option<FamilyId>,
        limit: usize,
    ) -> Result<Vec<FamilyId>, StoreError> {
        let index = index_key(owner);
        let after = after.map(|family| format!("{index}{family}"));
        let entries = self.engine.read(|reader| match &after {
            Some(after) => reader.scan_after(index.as_bytes(), after.as_bytes(), limit),
            None => reader.scan(index.as_bytes(), limit),
        })?;
        let family =
            |key: &[u8]| std::str::from_utf8(key.get(index.len()..)?).ok().map(str::to_owned);
        let texts = entries.iter().filter_map(|(key, _)| family(key));
        Ok(texts.filter_map(|text| FamilyId::parse(&text).ok()).collect())
    }

    async fn rotate_refresh(
        &self,
        family: FamilyId,
        token: &Presented,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Rotation>, StoreError> {
        let key = family_key(family);
        let (at, token, client) = (key.clone(), *token, attempt.client.clone());
        let (context, now, policy) = (attempt.context, attempt.now, attempt.policy);
        let proof = attempt.proof;
        let rotation = self
            .change(key, move |stored: Option<Family>, writer| {
                let Some(mut stored) = stored else { return Ok(None) };
                let before = stored.clone();
                let attempt = Attempt { client: &client, context, now, policy, proof };
                let outcome = step(&mut stored, &token, &attempt);
                if stored != before {
                    put_family(writer, &at, &stored)?;
                }
                if outcome == Step::Reuse {
                    append(writer, &Event::Family { family }, now)?;
                }
                Ok(Some(Rotation { family: stored, step: outcome }))
            })
            .await?;
        if let Some(Rotation { step: Step::Reuse | Step::Revoked, .. }) = &rotation {
            self.log(&Event::Family { family }, now).await?;
        }
        Ok(rotation)
    }

    async fn roll_forward(
        &self,
        family: FamilyId,
        from: (u32, Nonce),
        to: (u32, Nonce),
        (issued, context): (Timestamp, Context),
    ) -> Result<bool, StoreError> {
        let key = family_key(family);
        let at = key.clone();
        self.change(key, move |stored: Option<Family>, writer| {
            let Some(mut stored) = stored else { return Ok(false) };
            if stored.revoked || (stored.generation, stored.nonce) != from {
                return Ok(false);
            }
            stored.roll_forward(to, issued, context);
            put_family(writer, &at, &stored)?;
            Ok(true)
        })
        .await
    }

    async fn revoke_family(&self, family: FamilyId, now: Timestamp) -> Result<bool, StoreError> {
        // First: what is answered must be in the log too.
        self.log(&Event::Family { family }, now).await?;
        let key = family_key(family);
        let at = key.clone();
        self.change(key, move |stored: Option<Family>, writer| {
            let Some(mut stored) = stored.filter(|stored| !stored.revoked) else {
                return Ok(false);
            };
            stored.revoked = true;
            put_family(writer, &at, &stored)?;
            append(writer, &Event::Family { family }, now)?;
            Ok(true)
        })
        .await
    }

    async fn confirm_all(&self, receipts: &[Receipt], now: Timestamp) -> Result<(), StoreError> {
        // Most receipts repeat what is known: then nothing is written.
        let mut news = Vec::new();
        for receipt in receipts {
            let key = family_key(receipt.family);
            let stored: Option<Family> = self.read(&key)?;
            if stored.is_some_and(|mut stored| stored.note_call(receipt.generation, now)) {
                news.push((key, receipt.generation));
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        let work = move |writer: &mut Writer<'_>| {
            for (key, generation) in &news {
                let Some(bytes) = writer.get(key.as_bytes())? else { continue };
                let mut stored: Family = decode(&bytes).map_err(|error| corrupt(&error))?;
                if stored.note_call(*generation, now) {
                    put_family(writer, key, &stored)?;
                }
            }
            Ok(())
        };
        Ok(self.engine.write(work).await?)
    }
}

impl EmbeddedStore {
    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let bytes = self.engine.read(|reader| reader.get(key.as_bytes()))?;
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    /// One transaction over one record: what `change` returns as second is written back.
    async fn change<T, R>(
        &self,
        key: String,
        change: impl FnOnce(Option<T>, &mut Writer<'_>) -> Result<R, store::StoreError> + Send + 'static,
    ) -> Result<R, StoreError>
    where
        T: DeserializeOwned,
        R: Send + 'static,
    {
        let work = move |writer: &mut Writer<'_>| {
            let bytes = writer.get(key.as_bytes())?;
            let record =
                bytes.map(|bytes| decode(&bytes)).transpose().map_err(|error| corrupt(&error))?;
            change(record, writer)
        };
        Ok(self.engine.write(work).await?)
    }
}

pub(in crate::store) fn put_family(
    writer: &mut Writer<'_>,
    key: &str,
    family: &Family,
) -> Result<(), store::StoreError> {
    let expires = family.absolute_expiry.plus(AFTER_EXPIRY).millis();
    writer.put(key.as_bytes(), &encode(family).map_err(|error| corrupt(&error))?, Some(expires))
}
