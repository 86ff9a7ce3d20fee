//! Answers of backends that are examined on their way, in every form that `fuzz` can think of.

use super::*;
use crate::rules::visible::tests::{both_eras, source, terms};

fn examination(method: Method, surface: &Arc<Surface>) -> Examination {
    let own = WorkspaceId::parse("ws_a").unwrap();
    let rows = Rows { allowed: vec![own.clone()], member: "workspace_id".to_owned() };
    Examination {
        completes_workspace: method == Method::Complete,
        from: Era::Legacy,
        handles: None,
        handles_only: false,
        left: Duration::from_secs(2),
        log: None,
        method,
        rows: (method == Method::CallTool).then_some(rows),
        scope: Scope::parse("contacts:read").unwrap(),
        surface: Arc::clone(surface),
        tasks: None,
        to: Era::Modern,
        workspaces: vec![own],
        wraps_output: false,
    }
}

/// Whether a value has a row of another workspace.
fn has_foreign_row(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_foreign_row),
        Value::Object(members) => members.iter().any(|(name, member)| {
            let foreign = name == "workspace_id" && !member.is_null() && member != "ws_a";
            foreign || has_foreign_row(member)
        }),
        _ => false,
    }
}

/// The same of the JSON in the texts of a result.
fn texts_have_foreign_row(result: &Value) -> bool {
    let items = result["content"].as_array().into_iter().flatten();
    let texts = items.flat_map(|item| [&item["text"], &item["resource"]["text"]]);
    let read = texts.filter_map(|text| serde_json::from_str(text.as_str()?).ok());
    read.into_iter().any(|inner: Value| has_foreign_row(&inner))
}

#[test]
fn an_examined_message_shows_nothing_that_is_not_the_callers() {
    let seeds: [&[u8]; 7] = [
        br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"list_contacts"},{"name":"delete_contact"}]}}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"rows\":[{\"workspace_id\":\"ws_b\"},{\"workspace_id\":\"ws_a\"}]}"}]}}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"rows":[{"workspace_id":"ws_b"}]},"content":[],"_meta":{"workspace_id":"ws_b"}}}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{"completion":{"values":["ws_a","ws_b"],"total":2}}}"#,
        br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"workspace_id: ws_b","data":{"workspace_id":"ws_b"}}}"#,
        br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"_meta":{"workspace_id":"ws_b"}}}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"resource","resource":{"uri":"u","text":"x","_meta":{"workspace_id":"ws_b"}}}]},"result":{}}"#,
    ];
    let surface = Arc::new(Surface::build(vec![source("crm", both_eras())], terms(true)));
    ::fuzz::run("examine", &seeds, |input| {
        let methods = [Method::CallTool, Method::Complete, Method::ListTools];
        methods.map(|method| {
            let told = examine(&examination(method, &surface), input);
            let shown: Option<Value> = match &told {
                // Half a surrogate pair is grammatical, and no text.
                Some(Message::Changed(bytes)) => serde_json::from_slice(bytes).ok(),
                Some(Message::Unchanged) => serde_json::from_slice(input).ok(),
                Some(Message::Withheld) | None => None,
            };
            let shown = shown.unwrap_or_default();
            let list = |pointer: &str| shown.pointer(pointer).and_then(Value::as_array).cloned();
            match method {
                Method::CallTool => {
                    for part in ["result", "error", "params"] {
                        assert!(!has_foreign_row(&shown[part]), "{shown}");
                    }
                    assert!(!texts_have_foreign_row(&shown["result"]), "{shown}");
                }
                Method::Complete => {
                    let values = list("/result/completion/values").unwrap_or_default();
                    assert!(values.iter().all(|value| value == "ws_a"), "{shown}");
                }
                _ => {
                    let tools = list("/result/tools").unwrap_or_default();
                    assert!(tools.iter().all(|tool| tool["name"] != "delete_contact"), "{shown}");
                }
            }
            told.map(|told| format!("{told:?}"))
        })
    });
}
