//! The whole content of the file.

use async_trait::async_trait;
use shared::{ids::FamilyId, time::Timestamp};
use store::{Kept, Writer};
use tokio::sync::mpsc::Sender;

use super::{Piece, Transfer, code_hash, record_of, record_piece, unknown_key};
use crate::{
    rules::rotation::Family,
    store::{
        EmbeddedStore, Kind, Owner, StoreError,
        embedded::{
            StoredCode,
            keys::{code_key, corrupt, count_key, family_key, index_key, number, record_key},
            put_event, put_family,
        },
        record::{decode, encode},
    },
};

/// How many entries one look holds.
const PAGE: usize = 512;

#[async_trait]
impl Transfer for EmbeddedStore {
    async fn pieces(&self, into: Sender<Piece>) -> Result<(), StoreError> {
        let engine = self.engine().clone();
        // One transaction: what is read is of one moment, however long it takes.
        let read = move || {
            engine.read(|reader| {
                let mut after = Vec::new();
                loop {
                    let page = reader.kept_after(&after, PAGE)?;
                    let Some(last) = page.last() else { return Ok(()) };
                    after.clone_from(&last.key);
                    for kept in &page {
                        let piece = piece(kept).map_err(|error| corrupt(&error))?;
                        if piece.is_some_and(|piece| into.blocking_send(piece).is_err()) {
                            return Ok(());
                        }
                    }
                }
            })
        };
        let done = tokio::task::spawn_blocking(read).await;
        Ok(done.map_err(|error| StoreError::Corrupt(error.to_string()))??)
    }

    async fn take_up(&self, pieces: Vec<Piece>) -> Result<(), StoreError> {
        let work = move |writer: &mut Writer<'_>| {
            for piece in &pieces {
                put(writer, piece)?;
            }
            Ok(())
        };
        Ok(self.engine().write(work).await?)
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        let mark = record_key(Kind::Mark, "");
        let first = self.engine().read(|reader| reader.kept_after(&[], PAGE))?;
        Ok(first.iter().all(|kept| kept.key.starts_with(mark.as_bytes())))
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn piece(kept: &Kept) -> Result<Option<Piece>, StoreError> {
    let key = std::str::from_utf8(&kept.key)
        .map_err(|_| unknown_key(&String::from_utf8_lossy(&kept.key)))?;
    let expires = kept.expires_ms.map(Timestamp::from_millis);
    let (class, rest) = key.split_once('/').ok_or_else(|| unknown_key(key))?;
    let id = |text: &str| FamilyId::parse(text).map_err(|_| unknown_key(key));
    Ok(match class {
        "client-grant" | "count" | "feed" | "grant" => None,
        "code" => {
            let (family, code) = rest.split_once('/').ok_or_else(|| unknown_key(key))?;
            let StoredCode { misses, record, used } = decode(&kept.value)?;
            let (code, family, record) = (code_hash(code)?, id(family)?, Box::new(record));
            Some(Piece::Code { code, expires, family, misses, record, used })
        }
        "event" => {
            let event = decode(&kept.value)?;
            Some(Piece::Event { event, expires: expires.unwrap_or_default() })
        }
        "family" => {
            let held: Family = decode(&kept.value)?;
            Some(Piece::Family { family: id(rest)?, held: Box::new(held) })
        }
        _ => {
            let kind = Kind::named(class).ok_or_else(|| unknown_key(key))?;
            record_piece(kind, rest, &kept.value, expires)
        }
    })
}

fn put(writer: &mut Writer<'_>, piece: &Piece) -> Result<(), store::StoreError> {
    match piece {
        Piece::Code { code, expires, family, misses, record, used } => {
            let stored = StoredCode { misses: *misses, record: (**record).clone(), used: *used };
            let value = encode(&stored).map_err(|error| corrupt(&error))?;
            let expires = expires.map(Timestamp::millis);
            writer.put(code_key(*family, code).as_bytes(), &value, expires)
        }
        Piece::Event { event, expires } => put_event(writer, event, *expires),
        Piece::Family { family, held } => {
            put_family(writer, &family_key(*family), held)?;
            let expires = Some(held.absolute_expiry.millis());
            for owner in [Owner::Client(&held.grant.client), Owner::Person(&held.grant.user)] {
                let index = index_key(owner);
                writer.put(format!("{index}{family}").as_bytes(), b"1", expires)?;
            }
            Ok(())
        }
        Piece::Record { expires, key, kind, value } => {
            let (kind, value) = record_of(kind, value).map_err(|error| corrupt(&error))?;
            let (at, expires) = (record_key(kind, key), expires.map(Timestamp::millis));
            if kind.is_counted() && writer.get(at.as_bytes())?.is_none() {
                let counter = count_key(kind);
                let count = writer.get(counter.as_bytes())?.map_or(0, |bytes| number(&bytes)) + 1;
                writer.put(counter.as_bytes(), &count.to_be_bytes(), None)?;
            }
            writer.put(at.as_bytes(), &value, expires)
        }
    }
}
