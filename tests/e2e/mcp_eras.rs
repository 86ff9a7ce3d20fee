//! A client of one era before a backend of the other: the cells of `docs/eras.md`.

use serde_json::{Value, json};
use tests::{Answer, Backend, MODERN, Mcp, Reply, Speaks, World, headers, modern_meta, request};

use crate::mcp_cases::{before, is_rpc_error, signed_in};

struct Crossing {
    backend: Backend,
    mcp: Mcp,
    _world: World,
}

async fn crossing(speaks: Speaks) -> Crossing {
    to(Backend::speaking(speaks).await).await
}

async fn to(backend: Backend) -> Crossing {
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    Crossing { backend, mcp, _world: world }
}

fn params() -> Value {
    json!({ "name": "list_contacts", "arguments": { "name": "Ada" } })
}

fn only_data(reply: &Reply) -> Vec<Value> {
    let data = reply.text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_legacy_call_reaches_a_modern_backend_in_its_words() {
    let Crossing { backend, mcp, .. } = crossing(Speaks::Modern).await;
    let result = json!({ "content": [], "resultType": "complete", "odd": 1 });
    backend.answer(Answer::Result(result));
    let reply = mcp.legacy("tools/call", params()).await;
    assert_eq!(reply.message()["result"], json!({ "content": [], "odd": 1 }), "{}", reply.text);
    let sent = &backend.calls()[0];
    for (name, value) in [
        ("mcp-method", "tools/call"),
        ("mcp-name", "list_contacts"),
        ("mcp-protocol-version", MODERN),
    ] {
        assert_eq!(sent.header(name), value);
    }
    let meta = &sent.message["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN);
    // What the backend would ask of the client's abilities cannot be carried back.
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
    assert_eq!(sent.message["params"]["arguments"], params()["arguments"]);
    assert_eq!(sent.message["id"], reply.message()["id"]);
}

#[tokio::test]
async fn a_modern_call_reaches_a_legacy_backend_in_its_words() {
    let Crossing { backend, mcp, .. } = crossing(Speaks::Legacy).await;
    backend.answer(Answer::Result(json!({ "content": [], "odd": 1 })));
    let mut with_token = params();
    with_token["_meta"] = modern_meta();
    with_token["_meta"]["progressToken"] = json!("p1");
    let sent = headers([
        ("mcp-method", "tools/call"),
        ("mcp-name", "list_contacts"),
        ("mcp-protocol-version", MODERN),
    ]);
    let reply = mcp.send(&request("tools/call", with_token), sent).await;
    let expected = json!({ "content": [], "odd": 1, "resultType": "complete" });
    assert_eq!(reply.message()["result"], expected, "{}", reply.text);
    let sent = &backend.calls()[0];
    assert_eq!(sent.header("mcp-method"), "");
    assert_eq!(sent.header("mcp-name"), "");
    assert_eq!(sent.header("mcp-protocol-version"), "2025-11-25");
    assert_eq!(sent.message["params"]["_meta"], json!({ "progressToken": "p1" }));
}

#[tokio::test]
async fn either_client_shakes_hands_and_lists_before_either_backend() {
    for speaks in [Speaks::Both, Speaks::Legacy, Speaks::Modern] {
        let Crossing { mcp, .. } = crossing(speaks).await;
        let client = json!({ "name": "end to end", "version": "1" });
        let hello =
            json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        let opened = mcp.send(&request("initialize", hello), headers([])).await.json();
        assert_eq!(opened["result"]["protocolVersion"], "2025-06-18", "{speaks:?}");
        let discovered = mcp.modern("server/discover", json!({})).await.json();
        assert_eq!(discovered["result"]["supportedVersions"][0], MODERN, "{speaks:?}");
        let (old, new) = (
            mcp.legacy("tools/list", json!({})).await.json()["result"].clone(),
            mcp.modern("tools/list", json!({})).await.json()["result"].clone(),
        );
        assert_eq!(old["tools"].as_array().unwrap().len(), 3, "{speaks:?}: {old}");
        assert_eq!(old["tools"], new["tools"], "{speaks:?}");
        assert_eq!(old.as_object().unwrap().len(), 1, "{speaks:?}: {old}");
        assert_eq!(new["cacheScope"], "private", "whatever the backend said");
    }
}

#[tokio::test]
async fn what_a_legacy_client_cannot_be_told_is_refused_by_name() {
    let Crossing { backend, mcp, .. } = crossing(Speaks::Modern).await;
    for (kind, words) in [("input_required", "a request for input"), ("task", "a task")] {
        backend.answer(Answer::Result(json!({ "resultType": kind, "requestState": "s" })));
        let reply = mcp.legacy("tools/call", params()).await;
        let told = reply.message();
        assert_eq!(told["error"]["code"], -32603, "{kind}: {told}");
        let text = told["error"]["message"].as_str().unwrap();
        assert!(text.contains(words), "{kind}: {text}");
        assert!(told["id"].is_u64(), "{kind}: {told}");
    }
}

#[tokio::test]
async fn progress_crosses_and_questions_do_not() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let Crossing { backend, mcp, .. } = crossing(speaks).await;
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress",
            "params": { "progressToken": 1, "progress": 1 } });
        let question = json!({ "jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage" });
        let answer = r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[]}}"#;
        let stream = format!("data: {progress}\n\ndata: {question}\n\ndata: {answer}\n\n");
        backend.answer(Answer::Raw("text/event-stream", stream));
        let reply = match speaks {
            Speaks::Modern => mcp.legacy("tools/call", params()).await,
            _ => mcp.modern("tools/call", params()).await,
        };
        let data = only_data(&reply);
        assert_eq!(data.len(), 2, "{speaks:?}: {}", reply.text);
        assert_eq!(data[0], progress, "{speaks:?}");
        assert_eq!(data[1]["result"]["content"], json!([]), "{speaks:?}");
        assert_eq!(data[1]["result"].get("resultType").is_some(), speaks == Speaks::Legacy);
    }
}

#[tokio::test]
async fn error_codes_that_the_modern_era_gave_up_are_replaced() {
    let Crossing { backend, mcp, .. } = crossing(Speaks::Legacy).await;
    for (old, new) in [(-32002, -32602), (-32042, -32603), (-32000, -32000)] {
        let error = json!({ "code": old, "message": "m" });
        let message = format!(r#"{{"jsonrpc":"2.0","id":{{id}},"error":{error}}}"#);
        backend.answer(Answer::Raw("application/json", message));
        let modern = mcp.modern("tools/call", params()).await.message();
        assert_eq!(modern["error"]["code"], new, "{modern}");
        let legacy = mcp.legacy("tools/call", params()).await.message();
        assert_eq!(legacy["error"]["code"], old, "{legacy}");
    }
}

#[tokio::test]
async fn what_only_the_other_era_has_is_refused_by_name() {
    let Crossing { mcp, .. } = crossing(Speaks::Modern).await;
    for (method, given) in
        [("logging/setLevel", json!({ "level": "info" })), ("tasks/list", json!({}))]
    {
        let message = request(method, given);
        let reply = mcp.send(&message, headers([])).await;
        is_rpc_error(&reply, 200, -32601, &message["id"], method);
        assert!(reply.text.contains(method), "{}", reply.text);
    }
}

/// MCP 2025-11-25, tools: an output schema and structured content are objects.
#[tokio::test]
async fn results_that_are_no_objects_reach_a_legacy_client_inside_of_one() {
    let input = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let one = json!({ "type": "object", "properties": { "next": { "$ref": "#/$defs/one" } } });
    let many =
        json!({ "type": "array", "items": { "$ref": "#/$defs/one" }, "$defs": { "one": one } });
    let alone = json!({ "type": "object" });
    // What the demo says of a tool that only reads, so that nothing is added to it.
    let reads = json!({ "readOnlyHint": true });
    let tools = json!([
        { "name": "create_contact", "inputSchema": input,
            "outputSchema": { "type": "array", "items": { "$ref": "#" } } },
        { "name": "delete_contact", "inputSchema": input, "outputSchema": alone },
        { "name": "list_contacts", "inputSchema": input, "outputSchema": many,
            "annotations": reads },
    ]);
    let wrapped = json!({ "type": "object", "properties": {
        "result": { "type": "array", "items": { "$ref": "#/$defs/one" } } },
        "required": ["result"], "$defs": { "one": one } });
    let content = json!([{ "type": "text", "text": "[{}]" }]);
    // Whoever answers legacy calls itself decides how, so that nothing is promised for it.
    for (speaks, told) in [(Speaks::Modern, wrapped), (Speaks::Both, Value::Null)] {
        let Crossing { backend, mcp, .. } =
            to(Backend::offering(speaks, tools.clone()).await).await;
        let (old, new) = (
            mcp.legacy("tools/list", json!({})).await.json()["result"]["tools"].clone(),
            mcp.modern("tools/list", json!({})).await.json()["result"]["tools"].clone(),
        );
        assert_eq!(new, tools, "{speaks:?}");
        assert_eq!(old[0], json!({ "name": "create_contact", "inputSchema": input }));
        assert_eq!(old[1], tools[1], "{speaks:?}");
        assert_eq!(old[2]["outputSchema"], told, "{speaks:?}");
        assert_eq!(old[2].get("outputSchema").is_some(), speaks == Speaks::Modern);
        for (name, given, changed) in [
            ("list_contacts", json!([{}]), json!({ "result": [{}] })),
            ("list_contacts", json!({}), json!({ "result": {} })),
            ("create_contact", Value::Null, json!({ "result": null })),
        ] {
            let result = json!({ "content": content, "structuredContent": given });
            let message = format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{result}}}"#);
            let event = format!("data: {message}\n\n");
            for (media, body) in [("application/json", message), ("text/event-stream", event)] {
                backend.answer(Answer::Raw(media, body));
                let params = json!({ "name": name, "arguments": {} });
                let old = mcp.legacy("tools/call", params.clone()).await.message();
                let new = mcp.modern("tools/call", params).await.message();
                assert_eq!(old["result"]["content"], content, "{old}");
                let expected = if speaks == Speaks::Modern { &changed } else { &given };
                assert_eq!(old["result"]["structuredContent"], *expected, "{speaks:?}: {old}");
                assert_eq!(new["result"]["structuredContent"], given, "{new}");
            }
        }
    }
}

#[tokio::test]
async fn structured_results_of_a_legacy_backend_stay_as_they_came() {
    let schema = json!({ "type": "object" });
    let tools = json!([{ "name": "list_contacts", "inputSchema": schema, "outputSchema": schema,
        "annotations": { "readOnlyHint": true } }]);
    let backend = Backend::offering(Speaks::Legacy, tools.clone()).await;
    let Crossing { backend, mcp, .. } = to(backend).await;
    let content = json!({ "result": [1, 2] });
    backend.answer(Answer::Result(json!({ "content": [], "structuredContent": content })));
    for modern in [false, true] {
        let ask = async |method, params| {
            let reply = if modern {
                mcp.modern(method, params).await
            } else {
                mcp.legacy(method, params).await
            };
            reply.message()
        };
        assert_eq!(ask("tools/list", json!({})).await["result"]["tools"], tools);
        let told = ask("tools/call", params()).await;
        assert_eq!(told["result"]["structuredContent"], content, "{told}");
    }
}
