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
/// Where the lines go; filters name it.
const TARGET: &str = "vestibule::request";
/// How many lines may wait.
const MOST_WAITING: usize = 16_384;
/// How many bytes of names may wait with them.
const MOST_TEXT: usize = 32 << 20;
/// How much memory is kept for the names of the next lines.
const KEPT_TEXT: usize = 256 << 10;
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
    lines: Lines,
}

/// Lines with their names side by side, so that none needs memory of its own.
#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line<Place>>,
    texts: String,
}

/// Where a text begins and ends.
type Place = (u32, u32);

/// What a line says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<T> {
    pub(crate) answered_bytes: u64,
    pub(crate) asked_bytes: u64,
    pub(crate) client: Option<T>,
    pub(crate) ended: Timestamp,
    pub(crate) method: &'static str,
    pub(crate) outcome: &'static str,
    /// What the backend received as the call's id, if its identities are made per call.
    pub(crate) request_id: Option<T>,
    /// What asks for its refusal, where a specification does.
    pub(crate) requirement: Option<&'static str>,
    pub(crate) resource: T,
    pub(crate) status: StatusCode,
    pub(crate) subject: Option<T>,
    pub(crate) took: Duration,
    /// A tool, prompt or resource that exists; never a name somebody made up.
    pub(crate) what: Option<T>,
    pub(crate) workspace: Option<T>,
}

impl AuditLines {
    /// Takes a line, or drops it.
    pub(crate) fn take(&self, line: Line<&str>) {
        let mut waiting = self.0.lock();
        if !waiting.lines.add(line) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        } else if waiting.lines.len() == 1 {
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
        let mut lines = Lines::default();
        loop {
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
            let waiting = self.woken.wait_while(self.lock(), idle);
            let closed = waiting.unwrap_or_else(PoisonError::into_inner).closed;
            if !closed {
                // One wake for many lines.
                thread::sleep(GATHER);
            }
            std::mem::swap(&mut lines, &mut self.lock().lines);
            lines.write_all();
            if closed {
                return self.ended.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Whether there was room for the line.
    fn add(&mut self, line: Line<&str>) -> bool {
        let Self { lines, texts } = self;
        if lines.len() >= MOST_WAITING || texts.len() >= MOST_TEXT {
            return false;
        }
        let mut fits = true;
        let line = line.map(|text| {
            let from = u32::try_from(texts.len());
            texts.push_str(text);
            let place = from.ok().zip(u32::try_from(texts.len()).ok());
            fits &= place.is_some();
            place.unwrap_or_default()
        });
        if fits {
            lines.push(line);
        }
        fits
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn len(&self) -> usize {
        self.lines.len()
    }

    /// Writes the lines and forgets them.
    fn write_all(&mut self) {
        for line in self.lines.drain(..) {
            let text = |(from, to): Place| {
                let place = usize::try_from(from).ok().zip(usize::try_from(to).ok());
                place.and_then(|(from, to)| self.texts.get(from..to)).unwrap_or_default()
            };
            line.map(text).write();
        }
        self.texts.clear();
        self.texts.shrink_to(KEPT_TEXT);
    }
}

impl<T> Line<T> {
    /// The line with its texts told otherwise.
    fn map<U>(self, mut told: impl FnMut(T) -> U) -> Line<U> {
        Line {
            answered_bytes: self.answered_bytes,
            asked_bytes: self.asked_bytes,
            client: self.client.map(&mut told),
            ended: self.ended,
            method: self.method,
            outcome: self.outcome,
            request_id: self.request_id.map(&mut told),
            requirement: self.requirement,
            resource: told(self.resource),
            status: self.status,
            subject: self.subject.map(&mut told),
            took: self.took,
            what: self.what.map(&mut told),
            workspace: self.workspace.map(told),
        }
    }
}

impl Line<&str> {
    fn write(&self) {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: TARGET,
            service = "gateway",
            method = self.method,
            tool = self.what,
            outcome = self.outcome,
            status = self.status.as_u16(),
            micros,
            ended = self.ended.millis(),
            asked_bytes = self.asked_bytes,
            answered_bytes = self.answered_bytes,
            subject = self.subject,
            client = self.client,
            workspace = self.workspace,
            request_id = self.request_id,
            requirement = self.requirement,
            resource = self.resource,
            "request"
        );
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
