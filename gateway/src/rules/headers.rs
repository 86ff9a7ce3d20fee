//! The headers that repeat a message for those who do not read bodies (MCP 2026-07-28, transports):
//! they must say what the body says.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::rules::{
    protocol::{Era, Method, Version},
    violation::RpcViolation,
};

pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// What the headers that repeat arguments begin with.
pub(crate) const PARAM_PREFIX: &str = "mcp-param-";

/// The value of `MCP-Protocol-Version`, if there is exactly one readable one.
pub(crate) fn version(headers: &HeaderMap) -> Option<&str> {
    single(headers, &VERSION)
}

/// The revision of a legacy request: what the header says, if it says anything. What `initialize`
/// carries there is not negotiated yet and does not matter.
pub(crate) fn legacy_version(
    method: &str,
    headers: &HeaderMap,
) -> Result<Option<Version>, RpcViolation> {
    if method == Method::Initialize.name() || !headers.contains_key(VERSION) {
        return Ok(None);
    }
    let asked = version(headers).unwrap_or_default();
    Version::parse(asked)
        .filter(|version| version.era() == Era::Legacy)
        .map(Some)
        .ok_or_else(|| RpcViolation::Version { requested: asked.to_owned() })
}

/// Refuses a header that is missing, repeated, or says something else than the body.
pub(crate) fn same(
    headers: &HeaderMap,
    name: HeaderName,
    expected: &str,
) -> Result<(), RpcViolation> {
    let value = single(headers, &name).and_then(decode);
    if value.as_deref() == Some(expected) {
        return Ok(());
    }
    Err(RpcViolation::HeaderMismatch(name))
}

/// A header's plain value: as it is, or out of the base64 sentinel `=?base64?…?=`.
pub(crate) fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// A plain value as a header: as it is, or in the base64 sentinel where it would not survive.
pub(crate) fn encode(value: &str) -> Option<HeaderValue> {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !value.starts_with("=?base64?");
    if plain {
        return HeaderValue::from_str(value).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", STANDARD.encode(value))).ok()
}

/// The `Mcp-Param-*` headers of a modern call: those the tool declares say what the arguments say;
/// others are passed on, unless they name the argument that policy binds.
pub(crate) fn params(
    headers: &HeaderMap,
    schema: &Value,
    arguments: &Map<String, Value>,
    bound: &str,
) -> Result<HeaderMap, RpcViolation> {
    let declared: Vec<(HeaderName, &str)> = declared(schema).collect();
    for (name, argument) in &declared {
        let expected = arguments.get(*argument).and_then(as_text);
        match expected {
            Some(expected) => same(headers, name.clone(), &expected)?,
            None if headers.contains_key(name) => {
                return Err(RpcViolation::HeaderMismatch(name.clone()));
            }
            None => {}
        }
    }
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        let Some(suffix) = name.as_str().strip_prefix(PARAM_PREFIX) else { continue };
        let is_declared = declared.iter().any(|(own, _)| own == name);
        if !is_declared && suffix.eq_ignore_ascii_case(bound) {
            return Err(RpcViolation::HeaderMismatch(name.clone()));
        }
        sent.insert(name.clone(), value.clone());
    }
    Ok(sent)
}

/// The `Mcp-Param-*` headers that repeat these arguments.
pub(crate) fn mirrored(schema: &Value, arguments: &Value) -> HeaderMap {
    declared(schema)
        .filter_map(|(name, argument)| {
            let text = arguments.get(argument).and_then(as_text)?;
            Some((name, encode(&text)?))
        })
        .collect()
}

/// The headers that a tool's schema declares (`x-mcp-header`), with their arguments.
fn declared(schema: &Value) -> impl Iterator<Item = (HeaderName, &str)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().filter_map(|(argument, property)| {
        let suffix = property.get("x-mcp-header")?.as_str()?;
        let name = format!("{PARAM_PREFIX}{}", suffix.to_ascii_lowercase());
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, argument.as_str()))
    })
}

/// How an argument is written in a header; objects and arrays are not.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The header's value if it occurs once and is ASCII.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok().map(|text| text.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_repeating_header_must_say_what_the_body_says() {
        let cases: &[(&[&'static str], &str, bool)] = &[
            (&["list_contacts"], "list_contacts", true),
            (&["  list_contacts "], "list_contacts", true),
            (&["=?base64?SGVsbG8=?="], "Hello", true),
            (&["=?base64?SGVsbG8?="], "Hello", false),
            (&["=?base64?SGVs!!!bG8=?="], "Hello", false),
            (&["SGVsbG8="], "Hello", false),
            (&["=?base64?SGVsbG8="], "=?base64?SGVsbG8=", true),
            (&["LIST_CONTACTS"], "list_contacts", false),
            (&["list_contacts", "list_contacts"], "list_contacts", false),
            (&[], "list_contacts", false),
        ];
        for (values, expected, passes) in cases {
            assert_eq!(same(&with(values), NAME, expected).is_ok(), *passes, "{values:?}");
        }
    }

    #[test]
    fn declared_parameters_are_compared_and_others_passed_on() {
        let schema = serde_json::json!({"properties": {"region": {"x-mcp-header": "Region"}}});
        let given = serde_json::json!({"region": "eu", "workspace_id": "a"});
        let given = given.as_object().unwrap();
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            params(&headers, &schema, given, "workspace_id").map(|sent| sent.len())
        };
        assert_eq!(check(&[("mcp-param-region", "eu"), ("mcp-param-other", "x")]), Ok(2));
        assert_eq!(check(&[("mcp-param-region", "=?base64?ZXU=?=")]), Ok(1));
        assert!(check(&[("mcp-param-region", "us")]).is_err());
        assert!(check(&[]).is_err());
        assert!(check(&[("mcp-param-region", "eu"), ("mcp-param-workspace_id", "b")]).is_err());
    }

    #[test]
    fn a_value_survives_its_header() {
        for text in ["plain", " padded", "caf\u{e9}", "=?base64?x", ""] {
            let header = encode(text).unwrap();
            assert_eq!(decode(header.to_str().unwrap()).as_deref(), Some(text), "{text}");
        }
    }

    #[test]
    fn a_legacy_client_that_names_no_version_is_served() {
        assert_eq!(legacy_version("tools/list", &HeaderMap::new()), Ok(None));
        let mut headers = HeaderMap::new();
        headers.insert(VERSION, HeaderValue::from_static("2025-06-18"));
        assert_eq!(legacy_version("tools/list", &headers), Ok(Some(Version::June2025)));
        headers.insert(VERSION, HeaderValue::from_static("1999-01-01"));
        assert!(legacy_version("tools/list", &headers).is_err());
        assert_eq!(legacy_version("initialize", &headers), Ok(None));
    }
}
