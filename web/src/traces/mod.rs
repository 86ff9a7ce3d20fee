//! Traces: one span for each request, one for each step that it takes, sent by OTLP to a receiver
//! that the operator names. Without one nothing of this runs.
//!
//! Invariants: nothing that a stranger wrote is in a span, but for the place in a trace that it
//! says it comes from; and no request waits for a receiver.

mod context;
mod exporter;
mod otlp;
mod queue;
mod span;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Uri};
use shared::time::Clock;

use self::{
    context::Context,
    exporter::Exporter,
    queue::Queue,
    span::{Finished, Origin},
};
pub use self::{
    exporter::TracesError,
    span::{Attribute, Ending, Span, Value, method_name},
};

/// Where traces go, and which.
#[derive(Clone)]
pub struct Settings {
    /// The certificates, in PEM, of the authorities that may have signed the receiver's; by
    /// default those of the system.
    pub authorities: Option<String>,
    /// Where the receiver takes traces.
    pub endpoint: Uri,
    /// What the receiver is shown with each request.
    pub headers: HeaderMap,
    pub parents: Parents,
    /// Which part of the traces that begin here is kept, from 0 to 1.
    pub ratio: f64,
}

/// Whose traces are gone on with, and their decision to keep them; a trace that begins here is
/// linked with that of anybody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parents {
    /// Everybody's: only where no stranger comes.
    Anybody,
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of proxies that are believed.
    TrustedProxies,
}

/// What a service traces with; cheap to clone.
#[derive(Clone)]
pub struct Tracer(Arc<Parts>);

struct Parts {
    clock: Clock,
    exporter: Exporter,
    parents: Parents,
    queue: Queue,
    ratio: f64,
    service: &'static str,
}

impl Tracer {
    /// For a service of this name. Nothing is dialled before something has ended.
    pub fn new(
        service: &'static str,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, TracesError> {
        let exporter = Exporter::new(settings)?;
        let Settings { parents, ratio, .. } = *settings;
        let queue = Queue::default();
        Ok(Self(Arc::new(Parts { clock, exporter, parents, queue, ratio, service })))
    }

    /// Sends what has ended, until it is closed.
    pub async fn run(self) {
        self.0.exporter.run(self.0.service, &self.0.queue).await;
    }

    /// Sends what waits, within this time; what ends later is lost.
    pub async fn close(&self, patience: Duration) {
        self.0.queue.closing.cancel();
        let _in_time = tokio::time::timeout(patience, self.0.queue.ended.cancelled()).await;
    }

    /// A request that begins; from a proxy that is believed or not. `None`: no id could be made.
    pub fn begin(&self, headers: &HeaderMap, is_from_proxy: bool) -> Option<Span> {
        let is_followed = match self.0.parents {
            Parents::Anybody => true,
            Parents::Nobody => false,
            Parents::TrustedProxies => is_from_proxy,
        };
        self.at(Context::read(headers), is_followed, headers)
    }

    /// A request of another service of ours, where it is a part of a trace that is kept.
    pub fn go_on(&self, headers: &HeaderMap) -> Option<Span> {
        let parent = Context::read(headers).filter(|parent| parent.is_sampled)?;
        self.at(Some(parent), true, headers)
    }

    /// How many spans nobody got since the start.
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped.load(Ordering::Relaxed)
    }

    /// How many spans the receiver got since the start.
    pub fn sent(&self) -> u64 {
        self.0.queue.sent.load(Ordering::Relaxed)
    }

    fn at(&self, said: Option<Context>, is_followed: bool, headers: &HeaderMap) -> Option<Span> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).ok()?;
        let (trace, span) = (*random.first_chunk()?, *random.last_chunk()?);
        let origin = match said.filter(|_| is_followed) {
            Some(parent) => Origin {
                context: Context { span, ..parent },
                link: None,
                parent: Some(parent.span),
                state: context::state(headers),
            },
            None => Origin {
                context: Context { is_sampled: self.keeps(&trace), span, trace },
                link: said,
                parent: None,
                state: None,
            },
        };
        Some(Span::new(self.clone(), origin, self.0.clock.nanos()))
    }

    /// Whether a trace that begins here is kept, by its id.
    fn keeps(&self, trace: &[u8; 16]) -> bool {
        let last = trace.last_chunk().copied().unwrap_or_default();
        f64::from(u32::from_be_bytes(last)) < self.0.ratio * (f64::from(u32::MAX) + 1.0)
    }

    fn take(&self, finished: Finished) {
        self.0.queue.put(finished);
    }
}

tokio::task_local! {
    /// The header of requests that are made for the request under way.
    static OUTGOING: HeaderValue;
}

/// Does something for a request whose step under way this header names.
pub async fn within<F: Future>(header: HeaderValue, work: F) -> F::Output {
    OUTGOING.scope(header, work).await
}

/// The header `traceparent` of a request that is made for the one under way, where that is traced.
pub fn outgoing() -> Option<HeaderValue> {
    OUTGOING.try_with(Clone::clone).ok()
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may be secrets.
        let mut shown = f.debug_struct("Settings");
        shown.field("endpoint", &self.endpoint).field("ratio", &self.ratio).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.service).finish()
    }
}

#[cfg(test)]
mod tests;
