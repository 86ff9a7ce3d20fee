//! The verbs on the embedded file: each is one transaction, answered when it is on disk.

mod families;
mod feed;
pub(super) mod keys;
mod records;

use async_trait::async_trait;
use shared::{internal::Event, time::Timestamp};
use store::Embedded;

pub(super) use self::{
    families::{StoredCode, put_family},
    feed::put_event,
};
use super::{
    EventFeed, Families, Journal, Store, StoreError, journal::Logged, reassert::Due,
    terms::KnownTerms,
};

/// auth-server's store in an embedded file.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedStore {
    engine: Embedded,
    epoch: String,
    /// Where revocations stay when an older copy of the file is put back.
    journal: Option<Journal>,
    terms: KnownTerms,
}

impl EmbeddedStore {
    /// A store on an open engine, without a log of revocations. The file has one process, so its
    /// feed begins anew with it: `epoch` must differ at every start.
    pub(crate) fn new(engine: Embedded, epoch: String) -> Self {
        Self { engine, epoch, journal: None, terms: KnownTerms::new() }
    }

    /// The same with its log: what the file has lost is in force again.
    pub(crate) async fn open(
        engine: Embedded,
        epoch: String,
        journal: Journal,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let store = Self::new(engine, epoch);
        let due = Due::of(&store, &journal, now, None).await?;
        due.apply(&store, now).await?;
        let mut again = 0_usize;
        for entry in &due.entries {
            if let Logged::Event(Event::Family { family }) = entry.what {
                again += usize::from(store.revoke_family(family, now).await?);
            }
        }
        for event in due.events(&store.feed(None).await?.events, now)? {
            store.append_event(&event, now).await?;
        }
        due.done(&store, &journal, now).await?;
        let whole: &dyn Store = &store;
        let others = whole.marks().await?.not_compared();
        if !others.is_empty() {
            return Err(StoreError::OthersHoldMore(others.into_iter().collect()));
        }
        if again > 0 {
            tracing::warn!(again, "grants that the file had alive again are revoked again");
        }
        Ok(Self { journal: Some(journal), ..store })
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Embedded {
        &self.engine
    }

    async fn log(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        match &self.journal {
            Some(journal) => journal.write(vec![event.clone()], now).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn mark(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let store: &dyn Store = self;
        store.put_mark(journal, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        if let Some(journal) = &self.journal {
            journal.beat(now)?;
        }
        Ok(self.engine.sweep(now.millis(), 10_000).await?)
    }
}
