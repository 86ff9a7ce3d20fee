//! A call of a tool as the request of its operation (RFC 3986 section 2, RFC 9110 section 9).
//!
//! Invariant: whatever the arguments are, the request goes to the operation's own path below the
//! configured URL, with as many segments as the description says.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::{
    operation::{Operation, Piece},
    parameter::{Parameter, Payload, Place},
    style::{self, Shape},
};
use crate::rules::{arguments, members::Members};

/// A request to a REST backend, without what every request has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestRequest {
    pub(crate) body: Option<Bytes>,
    pub(crate) headers: HeaderMap,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
}

/// The request of a call, or words for the model: what to change in the arguments, which have
/// been checked against the tool's schema.
pub(crate) fn request(
    operation: &Operation,
    base: &Url,
    given: &Members<'_>,
) -> Result<RestRequest, String> {
    let mut target = base.path().trim_end_matches('/').to_owned();
    for piece in &operation.path {
        match piece {
            Piece::Literal(text) => target.push_str(text),
            Piece::Parameter(name) => target.push_str(&segment(operation, name, given)?),
        }
    }
    check_path(base, &target)?;
    let mut pairs: Vec<String> = Vec::new();
    let mut headers = HeaderMap::new();
    for parameter in &operation.parameters {
        let Some(shape) = value(parameter, given)? else { continue };
        match &parameter.place {
            Place::Path => {}
            Place::Query => {
                no_shadow(operation, parameter, &shape)?;
                let Parameter { explode, name, style, .. } = parameter;
                pairs.extend(style::query(name, *style, *explode, &shape));
            }
            Place::Header(name) => {
                let text = style::simple(&shape, parameter.explode, str::to_owned);
                let plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
                let value = HeaderValue::try_from(&text).ok().filter(|_| plain);
                let value = value.ok_or_else(|| {
                    let given = arguments::got(&text.as_str().into());
                    let what = "expected printable ASCII, as it becomes a header";
                    wrong(&parameter.argument, &format!("{what}, {given}"))
                })?;
                headers.insert(name.clone(), value);
            }
        }
    }
    if !pairs.is_empty() {
        target.push('?');
        target.push_str(&pairs.join("&"));
    }
    // What RFC 9110 section 4.1 asks every server to take.
    if target.len() > LONGEST_TARGET {
        return Err(wrong("arguments", "they make a URL that is too long; give less at once"));
    }
    let body = body(&operation.payload, given);
    Ok(RestRequest { body, headers, method: operation.method.clone(), target })
}

const LONGEST_TARGET: usize = 8000;

fn wrong(argument: &str, what: &str) -> String {
    format!("Validation error: {argument}: {what}")
}

/// A parameter's value, where one was given.
fn value(parameter: &Parameter, given: &Members<'_>) -> Result<Option<Shape>, String> {
    let Some(raw) = given.find(&parameter.argument) else { return Ok(None) };
    let shape = style::shape(raw, parameter.style);
    shape.map(Some).ok_or_else(|| {
        let what = "expected a plain value, or a list or object of plain values";
        let given: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        wrong(&parameter.argument, &format!("{what}, {}", arguments::got(&given)))
    })
}

/// A path parameter, escaped. A reader that resolves dots or splits again must not arrive at
/// another path.
fn segment(operation: &Operation, name: &str, given: &Members<'_>) -> Result<String, String> {
    let own = |one: &&Parameter| one.place == Place::Path && one.name == name;
    let Some(parameter) = operation.parameters.iter().find(own) else {
        return Err(wrong(name, "the operation has no such parameter"));
    };
    let argument = &parameter.argument;
    let shape = value(parameter, given)?.unwrap_or(Shape::Nothing);
    let text = style::simple(&shape, parameter.explode, str::to_owned);
    if text.is_empty() {
        return Err(wrong(argument, "expected a value, got nothing"));
    }
    let unfit = |what: &str| {
        wrong(argument, &format!("expected {what}, {}", arguments::got(&text.as_str().into())))
    };
    if text.chars().any(char::is_control) {
        return Err(unfit("a value without control characters"));
    }
    if text.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
        return Err(unfit("a value without the segments `.` and `..`"));
    }
    Ok(style::simple(&shape, parameter.explode, style::escape))
}

/// What was built must read back as it was built.
fn check_path(base: &Url, path: &str) -> Result<(), String> {
    let again = Url::parse(&format!("{}{path}", base.origin().ascii_serialization()));
    let same = again.is_ok_and(|url| url.origin() == base.origin() && url.path() == path);
    if same { Ok(()) } else { Err(wrong("arguments", "they do not fit the operation's path")) }
}

/// The keys of an object that becomes pairs of its own must not pose as other parameters.
fn no_shadow(operation: &Operation, own: &Parameter, shape: &Shape) -> Result<(), String> {
    let Shape::Members(members) = shape else { return Ok(()) };
    if own.style != style::Style::Form || !own.explode {
        return Ok(());
    }
    let is_taken = |key: &String| {
        let others = operation.parameters.iter().filter(|one| one.argument != own.argument);
        others.filter(|one| one.place == Place::Query).any(|one| one.name == *key)
    };
    match members.iter().find(|(key, _)| is_taken(key)) {
        Some((key, _)) => {
            Err(wrong(&own.argument, &format!("`{key}` is an argument of its own; give it there")))
        }
        None => Ok(()),
    }
}

fn body(payload: &Payload, arguments: &Members<'_>) -> Option<Bytes> {
    match payload {
        Payload::None => None,
        Payload::Whole(argument) => {
            arguments.find(argument).map(|raw| Bytes::copy_from_slice(raw.get().as_bytes()))
        }
        Payload::Members { members, required } => {
            let mut body = Members::default();
            for (argument, name) in members {
                if let Some(raw) = arguments.find(argument) {
                    body.set(name, raw);
                }
            }
            let is_sent = *required || body.names().next().is_some();
            is_sent.then(|| body.to_vec().into())
        }
    }
}
