//! The verbs on Redis: one script each, all keys of a family in one slot.

mod families;
mod family;
mod feed;
mod keys;
mod records;

use async_trait::async_trait;
use shared::time::Timestamp;
use store::Redis;

use super::{Store, StoreError};

/// auth-server's store in Redis.
#[derive(Clone, Debug)]
pub(crate) struct RedisStore {
    /// The epoch this process proposes if the feed has none yet.
    epoch: String,
    redis: Redis,
    /// Whether the caller's time is believed: for tests that move the clock.
    trust_caller_clock: bool,
}

impl RedisStore {
    /// A store on a connected engine.
    pub(crate) fn new(redis: Redis, epoch: String, trust_caller_clock: bool) -> Self {
        Self { epoch, redis, trust_caller_clock }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Redis {
        &self.redis
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn sweep(&self, _now: Timestamp) -> Result<usize, StoreError> {
        // Redis forgets by itself.
        Ok(0)
    }
}
