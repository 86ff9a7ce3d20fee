//! One request under way, with the steps that it takes; handed over as a whole when it ends.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{
    Tracer,
    context::{Context, TRACEPARENT, TRACESTATE},
};

/// What is said of a span: a name of ours and its value.
pub type Attribute = (&'static str, Value);

/// The value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(i64),
    Text(Cow<'static, str>),
}

/// The attribute that says how a request or step ended.
const OUTCOME: &str = "vestibule.outcome";
/// How a request or step ended that went well.
const OK: &str = "ok";

/// A request under way. Where its trace is not sampled nothing of it is kept, and whoever is asked
/// on its behalf hears so.
#[derive(Debug)]
pub struct Span {
    began: Instant,
    context: Context,
    is_followed: bool,
    /// Whether the last part is a step that goes on.
    is_open: bool,
    link: Option<Context>,
    parent: Option<[u8; 8]>,
    /// The request first, then its steps.
    parts: Vec<Part>,
    state: Option<HeaderValue>,
    tracer: Tracer,
    /// When it began, in nanoseconds since 1970.
    wall: u64,
}

/// What has ended and waits to be sent.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) began: u64,
    pub(super) context: Context,
    pub(super) link: Option<Context>,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) parts: Vec<Part>,
    pub(super) state: Option<String>,
}

/// The request, or one of its steps.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) attributes: Vec<Attribute>,
    /// Since the request began.
    pub(super) from: Duration,
    pub(super) is_failed: bool,
    pub(super) kind: Kind,
    pub(super) name: Cow<'static, str>,
    pub(super) until: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Somebody else is asked.
    Client,
    /// Somebody asks.
    Server,
    /// Within this process.
    Step,
}

/// How a request or a step ended.
#[derive(Clone, Debug)]
pub struct Ending {
    pub attributes: Vec<Attribute>,
    pub is_failed: bool,
    /// One of few words of our own.
    pub outcome: &'static str,
}

/// Where a request comes from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) context: Context,
    pub(super) link: Option<Context>,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) state: Option<HeaderValue>,
}

/// The id of a request's span, or of the step of that number: one random number counts them, for
/// they are told apart within their trace alone.
pub(super) fn id(context: &Context, number: u64) -> [u8; 8] {
    u64::from_be_bytes(context.span).wrapping_add(number).max(1).to_be_bytes()
}

impl Span {
    pub(super) fn new(tracer: Tracer, origin: Origin, wall: u64) -> Self {
        let Origin { context, link, parent, state } = origin;
        let mut span = Self {
            began: Instant::now(),
            context,
            is_followed: parent.is_some(),
            is_open: false,
            link,
            parent,
            parts: Vec::new(),
            state,
            tracer,
            wall,
        };
        span.begin(Kind::Server, "".into());
        span
    }

    /// Begins a step within this process; one that goes on has gone well.
    pub fn step(&mut self, name: &'static str) {
        self.rest();
        self.begin(Kind::Step, name.into());
        self.is_open = true;
    }

    /// Begins to ask somebody else, and writes into the request's headers for whom. What a client
    /// sent in their place is gone.
    pub fn ask(&mut self, name: String, headers: &mut HeaderMap) {
        self.rest();
        self.begin(Kind::Client, name.into());
        self.is_open = true;
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        if let Some(value) = self.outgoing() {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = self.state.clone().filter(|_| self.is_followed) {
            headers.insert(TRACESTATE, state);
        }
    }

    /// The header of a request that the step under way makes.
    pub fn outgoing(&self) -> Option<HeaderValue> {
        let number = u64::try_from(self.parts.len().saturating_sub(1)).unwrap_or_default();
        let span = if self.is_open { id(&self.context, number) } else { self.context.span };
        Context { span, ..self.context }.header()
    }

    /// Whether anything is kept of it.
    pub fn is_sampled(&self) -> bool {
        self.context.is_sampled
    }

    /// Ends the step under way, if there is one: it went well.
    pub fn rest(&mut self) {
        self.leave(Ending { attributes: Vec::new(), is_failed: false, outcome: OK });
    }

    /// Ends the step under way, if there is one.
    pub fn leave(&mut self, ending: Ending) {
        if std::mem::take(&mut self.is_open) {
            self.close(ending);
        }
    }

    /// Ends the request, and a step under way as the request ended.
    pub fn end(mut self, name: impl Into<Cow<'static, str>>, ending: Ending) {
        if !self.context.is_sampled {
            return;
        }
        let Ending { is_failed, outcome, .. } = ending;
        self.leave(Ending { attributes: Vec::new(), is_failed, outcome });
        let until = self.began.elapsed();
        if let Some(first) = self.parts.first_mut() {
            first.name = name.into();
            first.put(ending, until);
        }
        self.tracer.take(Finished {
            began: self.wall,
            context: self.context,
            link: self.link,
            parent: self.parent,
            parts: self.parts,
            state: self.state.and_then(|state| state.to_str().ok().map(str::to_owned)),
        });
    }

    /// Ends a request that was answered at this route, which is a pattern of ours.
    pub fn answered(self, method: &Method, route: &str, status: StatusCode) {
        let method = method_name(method);
        let attributes = vec![
            ("http.request.method", method.into()),
            ("http.response.status_code", status.as_u16().into()),
            ("http.route", route.to_owned().into()),
        ];
        let is_failed = status.is_server_error();
        let outcome = match status.as_u16() {
            500.. => "failed",
            400.. => "refused",
            _ => OK,
        };
        self.end(format!("{method} {route}"), Ending { attributes, is_failed, outcome });
    }

    fn begin(&mut self, kind: Kind, name: Cow<'static, str>) {
        if self.context.is_sampled {
            let from = self.began.elapsed();
            let attributes = Vec::new();
            self.parts.push(Part { attributes, from, is_failed: false, kind, name, until: from });
        }
    }

    fn close(&mut self, ending: Ending) {
        let until = self.began.elapsed();
        if let Some(last) = self.parts.last_mut() {
            last.put(ending, until);
        }
    }
}

/// A method by its name, where it is one of those that everybody knows.
pub fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

impl Part {
    fn put(&mut self, ending: Ending, until: Duration) {
        let Ending { mut attributes, is_failed, outcome } = ending;
        attributes.push((OUTCOME, Value::Text(Cow::Borrowed(outcome))));
        if is_failed {
            // What receivers group faults by.
            attributes.push(("error.type", Value::Text(Cow::Borrowed(outcome))));
        }
        self.attributes.append(&mut attributes);
        self.is_failed = is_failed;
        self.until = until;
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}
