//! A call from its first byte to the last byte of its answer, whoever ends it.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use super::Line;
use crate::{
    config::{RawAudit, Route},
    metrics::{Ended, Measured, ToolSeries},
    phases::Trace,
    state::App,
    traces,
};

/// The status of a call whose client went away before there was one, as web servers log it.
const CLIENT_GONE: u16 = 499;
/// The outcome of a call that nobody waited for.
const GONE: &str = "client_gone";

/// How an answer ended, if it was not by its own end. Whoever ends it says so once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fate(Arc<OnceLock<&'static str>>);

impl Fate {
    /// The first word stays.
    pub(crate) fn is(&self, outcome: &'static str) {
        let _kept = self.0.set(outcome);
    }

    fn outcome(&self) -> Option<&'static str> {
        self.0.get().copied()
    }
}

/// A call under way. Dropped before it has ended, its client has gone.
pub(crate) struct Underway {
    app: App,
    began: Instant,
    /// Of the answer's head; `None` until there is one.
    head: Option<(StatusCode, &'static str)>,
    /// Whether a backend failed it, whatever the status.
    pub(crate) is_failed: bool,
    is_over: bool,
    /// What asks for its refusal, where a specification does.
    pub(crate) requirement: Option<&'static str>,
    route: Arc<Route>,
    /// What is noted of the tool that was called.
    series: Option<Arc<ToolSeries>>,
    pub(crate) trace: Trace,
}

impl Underway {
    /// A call that begins.
    pub(crate) fn new(app: &App, route: &Arc<Route>) -> Self {
        Self {
            app: app.clone(),
            began: Instant::now(),
            head: None,
            is_failed: false,
            is_over: false,
            requirement: None,
            route: Arc::clone(route),
            series: None,
            trace: Trace { method: "unread", ..Trace::default() },
        }
    }

    /// The answer as it goes out, followed to its end.
    pub(crate) fn follow(mut self, mut response: Response, outcome: &'static str) -> Response {
        let fate = response.extensions_mut().remove::<Fate>();
        let told = fate.as_ref().and_then(Fate::outcome);
        self.is_failed |= told.is_some();
        let outcome = told.unwrap_or(outcome);
        self.head = Some((response.status(), outcome));
        let (trace, took) = (&self.trace, self.began.elapsed());
        self.series = self.app.metrics.note(Measured {
            method: trace.method,
            outcome,
            status: response.status(),
            took,
            what: trace.what.as_deref(),
            workspace: trace.workspace.as_deref(),
        });
        if let Some(length) = response.body().size_hint().exact() {
            self.end(length, None, took);
            return response;
        }
        let fate = fate.unwrap_or_default();
        response.map(|body| Body::new(Followed { body, bytes: 0, call: Some(self), fate }))
    }

    fn end(&mut self, bytes: u64, fate: Option<&'static str>, took: Duration) {
        self.is_over = true;
        let gone = StatusCode::from_u16(CLIENT_GONE).unwrap_or(StatusCode::REQUEST_TIMEOUT);
        let (status, outcome) = self.head.unwrap_or((gone, GONE));
        let outcome = fate.unwrap_or(outcome);
        let trace = &mut self.trace;
        if let Some(traced) = trace.traced.take() {
            traced.end(&traces::Ended {
                fate,
                is_failed: self.is_failed,
                method: trace.method,
                outcome,
                route: &self.route,
                status,
                what: trace.what.as_deref(),
                workspace: trace.workspace.as_deref(),
            });
        }
        self.app.metrics.ended(Ended {
            answered: bytes,
            asked: trace.asked_bytes,
            fate,
            method: trace.method,
            series: self.series.take(),
            what: trace.what.as_deref(),
            workspace: trace.workspace.as_deref(),
        });
        if self.route.audit == RawAudit::None {
            return;
        }
        let caller = trace.caller.as_ref().map(|admitted| &admitted.caller);
        self.app.audit.take(Line {
            answered_bytes: bytes,
            asked_bytes: trace.asked_bytes,
            client: caller.map(|caller| caller.client.as_str()),
            ended: self.app.clock.now(),
            method: trace.method,
            outcome,
            request_id: trace.request_id.as_deref(),
            requirement: self.requirement,
            resource: self.route.resource.indicator.as_str(),
            status,
            subject: caller.map(|caller| caller.subject.as_str()),
            took,
            what: trace.what.as_deref(),
            workspace: trace.workspace.as_deref(),
        });
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(0, Some(GONE), self.began.elapsed());
        }
    }
}

impl std::fmt::Debug for Underway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Underway").field("trace", &self.trace).finish_non_exhaustive()
    }
}

/// A stream that is counted on its way out.
struct Followed {
    body: Body,
    bytes: u64,
    call: Option<Underway>,
    fate: Fate,
}

impl Followed {
    fn end(&mut self, otherwise: &'static str) {
        if let Some(mut call) = self.call.take() {
            let fate = self.fate.outcome().unwrap_or(otherwise);
            let took = call.began.elapsed();
            call.end(self.bytes, Some(fate), took);
        }
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.bytes += u64::try_from(length).unwrap_or_default();
            }
            Some(Err(_)) => self.end("broken"),
            None => self.end("ok"),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Its end is to be seen.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.end(GONE);
    }
}
