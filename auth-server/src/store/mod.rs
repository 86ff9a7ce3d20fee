//! What auth-server keeps, as verbs: each is atomic in every engine, and a failed one changed
//! nothing. Records that have expired may be gone at any time, so every read compares `now`.

mod accounts;
mod api_keys;
#[cfg(test)]
mod client_contract;
mod clients;
mod consents;
#[cfg(test)]
pub(crate) mod contract;
mod doubts;
mod embedded;
mod families;
#[cfg(test)]
mod family_contract;
mod feed;
mod guarded;
#[cfg(test)]
mod guarded_contract;
mod journal;
mod keys;
mod marks;
#[cfg(test)]
mod measure;
mod reassert;
mod record;
#[cfg(test)]
mod record_contract;
mod records;
mod redis;
mod sessions;
mod source;
mod terms;
mod transfer;
mod upstreams;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use shared::time::Timestamp;

pub use self::transfer::Census;
pub(crate) use self::{
    accounts::{Account, Workspace},
    clients::Registered,
    embedded::EmbeddedStore,
    families::{CodeRecord, Families, Redemption, Rotation, WRONG_VERIFIERS},
    feed::{EventFeed, Feed},
    guarded::GuardedStore,
    journal::{Journal, Standing},
    marks::PutBack,
    record::{decode as decoded, encode as encoded},
    records::{Expected, Kind, NewRecord, Owner, Records},
    redis::RedisStore,
    sessions::Session,
    source::Source,
    transfer::{Transfer, census, read_backup, walk, write_backup},
    upstreams::{UpstreamAttempt, UpstreamLink},
};

/// Why a verb could not be carried out. Never shown to a peer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file that is a back-up, or is to be one.
    #[error("{0}")]
    Backup(String),
    /// The clocks of this process and of the store are more than 30 s apart.
    #[error("the clocks of this process and of the store are more than 30 s apart")]
    ClockSkew,
    /// Others changed the same record all the time.
    #[error("a record of the kind {0} is changed by too many at once")]
    Contended(&'static str),
    /// A record that cannot be read.
    #[error("a record cannot be read: {0}")]
    Corrupt(String),
    /// An older copy of the store was put back, and other servers' logs may hold more.
    #[error(
        "an older copy of the store was put back, and revocations may be missing that other \
         auth-servers have in their logs ({}): start them, or give their logs to \
         `vestibule store restore --log`, or accept the loss with \
         `vestibule store restore --accept-lost-revocations`",
        .0.join(", ")
    )]
    OthersHoldMore(Vec<String>),
    /// The journal of revocations cannot be read or written.
    #[error("the journal of revocations cannot be used: {0}; see to the data folder")]
    Journal(String),
    /// An older copy of the store was put back, or the log of revocations is gone.
    #[error(
        "revocations may be lost: the store is of {as_of} and the log of revocations begins at \
         {since} (milliseconds since 1970); put the log back where it was, or give it to \
         `vestibule store restore --log`, or accept the loss with \
         `vestibule store restore --accept-lost-revocations`",
        as_of = .as_of.millis(),
        since = .since.millis()
    )]
    RevocationsLost { as_of: Timestamp, since: Timestamp },
    /// No server may use the store.
    #[error("the store is sealed: {0}")]
    Sealed(String),
    /// The engine's fault.
    #[error("the store cannot answer")]
    Engine(#[from] store::StoreError),
}

/// Everything that is kept.
#[async_trait]
pub(crate) trait Store: Debug + EventFeed + Families + Records + Send + Sync {
    /// Says that everything that was answered until now is in the store, for the time when it
    /// may be an older copy of itself.
    async fn mark(&self, now: Timestamp) -> Result<(), StoreError>;
    /// Drops what has expired.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError>;
}

/// How many events one answer of the feed holds at most.
pub(crate) const FEED_PAGE: usize = 100_000;
/// How long an event stays on the feed: longer than any access token lives.
pub(crate) const EVENT_LIFE: Duration = Duration::from_hours(2);
/// How long a redeemed code is remembered.
pub(crate) const TOMBSTONE: Duration = Duration::from_hours(1);
/// How long a dead family is remembered after its absolute expiry.
pub(crate) const AFTER_EXPIRY: Duration = Duration::from_hours(24);
/// How far the clocks of a process and of the store may be apart.
pub(crate) const MOST_SKEW: Duration = Duration::from_secs(30);
