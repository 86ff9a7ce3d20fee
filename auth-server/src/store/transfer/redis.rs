//! The whole content of Redis. It is read while others may write: each piece is of one moment.

use std::collections::HashSet;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use shared::{ids::FamilyId, time::Timestamp};
use store::{Reply, Script};
use tokio::sync::mpsc::Sender;

use super::{Piece, Transfer, code_hash, record_of, record_piece, unknown_key};
use crate::store::{
    AFTER_EXPIRY, Expected, Families, Kind, Owner, Records, RedisStore, StoreError,
    record::{decode, encode},
    redis::{
        INDEX,
        family::pack,
        keys::{code_key, family_key, index_key, list_key, millis, record_key},
    },
};

static CODE: Script = Script::new("code_kept", include_str!("code_kept.lua"));
static EVENTS: Script = Script::new("events_kept", "return redis.call('ZRANGE', KEYS[1], 0, -1)");
static PUT_CODE: Script = Script::new("put_code_kept", include_str!("put_code_kept.lua"));
static PUT_EVENT: Script = Script::new("put_event_kept", include_str!("put_event_kept.lua"));
static PUT_FAMILY: Script = Script::new("put_family", include_str!("put_family.lua"));
static RECORD: Script = Script::new("record_kept", include_str!("record_kept.lua"));

/// How many keys are read or written at the same time.
const PARALLEL: usize = 32;

#[async_trait]
impl Transfer for RedisStore {
    async fn pieces(&self, into: Sender<Piece>) -> Result<(), StoreError> {
        let mut keys = self.engine().keys_kept().await?;
        // What says how far a list goes is read after the list.
        let head = record_key(Kind::AuditHead, "");
        keys.sort_by_key(|key| key.starts_with(&head));
        let (mut known, mut named) = (HashSet::new(), HashSet::new());
        for some in keys.chunks(PARALLEL) {
            for piece in
                try_join_all(some.iter().map(|key| self.piece(key))).await?.into_iter().flatten()
            {
                match &piece {
                    Piece::Family { held, .. } => {
                        named.insert(held.grant.terms().id().to_string());
                    }
                    Piece::Record { key, kind, .. } if kind == Kind::Terms.name() => {
                        known.insert(key.clone());
                    }
                    _ => {}
                }
                if into.send(piece).await.is_err() {
                    return Ok(());
                }
            }
        }
        // Terms that were written while the keys were looked for, and so were not found with the
        // families that need them.
        for key in named.difference(&known) {
            let piece = self.piece(&record_key(Kind::Terms, key)).await?;
            let piece = piece.ok_or_else(|| StoreError::Corrupt("the terms of a family".into()))?;
            if into.send(piece).await.is_err() {
                return Ok(());
            }
        }
        let events = self.engine().run(&EVENTS, &["{feed}:events"], &[]).await?.into_array()?;
        for entry in &events {
            if into.send(event(entry)?).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn take_up(&self, pieces: Vec<Piece>) -> Result<(), StoreError> {
        for some in pieces.chunks(PARALLEL) {
            // In their order; there are few.
            for piece in some {
                if let Piece::Event { event, expires } = piece {
                    let (value, expires) = (encode(event)?, expires.millis().to_string());
                    let arguments = [value.as_slice(), expires.as_bytes()];
                    let keys = ["{feed}:last", "{feed}:events"];
                    self.engine().run(&PUT_EVENT, &keys, &arguments).await?;
                }
            }
            try_join_all(some.iter().map(|piece| self.put(piece))).await?;
        }
        Ok(())
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        let mark = record_key(Kind::Mark, "");
        let keys = self.engine().keys_kept().await?;
        Ok(keys.iter().all(|key| key.starts_with(&mark) || is_derived(key)))
    }

    async fn settle(&self) -> Result<(), StoreError> {
        let keys = self.engine().keys_kept().await?;
        Ok(self.engine().settle(&keys).await?)
    }
}

impl RedisStore {
    async fn piece(&self, key: &str) -> Result<Option<Piece>, StoreError> {
        if is_derived(key) || key.starts_with("{feed}:") {
            return Ok(None);
        }
        let id = |text: &str| {
            let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            let id = text.and_then(|text| FamilyId::parse(text).ok());
            id.ok_or_else(|| unknown_key(key))
        };
        if let Some(rest) = key.strip_prefix('f').filter(|rest| rest.starts_with('{')) {
            let family = id(rest)?;
            let held = self.family(family).await?;
            return Ok(held.map(|held| Piece::Family { family, held: Box::new(held) }));
        }
        let (class, rest) = key.split_once(':').ok_or_else(|| unknown_key(key))?;
        if class == "code" {
            let (family, code) = rest.split_once(':').ok_or_else(|| unknown_key(key))?;
            return self.code_piece(key, id(family)?, code).await;
        }
        let kind = Kind::named(class).ok_or_else(|| unknown_key(key))?;
        let fields = self.engine().run(&RECORD, &[key], &[]).await?.into_array()?;
        let Some(value) = fields.first().and_then(|value| value.as_bytes().ok()) else {
            return Ok(None);
        };
        Ok(record_piece(kind, rest, value, fields.get(1).and_then(expiry)))
    }

    async fn code_piece(
        &self,
        key: &str,
        family: FamilyId,
        code: &str,
    ) -> Result<Option<Piece>, StoreError> {
        let fields = self.engine().run(&CODE, &[key], &[]).await?.into_array()?;
        let Some(record) = fields.first().and_then(|record| record.as_bytes().ok()) else {
            return Ok(None);
        };
        let misses = fields.get(2).and_then(|reply| reply.as_int().ok()).unwrap_or(0);
        Ok(Some(Piece::Code {
            code: code_hash(code)?,
            expires: fields.get(3).and_then(expiry),
            family,
            misses: u32::try_from(misses).unwrap_or_default(),
            record: Box::new(decode(record)?),
            used: fields.get(1).and_then(millis),
        }))
    }

    async fn put(&self, piece: &Piece) -> Result<(), StoreError> {
        match piece {
            Piece::Code { code, expires, family, misses, record, used } => {
                let value = encode(&**record)?;
                let texts = [
                    record.expires.millis().to_string(),
                    misses.to_string(),
                    used.map_or_else(String::new, |used| used.millis().to_string()),
                    expires.unwrap_or(record.expires).millis().to_string(),
                ];
                let [expiry, misses, used, forget] = texts.each_ref().map(String::as_bytes);
                let arguments = [value.as_slice(), expiry, misses, used, forget];
                self.engine().run(&PUT_CODE, &[&code_key(*family, code)], &arguments).await?;
            }
            Piece::Event { .. } => {}
            Piece::Family { family, held } => {
                let forget = held.absolute_expiry.plus(AFTER_EXPIRY).millis().to_string();
                let index = [family.as_bytes().as_slice(), forget.as_bytes(), b"0".as_slice()];
                for owner in [Owner::Client(&held.grant.client), Owner::Person(&held.grant.user)] {
                    self.engine().run(&INDEX, &[&index_key(owner)], &index).await?;
                }
                let packed = pack(held);
                let arguments = [forget.as_bytes(), packed.as_slice()];
                self.engine().run(&PUT_FAMILY, &[&family_key(*family)], &arguments).await?;
            }
            Piece::Record { expires, key, kind, value } => {
                let (kind, value) = record_of(kind, value)?;
                let anything = Expected::Anything;
                let store = self.without_waiting();
                store.replace_record(kind, key, anything, Some(&value), *expires).await?;
            }
        }
        Ok(())
    }
}

/// What is made anew from the pieces: lists, indexes, and the marks of durable writes.
fn is_derived(key: &str) -> bool {
    let lists = key
        .strip_prefix("list:")
        .is_some_and(|kind| Kind::named(kind).is_some_and(|kind| list_key(kind) == key));
    lists
        || key.starts_with("client-grants:")
        || key.starts_with("grants:")
        || key == "durable"
        || key.ends_with("}:durable")
}

fn event(entry: &Reply) -> Result<Piece, StoreError> {
    let corrupt = || StoreError::Corrupt("the feed".to_owned());
    let mut parts = entry.as_str()?.splitn(3, ' ').skip(1);
    let expires = parts.next().and_then(|text| text.parse().ok()).ok_or_else(corrupt)?;
    let event = decode(parts.next().ok_or_else(corrupt)?.as_bytes())?;
    Ok(Piece::Event { event, expires: Timestamp::from_millis(expires) })
}

/// What PEXPIRETIME says; negative for what never expires.
fn expiry(reply: &Reply) -> Option<Timestamp> {
    u64::try_from(reply.as_int().ok()?).ok().map(Timestamp::from_millis)
}
