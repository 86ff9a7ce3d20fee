//! The writer thread: everything queued runs in one transaction, is committed once, and is
//! answered after that.

use std::{
    fmt::{self, Debug},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::PoisonError,
    thread::{self, JoinHandle},
};

use redb::WriteTransaction;
use tokio::sync::{
    mpsc::{Receiver, Sender, channel, error::TrySendError},
    oneshot,
};

use super::{
    Shared,
    fault::{fault, io_fault},
    file::{Opened, Place, closed},
    tables::{State, Tables},
};
use crate::StoreError;

/// How much may wait for the next commit; what comes on top is told that the store is busy.
const MOST_QUEUED: usize = 4096;
/// How much shares one commit.
const MOST_PER_COMMIT: usize = 1024;

/// What waits for the writer thread. Dropping it ends the thread after what is queued.
pub(super) struct Queue {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    pub(super) fn start(place: Place, opened: Shared) -> Result<Self, StoreError> {
        let (sender, receiver) = channel(MOST_QUEUED);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(receiver, &place, &opened))
            .map_err(|error| io_fault(&error))?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    /// Queues `work` and waits until it is committed. A panic of `work` goes on in the caller.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Asked { answer, outcome: None, work: Some(work) });
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Closed(_) => ended(),
            TrySendError::Full(_) => StoreError::Busy,
        })?;
        match answered.await.map_err(|_| ended())? {
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let Some(thread) = self.thread.take() else { return };
        // The last handle may go inside a closure; the thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the store's writer thread has panicked");
        }
    }
}

impl Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// One closure and who waits for it.
trait Job: Send {
    fn run(&mut self, tables: &mut Tables<'_>);
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// What a closure came to: a result, or a panic.
type Outcome<T> = thread::Result<Result<T, StoreError>>;

struct Asked<T, F> {
    answer: oneshot::Sender<Outcome<T>>,
    outcome: Option<Outcome<T>>,
    work: Option<F>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut Tables<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tables: &mut Tables<'_>) {
        if let Some(work) = self.work.take() {
            self.outcome = Some(catch_unwind(AssertUnwindSafe(|| work(tables))));
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // Even a refusal rests on what others wrote in the same commit, and fails with it.
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or_else(|| Ok(Err(ended()))),
            Err(error) => Ok(Err(error)),
        };
        // A caller that has gone away needs no answer.
        drop(self.answer.send(outcome));
    }
}

fn run(mut jobs: Receiver<Box<dyn Job>>, place: &Place, opened: &Shared) {
    let mut batch = Vec::new();
    while jobs.blocking_recv_many(&mut batch, MOST_PER_COMMIT) > 0 {
        let committed = catch_unwind(AssertUnwindSafe(|| commit(place, opened, &mut batch)))
            .unwrap_or_else(|_| {
                Err(StoreError::Unavailable("the database has panicked".to_owned()))
            });
        if let Err(error) = &committed {
            tracing::error!(%error, "a commit failed");
            renew(error, place, opened);
        }
        for job in batch.drain(..) {
            job.answer(committed.clone());
        }
    }
}

fn commit(place: &Place, opened: &Shared, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let transaction = if let Some(transaction) = begin(opened)? {
        transaction
    } else {
        reopen(place, opened)?;
        begin(opened)?.ok_or_else(closed)?
    };
    let mut tables = Tables::open(&transaction)?;
    for job in batch {
        job.run(&mut tables);
    }
    match tables.into_state() {
        State::Broken(error) => Err(error),
        State::Changed => transaction.commit().map_err(fault),
        State::Unchanged => Ok(()),
    }
}

/// After a fault of the disk the database refuses all work until it is opened again. If that
/// fails too, the next commit tries once more.
fn renew(error: &StoreError, place: &Place, opened: &Shared) {
    if !error.is_transient() || matches!(place, Place::Memory) {
        return;
    }
    // The old one must let go of the file first.
    opened.write().unwrap_or_else(PoisonError::into_inner).take();
    if let Err(error) = reopen(place, opened) {
        tracing::error!(%error, "the store's file cannot be opened again");
    }
}

fn reopen(place: &Place, opened: &Shared) -> Result<(), StoreError> {
    let fresh = place.open()?;
    *opened.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    tracing::info!("the store's file is open again");
    Ok(())
}

fn begin(opened: &Shared) -> Result<Option<WriteTransaction>, StoreError> {
    let opened = opened.read().unwrap_or_else(PoisonError::into_inner);
    opened.as_ref().map(Opened::begin_write).transpose()
}

fn ended() -> StoreError {
    StoreError::Unavailable("the store is being closed".to_owned())
}
