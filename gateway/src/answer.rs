//! The answer of a backend on its way to the caller: as it came, or examined message by message,
//! failing closed. Streams are passed on event by event.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use serde_json::{Value, value::RawValue};
use tokio::time::{Interval, interval};

use crate::{
    audit::Fate,
    backends::{BackendError, Upstream, UpstreamBody},
    claims::Admitted,
    error::{failed, rpc_error, tool_error},
    inflight::Underway,
    limit::Room,
    rules::{
        eras,
        examine::{Examination, Message, examine, replace_data},
        protocol::{Era, Method},
        rpc::Call,
        silence::{self, Access, SilencePolicy},
        sse::Event,
    },
    state::App,
};

/// How often a stream at rest asks whether it may go on.
const CHECK: Duration = Duration::from_secs(1);

/// Whose answer it is, and how long it may last.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) app: App,
    pub(crate) caller: Arc<Admitted>,
    /// The call's place among those under way, until the answer has gone.
    #[expect(dead_code, reason = "it counts for as long as it is held")]
    pub(crate) room: Option<Room>,
    /// What goes on while the feed of revocations is silent.
    pub(crate) silence: SilencePolicy,
    /// Its room, if it waits for news rather than for one answer; then it ends with the token.
    pub(crate) stream: Option<Room>,
    pub(crate) underway: Option<Underway>,
}

/// What is answered, as far as it says how a failure is told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    id: Option<&'a RawValue>,
    /// The caller's era, if a tool was called: the model is told.
    tool: Option<Era>,
}

impl<'a> Asked<'a> {
    /// What a call asks.
    pub(crate) fn by(call: &'a Call) -> Self {
        let tool = (call.method == Method::CallTool).then_some(call.era);
        Self { id: Some(&call.id), tool }
    }

    fn refuse(self, text: &str) -> Response {
        match self.tool {
            Some(era) => tool_error(text, self.id, Some(era)),
            None => rpc_error(StatusCode::BAD_GATEWAY, self.id, -32603, text, None),
        }
    }

    /// The failure as an event.
    fn event(self, text: &str) -> Bytes {
        let message = if let Some(era) = self.tool {
            failed(text, self.id, Some(era))
        } else {
            let (id, text) = (self.id.map_or("null", RawValue::get), Value::from(text));
            let error = format!("{{\"code\":-32603,\"message\":{text}}}");
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
        };
        format!("event: message\ndata: {message}\n\n").into()
    }
}

/// Makes the response; without an examination the bytes stay as they came.
pub(crate) fn respond(
    upstream: Upstream,
    examination: Option<Examination>,
    asked: Asked<'_>,
    listener: Listener,
) -> Response {
    let Upstream { body, headers, session: _, status } = upstream;
    let mut status = status;
    let fate = Fate::default();
    let is_stream = matches!(body, UpstreamBody::Stream(_));
    let body = match body {
        UpstreamBody::Empty => Body::empty(),
        UpstreamBody::Json(bytes) => {
            let Some(bytes) = examined(bytes, examination.as_ref()) else {
                let mut response = asked.refuse(UNREADABLE);
                fate.is(BackendError::Answer(UNREADABLE).name());
                response.extensions_mut().insert(fate);
                return response;
            };
            status = status_in_words_of(examination.as_ref(), status, &bytes);
            Body::from(bytes)
        }
        UpstreamBody::Stream(events) => {
            let Asked { id, tool } = asked;
            let id = id.map(ToOwned::to_owned);
            let relay = Relay { events, examination, fate: fate.clone(), id, listener, tool };
            Body::from_stream(relay.into_stream())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if is_stream {
        response.extensions_mut().insert(fate);
    }
    response
}

/// The gateway's own result.
pub(crate) fn own(id: &RawValue, result: &[u8]) -> Response {
    let id = id.get().as_bytes();
    let parts: [&[u8]; 5] = [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":", result, b"}"];
    web::problem::json(StatusCode::OK, parts.concat())
}

const UNREADABLE: &str = "the backend's answer could not be examined, so it is not passed on";

/// The status as the caller's revision has it: the eras give the same answers different ones.
fn status_in_words_of(
    examination: Option<&Examination>,
    status: StatusCode,
    answer: &[u8],
) -> StatusCode {
    match examination {
        Some(one) if one.from != one.to => eras::status(one.to, answer),
        _ => status,
    }
}

fn examined(bytes: Bytes, examination: Option<&Examination>) -> Option<Bytes> {
    let Some(examination) = examination else { return Some(bytes) };
    match examine(examination, &bytes) {
        Some(Message::Changed(changed)) => Some(changed.into()),
        Some(Message::Unchanged) => Some(bytes),
        Some(Message::Withheld) | None => None,
    }
}

/// A stream under way.
struct Relay<S> {
    events: S,
    examination: Option<Examination>,
    fate: Fate,
    id: Option<Box<RawValue>>,
    listener: Listener,
    tool: Option<Era>,
}

type Chunk = Result<Bytes, std::convert::Infallible>;

impl<S: Stream<Item = Result<Event, BackendError>> + Unpin + Send + 'static> Relay<S> {
    fn into_stream(self) -> impl Stream<Item = Chunk> + Send {
        let checks = interval(CHECK);
        stream::unfold(Some((self, checks)), |state| async move {
            let (mut relay, mut checks) = state?;
            match relay.next(&mut checks).await {
                Next::Go(bytes) => Some((Ok(bytes), Some((relay, checks)))),
                Next::Last(bytes) => Some((Ok(bytes), None)),
                Next::Over => None,
            }
        })
    }

    async fn next(&mut self, checks: &mut Interval) -> Next {
        let shutdown = self.listener.app.shutdown.clone();
        let cancelled = self.listener.underway.as_ref().map(|call| call.cancelled.clone());
        let cancelled = async move {
            if let Some(cancelled) = cancelled {
                // Nothing else ends the wait.
                let _never: Option<()> = cancelled.or(pin!(std::future::pending())).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(cancelled);
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.over("shutdown"),
                () = &mut cancelled => return self.over("cancelled"),
                _ = checks.tick() => {
                    if self.listener.is_over() {
                        return self.over("revoked");
                    }
                    continue;
                }
                event = self.events.next() => event,
            };
            match event {
                None => return Next::Over,
                Some(Err(error)) => return self.broken(&error),
                Some(Ok(event)) => {
                    if let Some(bytes) = self.pass(event) {
                        return Next::Go(bytes);
                    }
                }
            }
        }
    }

    /// The event's bytes, or nothing if it is withheld.
    fn pass(&self, event: Event) -> Option<Bytes> {
        let (Some(examination), Some(data)) = (&self.examination, &event.data) else {
            return Some(event.raw);
        };
        if data.is_empty() {
            // An event that only gives the client an id to resume from.
            return Some(event.raw);
        }
        match examine(examination, data) {
            Some(Message::Changed(changed)) => Some(replace_data(&event.raw, &changed).into()),
            Some(Message::Unchanged) => Some(event.raw),
            Some(Message::Withheld) => None,
            None => Some(self.asked().event(UNREADABLE)),
        }
    }

    fn over(&self, outcome: &'static str) -> Next {
        self.fate.is(outcome);
        Next::Over
    }

    fn broken(&self, error: &BackendError) -> Next {
        tracing::warn!(outcome = error.name(), "a stream from a backend broke");
        self.fate.is(error.name());
        if self.id.is_none() {
            return Next::Over;
        }
        Next::Last(self.asked().event(&format!("the backend {error}")))
    }

    fn asked(&self) -> Asked<'_> {
        Asked { id: self.id.as_deref(), tool: self.tool }
    }
}

enum Next {
    Go(Bytes),
    Last(Bytes),
    Over,
}

impl Listener {
    /// Whether the credential behind the stream is gone, or nobody knows any longer.
    fn is_over(&self) -> bool {
        let caller = &self.caller.caller;
        let goes_on = silence::allows(self.app.feed.standing(), self.silence, Access::Read);
        self.app.feed.has_revoked(caller)
            || !goes_on
            || (self.stream.is_some() && caller.expires <= self.app.clock.now())
    }
}
