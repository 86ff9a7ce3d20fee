//! The verbs on the embedded file: each is one transaction, answered when it is on disk.

mod families;
mod feed;
mod keys;
mod records;

use async_trait::async_trait;
use shared::time::Timestamp;
use store::Embedded;

use super::{Store, StoreError, terms::KnownTerms};

/// auth-server's store in an embedded file.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedStore {
    engine: Embedded,
    epoch: String,
    terms: KnownTerms,
}

impl EmbeddedStore {
    /// A store on an open engine. The file has one process, so its feed begins anew with it:
    /// `epoch` must differ at every start.
    pub(crate) fn new(engine: Embedded, epoch: String) -> Self {
        Self { engine, epoch, terms: KnownTerms::new() }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        Ok(self.engine.sweep(now.millis(), 10_000).await?)
    }
}
