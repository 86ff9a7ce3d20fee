//! The verbs on the embedded file: each is one transaction, answered when it is on disk.

mod records;

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    ids::{ClientId, FamilyId, UserId},
    internal::{Event, Receipt},
    secret::SecretHash,
    time::Timestamp,
};
use store::{Embedded, Writer};

use self::records::{
    FEED_LAST, append, client_key, code_key, corrupt, event_key, event_seq, family_key, index_key,
    number, put_family, session_key,
};
use super::{
    CodeRecord, FEED_PAGE, Feed, MOST_FAMILIES, Redemption, Rotation, Session, Store, StoreError,
    TOMBSTONE, WRONG_VERIFIERS,
};
use crate::rules::{
    client_metadata::Client,
    refresh_token::Nonce,
    rotation::{Attempt, Context, Family, Presented, Step, step},
};
use crate::store::record::{decode, encode};

/// auth-server's store in an embedded file.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedStore {
    engine: Embedded,
    epoch: String,
}

/// A code's record with what happened to it since.
#[derive(Debug, Serialize, serde::Deserialize)]
struct StoredCode {
    misses: u32,
    record: CodeRecord,
    used: Option<Timestamp>,
}

impl EmbeddedStore {
    /// A store on an open engine. The file has one process, so its feed begins anew with it:
    /// `epoch` must differ at every start.
    pub(crate) fn new(engine: Embedded, epoch: String) -> Self {
        Self { engine, epoch }
    }

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

#[async_trait]
impl Store for EmbeddedStore {
    async fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.read(&client_key(id))
    }

    async fn put_client(&self, client: &Client) -> Result<(), StoreError> {
        let (key, value) = (client_key(&client.id), encode(client)?);
        // Registering again touches a client; nothing is written when nothing changed.
        let registered = |stored: Client| Client { registered: client.registered, ..stored };
        if self.read(&key)?.map(registered).as_ref() == Some(client) {
            return Ok(());
        }
        Ok(self.engine.write(move |writer| writer.put(key.as_bytes(), &value, None)).await?)
    }

    async fn session(&self, secret: &SecretHash) -> Result<Option<Session>, StoreError> {
        self.read(&session_key(secret))
    }

    async fn put_session(&self, secret: &SecretHash, session: &Session) -> Result<(), StoreError> {
        let (key, value, expires) =
            (session_key(secret), encode(session)?, session.expires.millis());
        let work = move |writer: &mut Writer<'_>| writer.put(key.as_bytes(), &value, Some(expires));
        Ok(self.engine.write(work).await?)
    }

    async fn take_ticket(&self, digest: &str, expires: Timestamp) -> Result<bool, StoreError> {
        let key = format!("ticket/{digest}");
        let work = move |writer: &mut Writer<'_>| {
            if writer.get(key.as_bytes())?.is_some() {
                return Ok(false);
            }
            writer.put(key.as_bytes(), b"1", Some(expires.millis()))?;
            Ok(true)
        };
        Ok(self.engine.write(work).await?)
    }

    async fn has_note(&self, digest: &str) -> Result<bool, StoreError> {
        let key = format!("ticket/{digest}");
        Ok(self.engine.read(|reader| reader.get(key.as_bytes()))?.is_some())
    }

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
            put_family(writer, &family_key, &created)?;
            let index = index_key(&created.grant.user, &created.grant.client);
            let expires = created.absolute_expiry.millis();
            writer.put(format!("{index}{family}").as_bytes(), b"1", Some(expires))?;
            Ok(Redemption::First)
        })
        .await
    }

    async fn family(&self, family: FamilyId) -> Result<Option<Family>, StoreError> {
        self.read(&family_key(family))
    }

    async fn families_of(
        &self,
        user: &UserId,
        client: &ClientId,
    ) -> Result<Vec<FamilyId>, StoreError> {
        let index = index_key(user, client);
        let entries = self.engine.read(|reader| reader.scan(index.as_bytes(), MOST_FAMILIES))?;
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
        self.change(key, move |stored: Option<Family>, writer| {
            let Some(mut stored) = stored else { return Ok(None) };
            let before = stored.clone();
            let attempt = Attempt { client: &client, context, now, policy };
            let outcome = step(&mut stored, &token, &attempt);
            if stored != before {
                put_family(writer, &at, &stored)?;
            }
            if outcome == Step::Reuse {
                append(writer, &Event::Family { family }, now)?;
            }
            Ok(Some(Rotation { family: stored, step: outcome }))
        })
        .await
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

    async fn confirm(&self, receipt: Receipt) -> Result<(), StoreError> {
        let key = family_key(receipt.family);
        let stored: Option<Family> = self.read(&key)?;
        // Most receipts repeat what is known: then nothing is written.
        if !stored.is_some_and(|stored| stored.awaits(receipt.generation)) {
            return Ok(());
        }
        let at = key.clone();
        self.change(key, move |stored: Option<Family>, writer| {
            let Some(mut stored) = stored.filter(|stored| stored.awaits(receipt.generation)) else {
                return Ok(());
            };
            stored.confirmed = true;
            put_family(writer, &at, &stored)
        })
        .await
    }

    async fn key_set(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = format!("keys/{name}");
        Ok(self.engine.read(|reader| reader.get(key.as_bytes()))?)
    }

    async fn replace_key_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        set: &[u8],
    ) -> Result<bool, StoreError> {
        let key = format!("keys/{name}");
        let (expected, set) = (expected.map(<[u8]>::to_vec), set.to_vec());
        let work = move |writer: &mut Writer<'_>| {
            if writer.get(key.as_bytes())? != expected {
                return Ok(false);
            }
            writer.put(key.as_bytes(), &set, None)?;
            Ok(true)
        };
        Ok(self.engine.write(work).await?)
    }

    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        let event = event.clone();
        Ok(self.engine.write(move |writer| append(writer, &event, now)).await?)
    }

    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError> {
        let (last, entries) = self.engine.read(|reader| {
            let last = reader.get(FEED_LAST)?.map_or(0, |bytes| number(&bytes));
            let from = event_key(after.unwrap_or(0));
            let none = after.is_some_and(|after| after >= last);
            let entries = if none {
                Vec::new()
            } else {
                reader.scan_after(b"event/", from.as_bytes(), FEED_PAGE)?
            };
            Ok((last, entries))
        })?;
        let events = entries.iter().map(|(_, value)| decode(value)).collect::<Result<_, _>>()?;
        // A full page ends where it ends; the reader goes on from there.
        let last = match entries.last() {
            Some((key, _)) if entries.len() == FEED_PAGE => event_seq(key).unwrap_or(last),
            _ => last,
        };
        Ok(Feed { epoch: self.epoch.clone(), events, last })
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        Ok(self.engine.sweep(now.millis(), 10_000).await?)
    }
}
