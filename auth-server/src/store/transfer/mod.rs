//! Everything that is kept, piece by piece and in one form for both engines: what a back-up holds
//! and what moves from one engine to the other. Indexes and counters are made anew from it.

mod embedded;
mod file;
mod redis;

use std::{collections::BTreeMap, future::Future};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{ids::FamilyId, internal::Event, secret::SecretHash, time::Timestamp};
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub(crate) use self::file::{read_backup, write_backup};
use super::{CodeRecord, Kind, Store, StoreError};
use crate::rules::rotation::Family;

/// How many pieces are written at once.
const BATCH: usize = 256;

/// A piece of what is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Piece {
    /// A code with what happened to it since.
    Code {
        code: SecretHash,
        expires: Option<Timestamp>,
        family: FamilyId,
        misses: u32,
        record: Box<CodeRecord>,
        used: Option<Timestamp>,
    },
    /// An event on the feed.
    Event {
        event: Event,
        expires: Timestamp,
    },
    Family {
        family: FamilyId,
        held: Box<Family>,
    },
    Record {
        expires: Option<Timestamp>,
        key: String,
        kind: String,
        /// In base64url.
        value: String,
    },
}

impl Piece {
    fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Code { expires, .. } | Self::Record { expires, .. } => *expires,
            Self::Event { expires, .. } => Some(*expires),
            Self::Family { held, .. } => Some(held.absolute_expiry.plus(super::AFTER_EXPIRY)),
        }
    }

    fn class(&self) -> &str {
        match self {
            Self::Code { .. } => "code",
            Self::Event { .. } => "event",
            Self::Family { .. } => "family",
            Self::Record { kind, .. } => kind,
        }
    }
}

/// An engine whose whole content can be read and written.
#[async_trait]
pub(crate) trait Transfer: Store {
    /// Gives every piece, events in their order, until nobody listens.
    async fn pieces(&self, into: Sender<Piece>) -> Result<(), StoreError>;

    /// Writes pieces, with their indexes.
    async fn take_up(&self, pieces: Vec<Piece>) -> Result<(), StoreError>;

    /// Whether nothing but marks is kept.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// Returns when nothing that was written can be lost any more.
    async fn settle(&self) -> Result<(), StoreError>;
}

impl dyn Transfer + '_ {
    /// The same store, for its typed records.
    pub(crate) fn store(&self) -> &dyn Store {
        self
    }
}

/// How much is kept, and a digest of all of it that does not depend on the order. What ends
/// before `until` is in neither, because it may end while it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// How many there are, by class.
    pub counts: BTreeMap<String, u64>,
    /// In base64url.
    pub digest: String,
    until: Timestamp,
}

#[derive(Debug)]
struct Counting {
    counts: BTreeMap<String, u64>,
    digest: [u8; 32],
    until: Timestamp,
}

impl Counting {
    fn new(until: Timestamp) -> Self {
        Self { counts: BTreeMap::new(), digest: [0; 32], until }
    }

    fn add(&mut self, piece: &Piece) -> Result<(), StoreError> {
        if piece.expires().is_some_and(|expires| expires <= self.until) {
            return Ok(());
        }
        let text = to_line(piece)?;
        for (sum, byte) in self.digest.iter_mut().zip(Sha256::digest(&text)) {
            *sum ^= byte;
        }
        *self.counts.entry(piece.class().to_owned()).or_default() += 1;
        Ok(())
    }

    fn done(self) -> Census {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let digest = URL_SAFE_NO_PAD.encode(self.digest);
        Census { counts: self.counts, digest, until: self.until }
    }
}

/// Reads everything, counts it and gives it to `each`.
pub(crate) async fn walk<F: Future<Output = Result<(), StoreError>>>(
    store: &dyn Transfer,
    until: Timestamp,
    mut each: impl FnMut(Vec<Piece>) -> F,
) -> Result<Census, StoreError> {
    let (into, mut pieces): (Sender<Piece>, Receiver<Piece>) = channel(BATCH);
    let mut counting = Counting::new(until);
    let taking = async {
        let mut batch = Vec::new();
        while pieces.recv_many(&mut batch, BATCH).await > 0 {
            batch.iter().try_for_each(|piece| counting.add(piece))?;
            each(std::mem::take(&mut batch)).await?;
        }
        Ok::<_, StoreError>(())
    };
    let ((), ()) = tokio::try_join!(store.pieces(into), taking)?;
    Ok(counting.done())
}

/// Counts everything.
pub(crate) async fn census(store: &dyn Transfer, until: Timestamp) -> Result<Census, StoreError> {
    walk(store, until, async |_| Ok(())).await
}

fn to_line(piece: &Piece) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(piece).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A record as a piece. Marks belong to the store they are in.
fn record_piece(kind: Kind, key: &str, value: &[u8], expires: Option<Timestamp>) -> Option<Piece> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    (kind != Kind::Mark).then(|| Piece::Record {
        expires,
        key: key.to_owned(),
        kind: kind.name().to_owned(),
        value: URL_SAFE_NO_PAD.encode(value),
    })
}

fn record_of(kind: &str, value: &str) -> Result<(Kind, Vec<u8>), StoreError> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let unknown = || StoreError::Corrupt(format!("a record of the unknown kind {kind}"));
    let kind = Kind::named(kind).ok_or_else(unknown)?;
    let value = URL_SAFE_NO_PAD.decode(value);
    Ok((kind, value.map_err(|error| StoreError::Corrupt(error.to_string()))?))
}

fn code_hash(text: &str) -> Result<SecretHash, StoreError> {
    serde_json::from_value(text.into()).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn unknown_key(key: &str) -> StoreError {
    StoreError::Corrupt(format!("the key {key:?} is of no kind this program knows"))
}
