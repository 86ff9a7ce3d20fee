//! The verbs on Redis: one script each, all keys of a family in one slot.

mod families;
pub(super) mod family;
mod feed;
pub(super) mod keys;
mod recent;
mod records;

use async_trait::async_trait;
use shared::time::Timestamp;
use store::{Redis, Reply, Script};

pub(super) use self::families::INDEX;
use self::recent::Recent;
use super::{Store, StoreError, terms::KnownTerms};

/// auth-server's store in Redis.
#[derive(Clone, Debug)]
pub(crate) struct RedisStore {
    /// The epoch this process proposes if the feed has none yet.
    epoch: String,
    /// Whether an answer waits until the writes behind it cannot be lost.
    lasts: bool,
    recent: Recent,
    redis: Redis,
    terms: KnownTerms,
    /// Whether the caller's time is believed: for tests that move the clock.
    trust_caller_clock: bool,
}

impl RedisStore {
    /// A store on a connected engine.
    pub(crate) fn new(redis: Redis, epoch: String, trust_caller_clock: bool) -> Self {
        let (recent, terms) = (Recent::new(), KnownTerms::new());
        Self { epoch, lasts: true, recent, redis, terms, trust_caller_clock }
    }

    /// The same store for writes that are kept elsewhere until they last: it does not wait, so
    /// that a server that has just lost its replicas can be brought up to date.
    pub(crate) fn without_waiting(&self) -> Self {
        Self { lasts: false, ..self.clone() }
    }

    async fn run_lasting(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Reply, store::StoreError> {
        if self.lasts {
            self.redis.run_durable(script, keys, arguments).await
        } else {
            self.redis.run(script, keys, arguments).await
        }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Redis {
        &self.redis
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn mark(&self, _now: Timestamp) -> Result<(), StoreError> {
        // The guard of this store has the log.
        Ok(())
    }

    async fn sweep(&self, _now: Timestamp) -> Result<usize, StoreError> {
        // Redis forgets by itself.
        Ok(0)
    }
}
