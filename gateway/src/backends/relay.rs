//! A backend's response on its way to the client: passed on as it came, if it is one that MCP
//! allows (MCP transports; HTML Living Standard section 9.2.6 for event streams).
//!
//! Invariant: nothing of a backend's headers passes, and a call gets exactly one response, with
//! its own id; `stream.rs` says the same of event streams.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt, stream::BoxStream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body::Body;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::json;
use tokio::time::timeout;

use crate::{
    backends::{
        Backend, aside::Aside, error::BackendError, pool::PooledBody, sending, session::Lease,
        stream,
    },
    rules::{headers::SESSION, protocol::Era, sse::Event},
};

/// A response that may be passed on.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) body: UpstreamBody,
    /// Only headers from this gateway's own list.
    pub(crate) headers: HeaderMap,
    /// The session id that the backend gave: for relayed sessions only.
    pub(crate) session: Option<String>,
    pub(crate) status: StatusCode,
}

/// Its body.
pub(crate) enum UpstreamBody {
    Empty,
    /// The one response, whole.
    Json(Bytes),
    /// Events as they come; dropping it ends the request at the backend.
    Stream(BoxStream<'static, Result<Event, BackendError>>),
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Json(_) => "Json(..)",
            Self::Stream(_) => "Stream(..)",
        })
    }
}

/// What the response must be.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The way beside the call, in a pooled session.
    pub(crate) aside: Option<Aside>,
    /// When the whole answer must have come.
    pub(crate) deadline: Option<Instant>,
    pub(crate) era: Era,
    /// The id of the call; none for a stream that answers no call, or for a notification.
    pub(crate) id: Option<Arc<RawValue>>,
    /// A pooled session, lent until the response has ended.
    pub(crate) lease: Option<Lease>,
    /// The session that is relayed, where the client speaks to it directly.
    pub(crate) relayed: bool,
    /// The session id the request was sent with.
    pub(crate) session: Option<String>,
}

/// Judges a response by its head, and reads it if it is JSON.
pub(crate) async fn read(
    backend: &Arc<Backend>,
    response: Response<PooledBody>,
    mut expected: Expected,
) -> Result<Upstream, BackendError> {
    let (head, body) = response.into_parts();
    let status = head.status;
    let media = media_type(&head.headers);
    let streams = media == Some(Media::Events) && status == StatusCode::OK;
    if !streams {
        expected.settle();
    }
    match status.as_u16() {
        401 | 403 => return Err(BackendError::Refused),
        404 if expected.session.is_some() => {
            if let Some(lease) = &mut expected.lease {
                lease.forget();
            }
            return Err(BackendError::SessionGone);
        }
        429 | 503 => return Err(sending::deferred(&head.headers)),
        504 => return Err(BackendError::Timeout),
        500.. => return Err(BackendError::Answer("it failed with a server error")),
        300..=399 => return Err(BackendError::Answer("it redirects")),
        _ => {}
    }
    let session = session_of(&head.headers);
    let done = |body, media| Upstream { body, headers: headers(media), session, status };
    if streams {
        let events = stream::events(backend, body, expected);
        return Ok(done(UpstreamBody::Stream(events), Some(Media::Events)));
    }
    let Some(id) = &expected.id else {
        // Whatever a notification is answered with, its status says it all.
        return Ok(done(UpstreamBody::Empty, None));
    };
    if media != Some(Media::Json) {
        return Err(BackendError::Answer("it is neither JSON nor an event stream"));
    }
    let bytes = collect(backend, body, expected.deadline).await?;
    let message =
        Message::parse(&bytes).ok_or(BackendError::Answer("it is not one JSON-RPC response"))?;
    if !message.answers(id) {
        return Err(BackendError::Answer("it does not answer the call's id"));
    }
    Ok(done(UpstreamBody::Json(bytes), Some(Media::Json)))
}

impl Expected {
    /// The backend is done with the call.
    pub(super) fn settle(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.settle();
        }
        if let Some(lease) = &mut self.lease {
            lease.settle();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Events,
    Json,
}

fn media_type(headers: &HeaderMap) -> Option<Media> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return None;
    }
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Some(Media::Json)
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        Some(Media::Events)
    } else {
        None
    }
}

fn session_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(SESSION)?.to_str().ok()?;
    let fits = (1..=1024).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| value.to_owned())
}

/// The headers of every answer, whatever the backend sent.
pub(super) fn headers(media: Option<Media>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    match media {
        Some(Media::Events) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            );
        }
        Some(Media::Json) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        None => {}
    }
    headers
}

/// The whole body, within the size, with no pause longer than the answer may take to begin, and by
/// the deadline. Without one, all of it may take no longer than that pause.
pub(super) async fn collect(
    backend: &Backend,
    mut body: PooledBody,
    deadline: Option<Instant>,
) -> Result<Bytes, BackendError> {
    let config = backend.config();
    // Most answers come whole with their head, and nobody waits for them.
    let frame = body.frame().now_or_never().flatten().transpose();
    let frame = frame.map_err(|_| BackendError::Answer("it broke off"))?;
    let begun = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
    if body.is_end_stream() && begun.len() <= config.largest_answer {
        return Ok(begun);
    }
    let pause = config.response_timeout;
    let all = deadline.map_or(pause, |end| end.saturating_duration_since(Instant::now()));
    Box::pin(within(all, whole(begun, body, config.largest_answer, pause))).await?
}

/// What has begun, to its end.
async fn whole(
    begun: Bytes,
    mut body: PooledBody,
    most: usize,
    pause: Duration,
) -> Result<Bytes, BackendError> {
    let mut length = begun.len();
    let mut frames: Vec<Bytes> = Vec::from_iter((!begun.is_empty()).then_some(begun));
    if length > most {
        return Err(BackendError::TooLarge);
    }
    while let Some(frame) = within(pause, body.frame()).await? {
        let frame = frame.map_err(|_| BackendError::Answer("it broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > most {
            return Err(BackendError::TooLarge);
        }
        frames.push(data);
    }
    // Most answers come in one piece, which is passed on as it is.
    match <[Bytes; 1]>::try_from(frames) {
        Ok([whole]) => Ok(whole),
        Err(frames) => Ok(frames.concat().into()),
    }
}

/// How long to wait for more: until the deadline at most.
pub(super) fn left(most: Duration, deadline: Option<Instant>) -> Duration {
    deadline.map_or(most, |end| end.saturating_duration_since(Instant::now()).min(most))
}

pub(super) async fn within<F: Future>(
    limit: Duration,
    future: F,
) -> Result<F::Output, BackendError> {
    timeout(limit, future).await.map_err(|_| BackendError::Timeout)
}

/// A message of a backend, as far as it is judged. A member that is `null` is none.
pub(super) struct Message<'a> {
    /// The id as it is written.
    pub(super) id: Option<&'a str>,
    pub(super) method: Option<Cow<'a, str>>,
    has_error: bool,
    has_result: bool,
}

/// Whether a response holds a list, which is examined where it was asked for and nowhere else.
/// What cannot be read counts as one.
pub(super) fn lists(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        result: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
    }
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(message) else { return true };
    let members = answer.result.unwrap_or_default();
    let lists = ["tools", "prompts", "resources", "resourceTemplates", "tasks"];
    lists.iter().any(|list| members.contains_key(*list))
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let [mut error, mut id, mut method, mut result, mut version] = [None; 5];
        json::members(text, |name, value| {
            let member = match name {
                "error" => &mut error,
                "id" => &mut id,
                "jsonrpc" => &mut version,
                "method" => &mut method,
                "result" => &mut result,
                _ => return Some(()),
            };
            // Of two of one name, readers take different ones.
            member.replace(value).is_none().then_some(())
        })?;
        if string(version?)? != "2.0" {
            return None;
        }
        let [error, id, method, result] =
            [error, id, method, result].map(|member| member.filter(|value| *value != "null"));
        Some(Self {
            id,
            method: match method {
                Some(method) => Some(string(method)?),
                None => None,
            },
            has_error: error.is_some(),
            has_result: result.is_some(),
        })
    }

    pub(super) fn is_response(&self) -> bool {
        self.method.is_none() && self.has_result != self.has_error
    }

    pub(super) fn answers(&self, id: &RawValue) -> bool {
        self.is_response() && self.id.is_some_and(|own| same_id(own, id.get()))
    }
}

/// What a string says; none if it is another value.
fn string(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix('"')?.strip_suffix('"')? {
        inside if inside.contains('\\') => serde_json::from_str(value).ok().map(Cow::Owned),
        inside => Some(Cow::Borrowed(inside)),
    }
}

/// Whether two ids are the same: as they are written, or as what they mean.
fn same_id(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || value(one).is_some_and(|own| Some(own) == value(other))
}
