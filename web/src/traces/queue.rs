//! What waits to be sent: bounded, so that a receiver that is away costs memory of a known size
//! and nobody's time. What does not fit is dropped and counted.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::span::Finished;

/// How many spans may wait.
const MOST_WAITING: usize = 8192;
/// How many spans are sent together, about.
const BATCH: usize = 512;
/// How long spans wait for others to go with.
const GATHER: Duration = Duration::from_secs(1);

/// Spans that wait, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Told when nothing more is to come.
    pub(super) closing: CancellationToken,
    pub(super) dropped: AtomicU64,
    /// Told when everything is sent or given up, after the closing.
    pub(super) ended: CancellationToken,
    /// Told when spans fill a request.
    full: Notify,
    pub(super) sent: AtomicU64,
    /// Told when there is something to send.
    some: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    finished: Vec<Finished>,
    spans: usize,
}

impl Queue {
    /// Takes a request with its steps, or drops it.
    pub(super) fn put(&self, finished: Finished) {
        let more = finished.parts.len();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.spans + more > MOST_WAITING {
            drop(waiting);
            self.drop_spans(more);
            return;
        }
        let held = waiting.spans;
        waiting.spans += more;
        waiting.finished.push(finished);
        drop(waiting);
        if held == 0 {
            self.some.notify_one();
        }
        if held < BATCH && held + more >= BATCH {
            self.full.notify_one();
        }
    }

    /// Waits until there is something to send and others had time to join it, or nothing more is
    /// to come.
    pub(super) async fn gathered(&self) {
        self.closing.run_until_cancelled(self.some.notified()).await;
        let others = tokio::time::timeout(GATHER, self.full.notified());
        let _together = self.closing.run_until_cancelled(others).await;
    }

    /// What goes out next, if anything waits.
    pub(super) fn next(&self) -> Option<(Vec<Finished>, usize)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spans = 0;
        let is_in = |one: &Finished| {
            let fits = spans < BATCH;
            spans += one.parts.len();
            fits
        };
        let count = waiting.finished.iter().map(is_in).take_while(|fits| *fits).count();
        if count == 0 {
            return None;
        }
        let batch: Vec<Finished> = waiting.finished.drain(..count).collect();
        let spans = batch.iter().map(|one| one.parts.len()).sum();
        waiting.spans = waiting.spans.saturating_sub(spans);
        Some((batch, spans))
    }

    /// Counts spans that nobody gets.
    pub(super) fn drop_spans(&self, count: usize) {
        self.dropped.fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::Relaxed);
    }
}
