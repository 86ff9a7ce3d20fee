//! The answer of a REST backend as the result of a tool (MCP 2025-11-25, tools, tool result).

use http::{Method, StatusCode};
use serde_json::{Value, json, value::RawValue};

use super::Operation;
use crate::rules::{members::Members, protocol::Era};

/// An answer, read whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) body: &'a [u8],
    /// The media type without parameters, in lower case.
    pub(crate) media: &'a str,
    pub(crate) status: StatusCode,
}

/// The response to a call, or what is wrong with the answer.
pub(crate) fn result(
    (id, era): (&RawValue, Era),
    (backend, operation): (&str, &Operation),
    received: Received<'_>,
) -> Result<Vec<u8>, &'static str> {
    let Received { body, media, status } = received;
    let is_json = media == "application/json" || media.ends_with("+json");
    if !status.is_success() {
        let text = if is_json || media.starts_with("text/") {
            String::from_utf8_lossy(body)
        } else {
            "".into()
        };
        return Ok(refused((id, era), &explain(backend, operation, status, &text)));
    }
    let text = std::str::from_utf8(body).map_err(|_| "it is not text in UTF-8")?;
    if text.trim().is_empty() {
        let done = format!("{backend} answered {status} without a body: it is done.");
        return Ok(message((id, era), &done, None, false));
    }
    if is_json {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
        // Clients of the legacy era know structured content as an object alone.
        let structured = raw.get().starts_with('{').then_some(raw);
        return Ok(message((id, era), raw.get(), structured, false));
    }
    if media.starts_with("text/") {
        return Ok(message((id, era), text, None, false));
    }
    Err("it is neither JSON nor text")
}

/// A result that says to the model what went wrong.
pub(crate) fn refused(call: (&RawValue, Era), text: &str) -> Vec<u8> {
    message(call, text, None, true)
}

fn message(
    (id, era): (&RawValue, Era),
    text: &str,
    structured: Option<&RawValue>,
    is_error: bool,
) -> Vec<u8> {
    let mut result = Members::default();
    result.set("content", json!([{ "type": "text", "text": text }]));
    if let Some(structured) = structured {
        result.set("structuredContent", structured);
    }
    if is_error {
        result.set("isError", true);
    }
    if era == Era::Modern {
        result.set("resultType", "complete");
    }
    let mut message = Members::default();
    message.set("jsonrpc", "2.0");
    message.set("id", id);
    message.set("result", &result);
    message.to_vec()
}

const MOST_CHARS: usize = 2000;

/// What happened and what to do, followed by the backend's own words.
fn explain(backend: &str, operation: &Operation, status: StatusCode, words: &str) -> String {
    let advice = match status.as_u16() {
        400 | 422 => "correct the arguments and call again",
        404 | 410 => "what the arguments name does not exist there; look it up first",
        409 | 412 => "the record has changed or exists already; read it and decide anew",
        500.. if operation.method != Method::GET => {
            "it failed, and the call may have taken effect; look before repeating it"
        }
        500.. => "it failed; try again later",
        _ => "read its answer before calling again",
    };
    let words = own_words(words);
    let words: String = words.trim().chars().take(MOST_CHARS).collect();
    let colon = if words.is_empty() { "." } else { ". It says: " };
    format!("{backend} answered {status} to {}: {advice}{colon}{words}", operation.id)
}

/// The message of a problem document (RFC 9457 section 3.1), or the text as it is.
fn own_words(text: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(text).ok();
    let member = |name| problem.as_ref().and_then(|value: &Value| value.get(name)?.as_str());
    match (member("title"), member("detail"), problem.as_ref().and_then(|p| p.get("errors"))) {
        (Some(title), Some(detail), None) => format!("{title}: {detail}"),
        _ => text.to_owned(),
    }
}
