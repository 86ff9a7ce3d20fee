//! Every method of MCP before a backend of either era: the cells of `docs/eras.md` beside those
//! that `mcp_eras.rs`, `mcp_modern.rs`, `mcp_transport.rs` and `mcp_relay.rs` show.

use serde_json::{Value, json};
use tests::{Answer, LEGACY, MODERN, Speaks, headers, modern_meta, request};

use crate::{
    mcp_cases::is_rpc_error,
    mcp_era_cases::{PAIRS, ask, crossing, relayed, session},
};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What a client wants of a prompt, a resource, or a field to be filled in.
fn wants() -> [(&'static str, Value); 3] {
    [
        ("prompts/get", json!({ "name": "summarise_account", "arguments": { "n": "1" } })),
        ("resources/read", json!({ "uri": "crm://contacts/1" })),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "summarise_account" },
                "argument": { "name": "n", "value": "A" } }),
        ),
    ]
}

#[tokio::test]
async fn all_lists_are_the_same_for_every_client_before_every_backend() {
    for speaks in [Speaks::Legacy, Speaks::Modern, Speaks::Both] {
        let (_backend, _world, mcp) = crossing(speaks).await;
        for (method, member, entry) in [
            ("tools/list", "tools", "create_contact"),
            ("prompts/list", "prompts", "summarise_account"),
            ("resources/list", "resources", "crm://contacts/1"),
            ("resources/templates/list", "resourceTemplates", "crm://contacts/{id}"),
        ] {
            let old = mcp.legacy(method, json!({})).await.json()["result"].clone();
            let new = mcp.modern(method, json!({})).await.json()["result"].clone();
            assert!(old[member].to_string().contains(entry), "{speaks:?}: {old}");
            assert_eq!(old[member], new[member], "{speaks:?}: {method}");
            assert_eq!(old.as_object().unwrap().len(), 1, "{speaks:?}: {old}");
            assert_eq!(new["resultType"], "complete", "{speaks:?}: {new}");
            assert_eq!(new["cacheScope"], "private", "{speaks:?}: {new}");
        }
    }
}

#[tokio::test]
async fn prompts_resources_and_completions_pass_as_they_came_within_an_era() {
    for (modern, speaks) in [(false, Speaks::Legacy), (true, Speaks::Modern)] {
        let (backend, _world, mcp) = crossing(speaks).await;
        let odd = r#"{ "result":{"resultType":"complete","odd":1.0e2}, "id":{id},"jsonrpc":"2.0"}"#;
        backend.answer(Answer::Raw("application/json", odd.to_owned()));
        for (method, params) in wants() {
            let reply = ask(&mcp, modern, method, params.clone()).await;
            let sent = backend.heard(method).pop().unwrap();
            assert_eq!(
                reply.text,
                odd.replace("{id}", &sent.message["id"].to_string()),
                "{method}"
            );
            for (name, value) in params.as_object().unwrap() {
                assert_eq!(sent.message["params"][name], *value, "{speaks:?}: {method}");
            }
            let said = if modern { MODERN } else { LEGACY };
            assert_eq!(sent.header("mcp-protocol-version"), said, "{method}");
            assert_eq!(sent.header("mcp-method"), if modern { method } else { "" });
        }
    }
}

#[tokio::test]
async fn prompts_resources_and_completions_reach_a_modern_backend_of_a_legacy_client() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    let result = json!({ "odd": 1, "resultType": "complete", "ttlMs": 5, "cacheScope": "public" });
    backend.answer(Answer::Result(result));
    for (method, params) in wants() {
        let reply = mcp.legacy(method, params.clone()).await;
        assert_eq!(reply.message()["result"], json!({ "odd": 1 }), "{method}: {}", reply.text);
        let sent = backend.heard(method).pop().unwrap();
        assert_eq!(sent.header("mcp-method"), method);
        let named = params.get("name").or(params.get("uri")).and_then(Value::as_str);
        assert_eq!(sent.header("mcp-name"), named.unwrap_or_default(), "{method}");
        let meta = &sent.message["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN, "{method}");
    }
}

#[tokio::test]
async fn prompts_resources_and_completions_reach_a_legacy_backend_of_a_modern_client() {
    let (backend, _world, mcp) = crossing(Speaks::Legacy).await;
    backend.answer(Answer::Result(json!({ "odd": 1 })));
    for (method, params) in wants() {
        let reply = mcp.modern(method, params.clone()).await;
        let mut expected = json!({ "odd": 1, "resultType": "complete" });
        if method == "resources/read" {
            expected["ttlMs"] = 0.into();
            expected["cacheScope"] = "private".into();
        }
        assert_eq!(reply.message()["result"], expected, "{method}: {}", reply.text);
        let sent = backend.heard(method).pop().unwrap();
        assert_eq!(sent.message["params"], params, "{method}: nothing modern is left in it");
        assert_eq!(sent.header("mcp-method"), "", "{method}");
        assert_eq!(sent.header("mcp-session-id"), "upstream-1", "{method}");
    }
}

#[tokio::test]
async fn a_list_has_no_resource_of_a_workspace_that_is_not_the_callers() {
    for (modern, speaks) in PAIRS {
        for (_backend, _world, mcp) in [crossing(speaks).await, relayed(speaks).await] {
            let about = format!("{modern} {speaks:?}");
            let listed = ask(&mcp, modern, "resources/list", json!({})).await.text;
            assert!(listed.contains("crm://contacts/1"), "{about}: {listed}");
            assert!(listed.contains("ws_acme"), "{about}: {listed}");
            assert!(!listed.contains("ws_initech"), "{about}: {listed}");
        }
    }
}

#[tokio::test]
async fn a_resource_is_kept_by_nobody_else_nor_longer_than_the_token_whatever_its_backend_says() {
    let result = r#"{"contents":[],"resultType":"complete","cacheScope":"public","ttlMs":9000000}"#;
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let (backend, _world, mcp) = crossing(speaks).await;
        for spelt in [result.to_owned(), result.replace("cacheScope", "cache\\u0053cope")] {
            for media in ["application/json", "text/event-stream"] {
                let message = format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{spelt}}}"#);
                let is_stream = media == "text/event-stream";
                let body = if is_stream { format!("data: {message}\n\n") } else { message };
                backend.answer(Answer::Raw(media, body));
                let reply =
                    mcp.modern("resources/read", json!({ "uri": "crm://contacts/1" })).await;
                let told = reply.message()["result"].clone();
                assert_eq!(told["cacheScope"], "private", "{speaks:?}: {}", reply.text);
                assert!(told["ttlMs"].as_u64().unwrap() <= 300_000, "{speaks:?}: {told}");
                assert_eq!(told["contents"], json!([]), "{speaks:?}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_backends_era_has_not_is_refused_by_name_and_never_forwarded() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    for (method, params) in [
        ("resources/subscribe", json!({ "uri": "crm://contacts/1" })),
        ("resources/unsubscribe", json!({ "uri": "crm://contacts/1" })),
        ("logging/setLevel", json!({ "level": "info" })),
        ("tasks/get", json!({ "taskId": "t-1" })),
        ("tasks/list", json!({})),
        ("tasks/result", json!({ "taskId": "t-1" })),
        ("tasks/cancel", json!({ "taskId": "t-1" })),
    ] {
        let message = request(method, params);
        let reply = mcp.send(&message, headers([("mcp-protocol-version", LEGACY)])).await;
        is_rpc_error(&reply, 200, -32601, &message["id"], method);
        assert!(reply.text.contains(method), "{}", reply.text);
        assert!(backend.heard(method).is_empty(), "{method}");
    }
    let (backend, _world, mcp) = crossing(Speaks::Legacy).await;
    for (method, params) in [
        ("subscriptions/listen", json!({ "notifications": {} })),
        ("tasks/get", json!({ "taskId": "t-1", "_meta": declared() })),
        ("tasks/update", json!({ "taskId": "t-1", "_meta": declared() })),
        ("tasks/cancel", json!({ "taskId": "t-1", "_meta": declared() })),
    ] {
        let reply = mcp.modern(method, params).await;
        let id = reply.json()["id"].clone();
        is_rpc_error(&reply, 404, -32601, &id, method);
        assert!(reply.text.contains(method), "{}", reply.text);
        assert!(backend.heard(method).is_empty(), "{method}");
    }
}

/// What a client says that knows of tasks.
fn declared() -> Value {
    json!({ "io.modelcontextprotocol/clientCapabilities": { "extensions": { EXTENSION: {} } } })
}

#[tokio::test]
async fn tasks_pass_within_an_era_under_ids_of_their_owner() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    backend.answer(Answer::Result(json!({ "resultType": "task", "taskId": "t-1" })));
    let params = json!({ "name": "create_contact", "arguments": { "workspace_id": "ws_acme" },
        "_meta": declared() });
    let begun = mcp.modern("tools/call", params).await.message();
    assert_eq!(begun["result"]["resultType"], "task", "{begun}");
    let sealed = begun["result"]["taskId"].as_str().unwrap().to_owned();
    assert_ne!(sealed, "t-1");
    backend.answer(Answer::Result(json!({ "taskId": "t-1", "status": "working" })));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({ "taskId": sealed, "_meta": declared() });
        let reply = mcp.modern(method, params).await.message();
        assert_eq!(reply["result"]["taskId"], sealed, "{method}: {reply}");
        let sent = backend.heard(method).pop().unwrap();
        assert_eq!(sent.message["params"]["taskId"], "t-1", "{method}");
        assert_eq!(sent.header("mcp-name"), "t-1", "{method}");
    }
    let made_up = mcp.modern("tasks/get", json!({ "taskId": "t-1", "_meta": declared() })).await;
    assert_eq!(made_up.json()["error"]["code"], -32602, "{}", made_up.text);

    let (backend, _world, mcp) = crossing(Speaks::Legacy).await;
    backend.answer(Answer::Result(json!({ "task": { "taskId": "t-1", "status": "working" } })));
    let params = json!({ "name": "list_contacts", "arguments": {}, "task": { "ttl": 1000 } });
    let begun = mcp.legacy("tools/call", params.clone()).await.message();
    let sealed = begun["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    assert_ne!(sealed, "t-1");
    assert_eq!(backend.calls()[0].message["params"], params);
    backend.answer(Answer::Result(json!({ "taskId": "t-1", "status": "completed" })));
    let got = mcp.legacy("tasks/get", json!({ "taskId": sealed })).await.message();
    assert_eq!(got["result"]["taskId"], sealed, "{got}");
    assert_eq!(backend.heard("tasks/get")[0].message["params"]["taskId"], "t-1");
}

#[tokio::test]
async fn a_call_that_needs_input_goes_round_again_within_the_modern_era() {
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    let question = json!({ "method": "elicitation/create", "params": { "message": "Sure?" } });
    for (method, params) in wants()
        .into_iter()
        .take(2)
        .chain([("tools/call", json!({ "name": "list_contacts", "arguments": { "name": "Ada" } }))])
    {
        let asks = json!({ "resultType": "input_required", "requestState": "s-1",
            "inputRequests": { "q": question } });
        backend.answer(Answer::Result(asks));
        let asked = mcp.modern(method, params.clone()).await.message();
        assert_eq!(asked["result"]["inputRequests"]["q"], question, "{method}: {asked}");
        let state = asked["result"]["requestState"].as_str().unwrap().to_owned();
        assert_ne!(state, "s-1", "{method}");
        backend.answer(Answer::Result(json!({ "resultType": "complete" })));
        let mut again = params.clone();
        again["requestState"] = state.into();
        again["inputResponses"] = json!({ "q": { "action": "accept" } });
        let reply = mcp.modern(method, again.clone()).await.message();
        assert_eq!(reply["result"]["resultType"], "complete", "{method}: {reply}");
        let sent = backend.heard(method).pop().unwrap().message;
        assert_eq!(sent["params"]["requestState"], "s-1", "{method}");
        assert_eq!(sent["params"]["inputResponses"], again["inputResponses"], "{method}");
        let heard = backend.heard(method).len();
        again["requestState"] = "s-1".into();
        let refused = mcp.modern(method, again).await;
        assert_eq!(refused.json()["error"]["code"], -32602, "{method}: {}", refused.text);
        assert_eq!(backend.heard(method).len(), heard, "{method}: somebody's own state");
    }
}

#[tokio::test]
async fn what_only_one_era_has_is_taken_out_of_a_call_that_crosses() {
    let answers = json!({ "q": { "action": "accept" } });
    let (backend, _world, mcp) = crossing(Speaks::Modern).await;
    let params = json!({ "name": "list_contacts", "arguments": {}, "requestState": "s-1",
        "inputResponses": answers, "task": { "ttl": 1 } });
    assert_eq!(mcp.legacy("tools/call", params).await.status, 200);
    let sent = backend.calls().pop().unwrap().message["params"].clone();
    let (backend, _world, mcp) = crossing(Speaks::Legacy).await;
    let params = json!({ "name": "list_contacts", "arguments": {},
        "inputResponses": answers, "task": { "ttl": 1 } });
    assert_eq!(mcp.modern("tools/call", params).await.status, 200);
    for params in [sent, backend.calls().pop().unwrap().message["params"].clone()] {
        let mut names: Vec<&String> = params.as_object().unwrap().keys().collect();
        names.retain(|name| *name != "_meta");
        assert_eq!(names, ["name", "arguments"], "{params}");
    }
    let own = json!({ "name": "list_contacts", "requestState": "s-1" });
    let refused = mcp.modern("tools/call", own).await;
    assert_eq!(refused.json()["error"]["code"], -32602, "{}", refused.text);
}

#[tokio::test]
async fn a_parameter_in_a_header_says_what_the_argument_says_to_every_backend() {
    let params = json!({ "name": "list_contacts", "arguments": { "region": "eu" } });
    for (modern, speaks) in PAIRS {
        let (backend, _world, mcp) = crossing(speaks).await;
        if modern {
            let send = async |region: &str| {
                let mut params = params.clone();
                params["_meta"] = modern_meta();
                let sent = headers([
                    ("mcp-method", "tools/call"),
                    ("mcp-name", "list_contacts"),
                    ("mcp-param-region", region),
                    ("mcp-protocol-version", MODERN),
                ]);
                mcp.send(&request("tools/call", params), sent).await
            };
            let refused = send("us").await;
            let id = refused.json()["id"].clone();
            is_rpc_error(&refused, 400, -32020, &id, "another region");
            assert_eq!(mcp.modern("tools/call", params.clone()).await.status, 400, "none at all");
            assert!(backend.calls().is_empty());
            assert_eq!(send("eu").await.status, 200);
        } else {
            let sent = headers([("mcp-param-region", "us"), ("mcp-protocol-version", LEGACY)]);
            let reply = mcp.send(&request("tools/call", params.clone()), sent).await;
            assert_eq!(reply.status, 200, "it means nothing there: {}", reply.text);
        }
        let expected = if speaks == Speaks::Modern { "eu" } else { "" };
        assert_eq!(backend.calls()[0].header("mcp-param-region"), expected, "{modern} {speaks:?}");
    }
}

#[tokio::test]
async fn the_status_of_an_error_is_of_the_clients_era() {
    for (modern, speaks, came, code, goes) in [
        (false, Speaks::Legacy, 400, -32000, 400),
        (true, Speaks::Modern, 400, -32021, 400),
        (true, Speaks::Modern, 404, -32601, 404),
        (false, Speaks::Modern, 404, -32601, 200),
        (false, Speaks::Modern, 400, -32602, 200),
        (true, Speaks::Legacy, 200, -32601, 404),
        (true, Speaks::Legacy, 200, -32602, 200),
    ] {
        let (backend, _world, mcp) = crossing(speaks).await;
        backend.answer(Answer::Refusal(came, json!({ "code": code, "message": "m" })));
        let reply = ask(&mcp, modern, "tools/call", json!({ "name": "list_contacts" })).await;
        let about = format!("{modern} {speaks:?} {came}: {}", reply.text);
        assert_eq!(reply.status, goes, "{about}");
        assert_eq!(reply.message()["error"]["code"], code, "{about}");
    }
}

#[tokio::test]
async fn versions_ids_cursors_and_batches_are_judged_alike_before_every_backend() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let (_backend, _world, mcp) = crossing(speaks).await;
        let message = request("tools/call", json!({ "name": "list_contacts" }));
        let reply = mcp.send(&message, headers([("mcp-protocol-version", "2024-11-05")])).await;
        is_rpc_error(&reply, 400, -32022, &message["id"], "an old version");
        let mut later = request("tools/list", json!({ "_meta": modern_meta() }));
        later["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2027-01-01".into();
        let sent = headers([("mcp-method", "tools/list"), ("mcp-protocol-version", "2027-01-01")]);
        let reply = mcp.send(&later, sent).await;
        is_rpc_error(&reply, 400, -32022, &later["id"], "a version to come");
        assert_eq!(reply.json()["error"]["data"]["supported"][0], MODERN);
        for modern in [false, true] {
            let reply = ask(&mcp, modern, "tools/list", json!({ "cursor": "made up" })).await;
            assert_eq!(reply.json()["error"]["code"], -32602, "{speaks:?}: {}", reply.text);
        }
        let batch = mcp.send(&json!([message]), headers([])).await;
        is_rpc_error(&batch, 400, -32600, &Value::Null, "a batch");
        for id in ["-7", "\"caf\\u00e9\""] {
            let params = r#"{"name":"list_contacts","arguments":{}}"#;
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
            let reply = mcp.send_text(body, headers([])).await.message();
            assert_eq!(reply["id"], serde_json::from_str::<Value>(id).unwrap(), "{speaks:?}");
        }
    }
}

#[tokio::test]
async fn a_relay_before_a_backend_of_the_other_era_answers_by_itself() {
    let (backend, _world, mcp) = relayed(Speaks::Modern).await;
    assert_eq!(session(&mcp).await, "", "there is no session to relay");
    let reply = mcp.legacy("tools/list", json!({})).await;
    assert_eq!(reply.json()["result"]["tools"].as_array().unwrap().len(), 3, "{}", reply.text);
    assert_eq!(mcp.legacy("tools/call", json!({ "name": "list_contacts" })).await.status, 200);
    assert_eq!(backend.calls()[0].header("mcp-protocol-version"), MODERN);
    let (backend, _world, mcp) = relayed(Speaks::Legacy).await;
    let reply = mcp.modern("server/discover", json!({})).await;
    assert_eq!(reply.json()["result"]["supportedVersions"][0], MODERN, "{}", reply.text);
    assert_eq!(mcp.modern("tools/call", json!({ "name": "list_contacts" })).await.status, 200);
    assert_eq!(backend.calls()[0].header("mcp-protocol-version"), LEGACY);
}
