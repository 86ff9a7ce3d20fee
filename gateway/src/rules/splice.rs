//! Adding one argument to a call without touching its other bytes.

use bytes::Bytes;
use serde_json::Value;

use crate::rules::rpc::Call;

/// The body with `name: value` as the first member of `params.arguments`, which is made where it
/// is missing. The caller has checked that the member is not there.
pub(crate) fn argument(call: &Call, name: &str, value: &Value) -> Option<Bytes> {
    let member = format!("{}:{value}", Value::from(name));
    match (call.arguments_at(), call.params_at()) {
        (Some(arguments), _) => insert(&call.body, arguments, &member),
        (None, Some(params)) => insert(&call.body, params, &format!("\"arguments\":{{{member}}}")),
        (None, None) => None,
    }
}

/// Puts a member at the beginning of the object that begins there.
fn insert(body: &Bytes, start: usize, member: &str) -> Option<Bytes> {
    let (before, after) = body.split_at_checked(start.checked_add(1)?)?;
    if before.last() != Some(&b'{') {
        return None;
    }
    let empty = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let comma: &[u8] = if empty { b"" } else { b"," };
    Some([before, member.as_bytes(), comma, after].concat().into())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::rules::rpc::{Message, read};

    #[test]
    fn an_argument_is_added_and_nothing_else_changes() {
        for (params, expected) in [
            (r#"{"name":"a"}"#, r#"{"arguments":{"w":"x"},"name":"a"}"#),
            (r#"{"name":"a","arguments":{ }}"#, r#"{"name":"a","arguments":{"w":"x" }}"#),
            (
                r#"{"arguments": {"n": 1.0e2}, "name":"a"}"#,
                r#"{"arguments": {"w":"x","n": 1.0e2}, "name":"a"}"#,
            ),
        ] {
            let whole = |params: &str| {
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
            };
            let body = Bytes::from(whole(params));
            let Ok(Message::Request(call)) = read(&body, &HeaderMap::new(), "workspace_id") else {
                panic!()
            };
            assert_eq!(argument(&call, "w", &json!("x")).unwrap(), whole(expected));
        }
    }
}
