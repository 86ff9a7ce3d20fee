//! An event stream of a backend on its way to the client, event by event, none held back.
//!
//! Invariant: a call gets exactly one response, with its own id; in the modern era a server asks
//! nothing. Everything else is dropped and counted.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::{
    backends::{
        Backend,
        error::BackendError,
        pool::PooledBody,
        relay::{self, Expected, Message, within},
    },
    rules::{
        protocol::Era,
        sse::{Event, EventParser},
    },
};

/// The events that may pass. Dropping it ends the request at the backend.
pub(super) fn events(
    backend: &Arc<Backend>,
    body: PooledBody,
    expected: Expected,
) -> BoxStream<'static, Result<Event, BackendError>> {
    let relay = Relay {
        answered: None,
        backend: Arc::clone(backend),
        body,
        dropped: 0,
        ended: false,
        expected,
        parser: EventParser::new(backend.config().largest_answer),
        resumable: false,
    };
    stream::unfold(relay, Relay::next).boxed()
}

/// How long a stream that owes an answer may be silent; servers send comments meanwhile.
const IDLE: Duration = Duration::from_mins(5);
/// How long a backend may take to end its stream after the response.
const DRAIN: Duration = Duration::from_millis(500);

/// An event stream under way.
struct Relay {
    /// When the call was answered.
    answered: Option<Instant>,
    backend: Arc<Backend>,
    body: PooledBody,
    dropped: u64,
    ended: bool,
    expected: Expected,
    parser: EventParser,
    /// Whether an event had an id, so that the client can ask for the rest elsewhere.
    resumable: bool,
}

impl Relay {
    async fn next(mut self) -> Option<(Result<Event, BackendError>, Self)> {
        while !self.ended {
            match self.parser.next_event() {
                Ok(Some(event)) if self.passes(&event) => return Some((Ok(event), self)),
                Ok(Some(_)) => self.dropped += 1,
                Ok(None) => {
                    if let Err(error) = self.fill().await {
                        self.ended = true;
                        return Some((Err(error), self));
                    }
                }
                Err(_) => {
                    self.ended = true;
                    return Some((Err(BackendError::TooLarge), self));
                }
            }
        }
        if self.dropped > 0 {
            let backend = &*self.backend.config().name;
            tracing::info!(backend, dropped = self.dropped, "messages of a backend were dropped");
        }
        None
    }

    /// Reads on, or finds that the stream has ended as it should or should not.
    async fn fill(&mut self) -> Result<(), BackendError> {
        let frame = if let Some(answered) = self.answered {
            // The call is answered: what ends badly from here on is no loss.
            let frame = timeout_at(answered + DRAIN, self.body.frame()).await;
            frame.ok().flatten().and_then(Result::ok)
        } else if self.expected.id.is_some() {
            let left = relay::left(IDLE, self.expected.deadline);
            let frame = within(left, self.body.frame()).await?;
            frame.transpose().map_err(|_| BackendError::Answer("it broke off"))?
        } else {
            // A stream that answers no call may be silent for as long as the client stays.
            self.body.frame().await.and_then(Result::ok)
        };
        if let Some(frame) = frame {
            if let Ok(data) = frame.into_data() {
                self.parser.push(&data);
            }
            return Ok(());
        }
        self.ended = true;
        self.expected.settle();
        let complete = self.answered.is_some()
            || self.expected.id.is_none()
            || (self.expected.relayed && self.resumable);
        if complete { Ok(()) } else { Err(BackendError::Answer("it ended too early")) }
    }

    /// Whether an event may go to the client.
    fn passes(&mut self, event: &Event) -> bool {
        self.resumable |= event.has_id;
        let Some(data) = event.data.as_deref().filter(|data| !data.is_empty()) else {
            return true;
        };
        if self.answered.is_some() {
            return false;
        }
        let Some(message) = Message::parse(data) else { return false };
        // What was walked through is a value, so it reads.
        let id = message.id.and_then(|id| serde_json::from_str(id).ok());
        match (&message.method, id) {
            (Some(method), None) => {
                self.backend.notice(method);
                true
            }
            (Some(method), Some(id)) => self.may_ask(method, id),
            (None, _) => {
                let Some(id) = &self.expected.id else {
                    // A stream of a relayed session may carry responses to earlier calls of it.
                    return self.expected.relayed && message.is_response() && !relay::lists(data);
                };
                let answers = message.answers(id);
                if answers {
                    self.answered = Some(Instant::now());
                    self.expected.settle();
                    // The session is free for another call as soon as this one has its answer.
                    self.expected.lease = None;
                }
                answers
            }
        }
    }

    /// Whether the backend may ask the client something, and if so, that it did.
    fn may_ask(&self, method: &str, id: &RawValue) -> bool {
        match &self.expected.session {
            Some(session) if self.expected.relayed && self.expected.era == Era::Legacy => {
                self.backend.asked.insert(session, id);
                true
            }
            _ => {
                if let Some(aside) = &self.expected.aside {
                    aside.decline(method, id);
                }
                false
            }
        }
    }
}
