//! The embedded engine: one file, one process, one writer thread. Everything queued is committed
//! together, and a write is answered only when it is on disk.

mod blank;
mod commit;
#[cfg(test)]
mod disk_tests;
mod fault;
mod file;
mod reader;
mod tables;
mod writer;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use self::{
    commit::Queue,
    file::{Opened, Place, closed},
    tables::Tables,
};
pub use self::{reader::Reader, writer::Writer};
use crate::{Observer, StoreError, observer::Observed};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// An entry with the moment from which a sweep may drop it, in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub expires_ms: Option<u64>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// The database, replaced as a whole when it has to be opened again.
type Shared = Arc<RwLock<Option<Opened>>>;

/// An embedded store. Clones share one file, which is closed when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Embedded(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    observed: Observed,
    // Before `opened`: the writer thread ends before the file is closed.
    queue: Queue,
    opened: Shared,
}

impl Embedded {
    /// Opens the file, creating it for this user alone if there is none. A file that another
    /// process uses is [`StoreError::Denied`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::at(Place::File(path.to_owned()))
    }

    /// A store in memory, for tests: it is gone when the last clone is dropped.
    pub fn memory() -> Result<Self, StoreError> {
        Self::at(Place::Memory)
    }

    fn at(place: Place) -> Result<Self, StoreError> {
        let opened = Arc::new(RwLock::new(Some(place.open()?)));
        let queue = Queue::start(place, Arc::clone(&opened))?;
        Ok(Self(Arc::new(Inner { observed: Observed::default(), queue, opened })))
    }

    /// Tells of every `read` and `write` from now on: how long it took, and whether it was done.
    pub fn observe(&self, observer: Observer) {
        self.0.observed.by(observer);
    }

    /// Runs `work` in a transaction and answers when its writes are on disk.
    ///
    /// Closures run one after another, each seeing what the ones before it wrote. One that
    /// returns an error, or panics, leaves no trace. Once queued a closure runs even if its
    /// caller goes away. It runs on the writer thread, so it must not wait for anything.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let work = move |tables: &mut Tables<'_>| Writer::run(tables, work);
        let outcome = self.0.queue.submit(work).await;
        self.0.observed.tell("write", began, outcome.is_ok());
        outcome
    }

    /// Reads a consistent state of what was committed.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let entries = {
            let opened = self.0.opened.read().unwrap_or_else(PoisonError::into_inner);
            opened.as_ref().ok_or_else(closed)?.begin_read()?
        };
        let outcome = work(&Reader::over(&entries));
        self.0.observed.tell("read", began, outcome.is_ok());
        outcome
    }

    /// Drops up to `limit` entries whose expiry is at or before `now_ms`, oldest first, and
    /// tells how many they were.
    pub async fn sweep(&self, now_ms: u64, limit: usize) -> Result<usize, StoreError> {
        self.0.queue.submit(move |tables: &mut Tables<'_>| tables.sweep(now_ms, limit)).await
    }
}
