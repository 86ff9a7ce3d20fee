//! The JSON-RPC envelope of a message from a client (JSON-RPC 2.0; MCP basic, transports).
//!
//! Only what a decision reads is taken out, in derived structs that refuse a repeated member; the
//! body itself stays as it came.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use crate::rules::{
    headers,
    protocol::{Era, Method, Version},
    violation::{RpcRefusal, RpcViolation},
};

/// A request from a client.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `params.arguments` as it came, within `body`.
    pub(crate) arguments: Option<Bytes>,
    /// The message as it came.
    pub(crate) body: Bytes,
    pub(crate) era: Era,
    /// The cursor or `requestState` that the client brings back.
    pub(crate) handle: Option<String>,
    pub(crate) id: Box<RawValue>,
    pub(crate) method: Method,
    /// `params` as it came, within `body`.
    pub(crate) params: Option<Bytes>,
    /// What the call is about: a tool's or prompt's name, a resource's URI, a task's id.
    pub(crate) target: Option<String>,
    /// The revision the client speaks; `None` where a legacy client does not say.
    pub(crate) version: Option<Version>,
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

/// Reads a message that [`crate::rules::scan::scan`] has passed.
pub(crate) fn read(body: &Bytes, headers: &HeaderMap) -> Result<Message, RpcRefusal> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(RpcViolation::Batch.into());
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|_| RpcViolation::Envelope)?;
    let id = envelope.id.map(identifier).transpose()?;
    let refuse = |violation: RpcViolation| RpcRefusal { id: id.clone(), violation };
    if envelope.jsonrpc != "2.0" {
        return Err(refuse(RpcViolation::Envelope));
    }
    let Some(method) = &envelope.method else {
        let answered = envelope.result.is_some() != envelope.error.is_some();
        return match &id {
            Some(_) if answered => Ok(Message::Response { body: body.clone() }),
            _ => Err(refuse(RpcViolation::Envelope)),
        };
    };
    if envelope.result.is_some() || envelope.error.is_some() {
        return Err(refuse(RpcViolation::Envelope));
    }
    let params = match envelope.params {
        // A list would be read by position, which no backend does.
        Some(raw) if !raw.get().starts_with('{') => return Err(refuse(RpcViolation::Params)),
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| refuse(RpcViolation::Params))?,
        None => Params::default(),
    };
    let era = era(method, &params, headers);
    let Some(id) = id.clone() else {
        return notification(body, method, era).map_err(refuse);
    };
    let request = Request { body, envelope: &envelope, headers, params: &params };
    request.read(method, id, era).map_err(refuse)
}

/// The era is chosen per request: by the version in `_meta`, or by what only one era has.
fn era(method: &str, params: &Params<'_>, headers: &HeaderMap) -> Era {
    let modern_header = headers::version(headers) == Some(Version::July2026.as_str());
    let declared = params.meta.as_ref().is_some_and(|meta| meta.version.is_some());
    let modern = declared
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
    envelope: &'r Envelope<'a>,
    headers: &'r HeaderMap,
    params: &'r Params<'a>,
}

impl Request<'_, '_> {
    fn read(&self, name: &str, id: Box<RawValue>, era: Era) -> Result<Message, RpcViolation> {
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
        let handle = handle.as_ref();
        let slice = |raw: &RawValue| self.body.slice_ref(raw.get().as_bytes());
        Ok(Message::Request(Call {
            arguments: self.params.arguments.map(slice),
            body: self.body.clone(),
            era,
            handle: handle.map(|text| text.clone().into_owned()),
            id,
            method,
            params: self.envelope.params.map(slice),
            target: target.map(str::to_owned),
            version,
        }))
    }
}

/// The members every modern request carries, and the headers that repeat them.
fn modern_version(params: &Params<'_>, headers: &HeaderMap) -> Result<Version, RpcViolation> {
    let meta = params.meta.as_ref();
    let Some(asked) = meta.and_then(|meta| meta.version.as_deref()) else {
        return Err(RpcViolation::MissingMeta("io.modelcontextprotocol/protocolVersion"));
    };
    if !meta.and_then(|meta| meta.capabilities).is_some_and(|raw| raw.get().starts_with('{')) {
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
fn identifier(raw: &RawValue) -> Result<Box<RawValue>, RpcViolation> {
    let text = raw.get();
    let integer = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    if text.len() <= MOST_ID && (text.starts_with('"') || integer) {
        Ok(raw.to_owned())
    } else {
        Err(RpcViolation::Id)
    }
}

/// Longer ids serve nobody, and every refusal repeats them.
const MOST_ID: usize = 512;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    cursor: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "meta", rename = "_meta")]
    meta: Option<Meta<'a>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "requestState")]
    state: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "taskId")]
    task_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
}

/// An object, and no list that would be read by position.
fn meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Meta<'de>>, D::Error> {
    match Option::<&'de RawValue>::deserialize(deserializer)? {
        None => Ok(None),
        Some(raw) if raw.get().starts_with('{') => {
            serde_json::from_str(raw.get()).map(Some).map_err(D::Error::custom)
        }
        Some(_) => Err(D::Error::custom("not an object")),
    }
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(
        borrow,
        default,
        deserialize_with = "present",
        rename = "io.modelcontextprotocol/clientCapabilities"
    )]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
}

/// A member that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
