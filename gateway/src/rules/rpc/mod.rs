//! The JSON-RPC envelope of a message from a client (JSON-RPC 2.0; MCP basic, transports).
//!
//! Only what a decision reads is taken out of the scan's outline; the body itself stays as it came.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::value::RawValue;

use crate::rules::{
    headers,
    protocol::{Era, Method, Version},
    scan::{DEPTH, Limits, Member, Outline, scan},
    violation::{RpcRefusal, RpcViolation},
};

/// A request from a client.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Where in `body` `params.arguments` stands.
    arguments: Option<Range<usize>>,
    /// The message as it came.
    pub(crate) body: Bytes,
    pub(crate) era: Era,
    /// The cursor or `requestState` that the client brings back.
    pub(crate) handle: Option<String>,
    pub(crate) id: Arc<RawValue>,
    pub(crate) method: Method,
    /// Where in `body` `params` stands.
    params: Option<Range<usize>>,
    /// What the call is about: a tool's or prompt's name, a resource's URI, a task's id.
    pub(crate) target: Option<Arc<str>>,
    /// The revision the client speaks; `None` where a legacy client does not say.
    pub(crate) version: Option<Version>,
}

impl Call {
    /// `params.arguments` as it came.
    pub(crate) fn arguments(&self) -> Option<&[u8]> {
        self.body.get(self.arguments.clone()?)
    }

    /// `params` as it came.
    pub(crate) fn params(&self) -> Option<&[u8]> {
        self.body.get(self.params.clone()?)
    }

    /// Where in `body` the arguments begin.
    pub(crate) fn arguments_at(&self) -> Option<usize> {
        Some(self.arguments.as_ref()?.start)
    }

    /// Where in `body` the params begin.
    pub(crate) fn params_at(&self) -> Option<usize> {
        Some(self.params.as_ref()?.start)
    }
}

/// A message from a client.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A notification, by its method.
    Notification {
        body: Bytes,
        method: String,
    },
    Request(Call),
    /// An answer to a request of the server.
    Response {
        body: Bytes,
    },
}

/// Scans a message, of whose arguments policy reads `argument`, and reads it.
pub(crate) fn read(
    body: &Bytes,
    headers: &HeaderMap,
    argument: &str,
) -> Result<Message, RpcRefusal> {
    let limits = Limits { arguments: &[argument], depth: DEPTH };
    let outline = scan(body, limits).map_err(RpcViolation::from)?;
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(RpcViolation::Batch.into());
    }
    let version = text(&outline, Member::Jsonrpc).map_err(|Mistyped| RpcViolation::Envelope)?;
    let version = version.ok_or(RpcViolation::Envelope)?;
    let method = text(&outline, Member::Method).map_err(|Mistyped| RpcViolation::Envelope)?;
    let id = outline.text(Member::Id).map(identifier).transpose()?;
    read_envelope(body, headers, (&outline, &version, method.as_deref()), id.as_ref())
        .map_err(|violation| RpcRefusal { id, violation })
}

fn read_envelope(
    body: &Bytes,
    headers: &HeaderMap,
    (outline, version, method): (&Outline<'_>, &str, Option<&str>),
    id: Option<&Arc<RawValue>>,
) -> Result<Message, RpcViolation> {
    if version != "2.0" {
        return Err(RpcViolation::Envelope);
    }
    let has = |member| outline.text(member).is_some();
    let Some(method) = method else {
        let is_answered = has(Member::Result) != has(Member::Error);
        return if id.is_some() && is_answered {
            Ok(Message::Response { body: body.clone() })
        } else {
            Err(RpcViolation::Envelope)
        };
    };
    if has(Member::Result) || has(Member::Error) {
        return Err(RpcViolation::Envelope);
    }
    let params = Params::read(outline).map_err(|Mistyped| RpcViolation::Params)?;
    let era = era(method, &params, headers);
    match id {
        Some(id) => Request { body, headers, outline, params: &params }.read(method, id, era),
        None => notification(body, method, era),
    }
}

/// The era is chosen per request: by the version in `_meta`, or by what only one era has.
fn era(method: &str, params: &Params<'_>, headers: &HeaderMap) -> Era {
    let modern_header = headers::version(headers) == Some(Version::July2026.as_str());
    let modern = params.version.is_some()
        || Method::is_modern_only(method)
        || (modern_header && method != Method::Initialize.name());
    if modern { Era::Modern } else { Era::Legacy }
}

fn notification(body: &Bytes, method: &str, era: Era) -> Result<Message, RpcViolation> {
    if era == Era::Modern {
        return Err(RpcViolation::ModernNotification);
    }
    // What is decided on has an id; a request's method without one would pass by every check.
    if !method.starts_with("notifications/") {
        return Err(RpcViolation::Envelope);
    }
    Ok(Message::Notification { body: body.clone(), method: method.to_owned() })
}

/// The parts of a request, before they are judged.
struct Request<'r, 'a> {
    body: &'r Bytes,
    headers: &'r HeaderMap,
    outline: &'r Outline<'a>,
    params: &'r Params<'a>,
}

impl Request<'_, '_> {
    fn read(&self, name: &str, id: &Arc<RawValue>, era: Era) -> Result<Message, RpcViolation> {
        let version = match era {
            Era::Legacy => headers::legacy_version(name, self.headers)?,
            Era::Modern => Some(modern_version(self.params, self.headers)?),
        };
        if era == Era::Modern {
            headers::same(self.headers, headers::METHOD, name)?;
        }
        let Some(method) = Method::parse(name, era) else {
            return Err(RpcViolation::UnknownMethod(era));
        };
        let target = target(method, self.params)?;
        if era == Era::Modern
            && let Some(target) = target
        {
            headers::same(self.headers, headers::NAME, target)?;
        }
        let handle =
            if method.list_member().is_some() { &self.params.cursor } else { &self.params.state };
        Ok(Message::Request(Call {
            arguments: self.outline.range(Member::Arguments),
            body: self.body.clone(),
            era,
            handle: handle.as_deref().map(str::to_owned),
            id: Arc::clone(id),
            method,
            params: self.outline.range(Member::Params),
            target: target.map(Arc::from),
            version,
        }))
    }
}

/// The members every modern request carries, and the headers that repeat them.
fn modern_version(params: &Params<'_>, headers: &HeaderMap) -> Result<Version, RpcViolation> {
    let Some(asked) = params.version.as_deref() else {
        return Err(RpcViolation::MissingMeta("io.modelcontextprotocol/protocolVersion"));
    };
    if !params.capabilities.is_some_and(is_object) {
        return Err(RpcViolation::MissingMeta("io.modelcontextprotocol/clientCapabilities"));
    }
    headers::same(headers, headers::VERSION, asked)?;
    Version::parse(asked)
        .filter(|version| version.era() == Era::Modern)
        .ok_or_else(|| RpcViolation::Version { requested: asked.to_owned() })
}

fn target<'p>(method: Method, params: &'p Params<'_>) -> Result<Option<&'p str>, RpcViolation> {
    let (member, value) = match method {
        Method::CallTool | Method::GetPrompt => ("name", &params.name),
        Method::ReadResource | Method::Subscribe | Method::Unsubscribe => ("uri", &params.uri),
        Method::CancelTask | Method::GetTask | Method::TaskResult | Method::UpdateTask => {
            ("taskId", &params.task_id)
        }
        Method::Complete
        | Method::Discover
        | Method::Initialize
        | Method::ListPrompts
        | Method::ListResources
        | Method::ListTasks
        | Method::ListTemplates
        | Method::ListTools
        | Method::Listen
        | Method::Ping
        | Method::SetLevel => return Ok(None),
    };
    value.as_deref().map(Some).ok_or(RpcViolation::MissingParam(member))
}

/// A request's id is a string or a number without fraction (MCP basic, messages).
fn identifier(text: &str) -> Result<Arc<RawValue>, RpcViolation> {
    let integer = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > MOST_ID || !(text.starts_with('"') || integer) {
        return Err(RpcViolation::Id);
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| RpcViolation::Id)?;
    Ok(raw.to_owned().into())
}

/// Longer ids serve nobody, and every refusal repeats them.
const MOST_ID: usize = 512;

/// What is read of `params` and its `_meta`.
#[derive(Default)]
struct Params<'a> {
    capabilities: Option<&'a str>,
    cursor: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    state: Option<Cow<'a, str>>,
    task_id: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
}

impl<'a> Params<'a> {
    /// Objects, and no lists that would be read by position, which no backend does.
    fn read(outline: &Outline<'a>) -> Result<Self, Mistyped> {
        let Some(params) = outline.text(Member::Params) else { return Ok(Self::default()) };
        let meta = outline.text(Member::Meta).filter(|text| *text != "null");
        if !is_object(params) || !meta.is_none_or(is_object) {
            return Err(Mistyped);
        }
        Ok(Self {
            capabilities: outline.text(Member::Capabilities),
            cursor: text(outline, Member::Cursor)?,
            name: text(outline, Member::Name)?,
            state: text(outline, Member::State)?,
            task_id: text(outline, Member::TaskId)?,
            uri: text(outline, Member::Uri)?,
            version: text(outline, Member::Version)?,
        })
    }
}

/// A value that is of another type than its member is.
struct Mistyped;

fn is_object(text: &str) -> bool {
    text.starts_with('{')
}

/// What a member says, if it is there and not `null`.
fn text<'a>(outline: &Outline<'a>, member: Member) -> Result<Option<Cow<'a, str>>, Mistyped> {
    let Some(text) = outline.text(member) else { return Ok(None) };
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) if inside.contains('\\') => {
            serde_json::from_str(text).map(|said: String| Some(said.into())).map_err(|_| Mistyped)
        }
        Some(inside) => Ok(Some(inside.into())),
        None if text == "null" => Ok(None),
        None => Err(Mistyped),
    }
}

#[cfg(test)]
mod tests;
