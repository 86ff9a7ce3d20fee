//! One line for each call, at the end of its answer: what was asked of what, by whom, how it ended,
//! how much went each way and how long it took. Never a payload.
//!
//! Lines go through a bounded queue to one writer, so that a log that cannot be written to holds
//! up nobody; what does not fit is dropped and counted.

mod call;

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use http::StatusCode;
use shared::time::Timestamp;
use tokio::sync::Notify;

pub(crate) use self::call::{Fate, Underway};
use crate::{claims::Admitted, config::Route};

/// Where the lines go; filters name it.
const TARGET: &str = "vestibule::request";
/// How many lines may wait.
const MOST_WAITING: usize = 16_384;
/// How long the writer gathers lines.
const GATHER: Duration = Duration::from_millis(10);

/// The lines that wait to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditLines(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    dropped: AtomicU64,
    /// Told when the last line is written.
    ended: Notify,
    waiting: Mutex<Waiting>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    lines: Vec<Line>,
}

/// What a line says.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) answered_bytes: u64,
    pub(crate) asked_bytes: u64,
    pub(crate) caller: Option<Arc<Admitted>>,
    pub(crate) ended: Timestamp,
    pub(crate) method: &'static str,
    pub(crate) outcome: &'static str,
    /// What the backend received as the call's id, if its identities are made per call.
    pub(crate) request_id: Option<String>,
    /// What asks for its refusal, where a specification does.
    pub(crate) requirement: Option<&'static str>,
    pub(crate) route: Arc<Route>,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    /// A tool, prompt or resource that exists; never a name somebody made up.
    pub(crate) what: Option<Arc<str>>,
    pub(crate) workspace: Option<String>,
}

impl AuditLines {
    /// Takes a line, or drops it.
    pub(crate) fn take(&self, line: Line) {
        let mut waiting = self.0.lock();
        if waiting.lines.len() >= MOST_WAITING {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.push(line);
        if waiting.lines.len() == 1 {
            self.0.woken.notify_one();
        }
    }

    /// How many lines were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// How many lines wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().lines.len()
    }

    /// Starts the writer: a thread of its own, for it blocks with the log.
    pub(crate) fn start(&self) -> io::Result<()> {
        let queue = Arc::clone(&self.0);
        thread::Builder::new().name("audit".to_owned()).spawn(move || queue.write_all()).map(drop)
    }

    /// Returns when everything is written that was taken.
    pub(crate) async fn close(&self) {
        self.0.lock().closed = true;
        self.0.woken.notify_one();
        self.0.ended.notified().await;
    }
}

impl Queue {
    fn write_all(&self) {
        let mut lines = Vec::new();
        loop {
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
            let waiting = self.woken.wait_while(self.lock(), idle);
            let closed = waiting.unwrap_or_else(PoisonError::into_inner).closed;
            if !closed {
                // One wake for many lines.
                thread::sleep(GATHER);
            }
            std::mem::swap(&mut lines, &mut self.lock().lines);
            lines.drain(..).for_each(|line: Line| line.write());
            if closed {
                return self.ended.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn write(&self) {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        let caller = self.caller.as_ref().map(|admitted| &admitted.caller);
        tracing::info!(
            target: TARGET,
            service = "gateway",
            method = self.method,
            tool = self.what.as_deref(),
            outcome = self.outcome,
            status = self.status.as_u16(),
            micros,
            ended = self.ended.millis(),
            asked_bytes = self.asked_bytes,
            answered_bytes = self.answered_bytes,
            subject = caller.map(|caller| caller.subject.as_str()),
            client = caller.map(|caller| caller.client.as_str()),
            workspace = self.workspace,
            request_id = self.request_id,
            requirement = self.requirement,
            resource = self.route.resource.indicator.as_str(),
            "request"
        );
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
