//! Where auth-server keeps its state, from an open engine to a store that may be served.

use std::{path::PathBuf, sync::Arc};

use shared::time::{Clock, Timestamp};

use crate::{
    mint,
    store::{EmbeddedStore, GuardedStore, Journal, RedisStore, Store, StoreError, Transfer},
};

/// Where auth-server keeps its state.
#[derive(Clone, Debug)]
pub enum Engine {
    /// One process, one file, and the log of revocations; without it an older copy of the file
    /// is not told from the newest.
    Embedded(store::Embedded, Option<PathBuf>),
    /// Many processes, one Redis, and for each process a log of revocations.
    Redis(store::Redis, PathBuf),
}

impl Engine {
    /// The store for requests. What the log of revocations has and the store has lost is in
    /// force again; a sealed store is refused.
    pub(crate) async fn open(self, clock: &Clock) -> Result<Arc<dyn Store>, StoreError> {
        let now = clock.now();
        let whole = self.whole(clock)?;
        if let Some(why) = whole.store().sealed().await? {
            return Err(StoreError::Sealed(why));
        }
        // Of the same moment as the mark below: a log begins no later than its store.
        let journal = self.journal(now)?;
        let epoch = epoch()?;
        let store: Arc<dyn Store> = match (self, journal) {
            (Self::Embedded(engine, _), Some(journal)) => {
                Arc::new(EmbeddedStore::open(engine, epoch, journal, now).await?)
            }
            (Self::Redis(redis, _), Some(journal)) => {
                let inner = redis_store(redis, epoch, clock);
                Arc::new(GuardedStore::open(inner, journal, clock.clone()).await?)
            }
            (Self::Embedded(engine, None), None) => Arc::new(EmbeddedStore::new(engine, epoch)),
            (_, None) => return Err(StoreError::Journal("there is none".to_owned())),
        };
        store.mark(now).await?;
        Ok(store)
    }

    /// The store as it is, for copies of all of it: nothing is compared with the log.
    pub(crate) fn whole(&self, clock: &Clock) -> Result<Arc<dyn Transfer>, StoreError> {
        let epoch = epoch()?;
        Ok(match self.clone() {
            Self::Embedded(engine, _) => Arc::new(EmbeddedStore::new(engine, epoch)),
            Self::Redis(redis, _) => Arc::new(redis_store(redis, epoch, clock)),
        })
    }

    /// Tells of everything the store is asked from now on.
    pub(crate) fn observe(&self, observer: store::Observer) {
        match self {
            Self::Embedded(engine, _) => engine.observe(observer),
            Self::Redis(redis, _) => redis.observe(observer),
        }
    }

    /// The log of revocations, if the engine has one.
    pub(crate) fn journal(&self, now: Timestamp) -> Result<Option<Journal>, StoreError> {
        let path = match self {
            Self::Embedded(_, path) => path.as_ref(),
            Self::Redis(_, path) => Some(path),
        };
        path.map(|path| Journal::open(path, now)).transpose()
    }
}

fn redis_store(redis: store::Redis, epoch: String, clock: &Clock) -> RedisStore {
    RedisStore::new(redis, epoch, matches!(clock, Clock::Manual(_)))
}

fn epoch() -> Result<String, StoreError> {
    mint::token_id().map_err(|error| StoreError::Journal(error.to_string()))
}
