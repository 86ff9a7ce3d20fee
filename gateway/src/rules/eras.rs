//! Between the eras: a request, result or error of one revision in the words of the other
//! (MCP 2026-07-28, changes). `docs/eras.md` is the table.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::rules::{
    logging::{self, LOG_LEVEL, Level},
    members::{Members, change_params},
    outputs,
    protocol::{Era, Method, Version},
};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// A result that the caller's revision has no words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answered with {0}, which the client's revision of MCP does not have")]
pub(crate) struct Untranslatable(pub(crate) &'static str);

/// A legacy request for a modern backend. The client's capabilities are left empty: what a
/// modern backend would ask of them cannot be carried back.
pub(crate) fn request_to_modern(body: &[u8]) -> Option<Bytes> {
    // Handles of the modern era do not exist in the legacy one: these would be somebody's own.
    change_meta(&without(body, &["inputResponses", "requestState", "task"])?, |meta| {
        meta.set(VERSION, Version::July2026.as_str());
        meta.set(CAPABILITIES, json!({}));
        meta.set(CLIENT, json!({ "name": "vestibule", "version": env!("CARGO_PKG_VERSION") }));
    })
}

/// A modern request for a legacy backend.
pub(crate) fn request_to_legacy(body: &[u8]) -> Option<Bytes> {
    change_meta(&without(body, &["inputResponses", "task"])?, |meta| {
        for name in [VERSION, CAPABILITIES, CLIENT, LOG_LEVEL] {
            meta.remove(name);
        }
    })
}

/// A legacy backend's result for a modern client.
pub(crate) fn result_to_modern(method: Method, result: &mut Members<'_>) {
    result.set_if_absent("resultType", "complete");
    if method.list_member().is_some() || matches!(method, Method::Discover | Method::ReadResource) {
        result.set_if_absent("ttlMs", 0);
        result.set_if_absent("cacheScope", "private");
    }
}

/// A modern backend's result for a legacy client; `wraps_output` says whether the client was told
/// that the tool's structured content stands in an object.
pub(crate) fn result_to_legacy(
    (method, wraps_output): (Method, bool),
    result: &mut Members<'_>,
) -> Result<(), Untranslatable> {
    match result.find("resultType").map(RawValue::get) {
        None | Some("\"complete\"") => {}
        Some("\"input_required\"") => return Err(Untranslatable("a request for input")),
        Some("\"task\"") => return Err(Untranslatable("a task")),
        Some(_) => return Err(Untranslatable("an unknown kind of result")),
    }
    for name in ["resultType", "ttlMs", "cacheScope"] {
        result.remove(name);
    }
    if method == Method::CallTool {
        outputs::result_to_legacy(result, wraps_output);
    }
    Ok(())
}

/// Whether a notification of the other era's backend has a place beside the call: of a legacy
/// backend's a modern client knows only progress, and the log that it asked for.
pub(crate) fn may_cross(to: Era, envelope: &Members<'_>, log: Option<Level>) -> bool {
    let method = envelope.find("method").map(RawValue::get);
    let method = method.and_then(|text| serde_json::from_str::<String>(text).ok());
    match (to, method.as_deref()) {
        (Era::Legacy, _) | (Era::Modern, Some("notifications/progress")) => true,
        (Era::Modern, Some("notifications/message")) => {
            logging::is_wanted(envelope.find("params"), log)
        }
        (Era::Modern, _) => false,
    }
}

/// A legacy backend's error for a modern client: codes that the modern era gave up are replaced.
pub(crate) fn error_to_modern(error: &mut Members<'_>) {
    match error.find("code").map(RawValue::get) {
        Some("-32002") => error.set("code", -32602),
        Some("-32042") => error.set("code", -32603),
        _ => {}
    }
}

/// The HTTP status of a backend's answer for a client of the other era: the legacy one has 200
/// for whatever JSON-RPC says, the modern one 404 for an unknown method.
pub(crate) fn status(to: Era, answer: &[u8]) -> StatusCode {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Fault>,
    }
    #[derive(Deserialize)]
    struct Fault {
        code: i64,
    }
    let answer = serde_json::from_slice::<Answer>(answer).ok();
    match (to, answer.and_then(|answer| answer.error)) {
        (Era::Modern, Some(Fault { code: -32601 })) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// A request without what the other era has not.
fn without(body: &[u8], names: &[&str]) -> Option<Bytes> {
    change_params(body, |params| names.iter().for_each(|name| params.remove(name)))
}

fn change_meta(body: &[u8], change: impl FnOnce(&mut Members<'_>)) -> Option<Bytes> {
    let mut is_read = true;
    let changed = change_params(body, |params| {
        let meta = params.find("_meta").map(|raw| raw.get().to_owned());
        let meta = match &meta {
            Some(text) => Members::read(text.as_bytes()),
            None => Some(Members::default()),
        };
        let Some(mut meta) = meta else {
            is_read = false;
            return;
        };
        change(&mut meta);
        if meta.names().next().is_some() {
            params.set("_meta", &meta);
        } else {
            params.remove("_meta");
        }
    });
    changed.filter(|_| is_read)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_request_goes_to_the_other_era_and_back() {
        let legacy = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"n":1.0e2},"_meta":{"progressToken":7}}}"#;
        let modern = request_to_modern(legacy).unwrap();
        let value: Value = serde_json::from_slice(&modern).unwrap();
        assert_eq!(value["params"]["_meta"][VERSION], "2026-07-28");
        assert_eq!(value["params"]["_meta"]["progressToken"], 7);
        assert_eq!(request_to_legacy(&modern).unwrap(), legacy.as_slice());
    }

    #[test]
    fn a_request_without_params_gets_them() {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let value: Value = serde_json::from_slice(&request_to_modern(body).unwrap()).unwrap();
        assert!(value["params"]["_meta"][CAPABILITIES].is_object());
    }

    #[test]
    fn a_result_gains_and_loses_what_only_the_modern_era_has() {
        let mut result = Members::read(br#"{"tools":[],"x":1}"#).unwrap();
        result_to_modern(Method::ListTools, &mut result);
        let text = result.to_vec();
        let expected =
            r#"{"tools":[],"x":1,"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#;
        assert_eq!(String::from_utf8(text.clone()).unwrap(), expected);
        let mut back = Members::read(&text).unwrap();
        result_to_legacy((Method::ListTools, false), &mut back).unwrap();
        assert_eq!(back.to_vec(), br#"{"tools":[],"x":1}"#);
    }

    #[test]
    fn what_a_legacy_client_cannot_be_told_is_refused_by_name() {
        let mut result = Members::read(br#"{"resultType":"input_required"}"#).unwrap();
        let told = result_to_legacy((Method::CallTool, false), &mut result);
        assert_eq!(told, Err(Untranslatable("a request for input")));
    }

    #[test]
    fn codes_the_modern_era_gave_up_are_replaced() {
        for (old, new) in [("-32002", "-32602"), ("-32042", "-32603"), ("-32000", "-32000")] {
            let text = format!(r#"{{"code":{old},"message":"m"}}"#);
            let mut error = Members::read(text.as_bytes()).unwrap();
            error_to_modern(&mut error);
            assert_eq!(error.find("code").unwrap().get(), new);
        }
    }
}
