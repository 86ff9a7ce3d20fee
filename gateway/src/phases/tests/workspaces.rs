//! Calls, tasks and rows stay within the caller's workspaces.

use super::*;

#[tokio::test]
async fn a_write_names_its_workspace_or_is_told_which_there_are() {
    let world = world("").await;
    let token = world.token(&json!({}));
    let call = |arguments: Value| json!({"name": "create_contact", "arguments": arguments});
    let answer = world.modern(&token, "tools/call", call(json!({}))).await;
    assert_eq!(answer.body["result"]["isError"], true);
    let text = answer.body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("Validation error:") && text.contains("acme, beta"), "{text}");
    let one = world.token(&json!({"workspaces": ["acme"], "jti": "t2"}));
    let answer = world.modern(&one, "tools/call", call(json!({}))).await;
    assert_eq!(answer.body["result"]["content"][0]["text"], "done");
    let seen = world.seen.lock().unwrap();
    assert_eq!(seen[0].1["params"]["arguments"]["workspace_id"], "acme");
}

#[tokio::test]
async fn a_task_is_its_owners_and_reads_the_same_in_every_answer() {
    let world = world_of("", "session = \"relay\"").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts", "task": {"ttl": 1000}});
    let begun = world.legacy(&token, "tools/call", call).await;
    let id = begun.body["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    assert!(!id.contains("t-1"), "{id}");
    let asked = world.legacy(&token, "tasks/get", json!({"taskId": id})).await;
    assert_eq!(asked.body["result"]["taskId"], id.as_str(), "{}", asked.body);
    assert_eq!(world.seen.lock().unwrap().last().unwrap().1["params"]["taskId"], "t-1");
    let before = world.seen.lock().unwrap().len();
    let other = world.token(&json!({"sub": "usr_2", "jti": "t2"}));
    for (token, id) in [(&other, id.as_str()), (&token, "t-1")] {
        let refused = world.legacy(token, "tasks/get", json!({"taskId": id})).await;
        assert_eq!(refused.body["error"]["code"], -32602, "{}", refused.body);
    }
    assert_eq!(world.seen.lock().unwrap().len(), before);
}

#[tokio::test]
async fn rows_of_another_workspace_do_not_pass() {
    let world = world_of("", "row_workspace = \"workspace_id\"").await;
    let token = world.token(&json!({}));
    let call = json!({"name": "list_contacts", "arguments": {"workspace_id": "beta"}});
    let answer = world.legacy(&token, "tools/call", call).await;
    let text = answer.body["result"]["content"][0]["text"].as_str().unwrap();
    let rows: Value = serde_json::from_str(text).unwrap();
    assert_eq!(rows, json!([{"id": 2, "workspace_id": "beta"}]));
}

#[tokio::test]
async fn a_list_names_the_callers_workspaces_as_choices() {
    let world = world("").await;
    let token = world.token(&json!({"workspaces": ["acme"], "jti": "t2"}));
    let answer = world.legacy(&token, "tools/list", json!({})).await;
    let property = &answer.body["result"]["tools"][0]["inputSchema"]["properties"]["workspace_id"];
    assert_eq!(property, &json!({"enum": ["acme"], "type": "string"}));
}

#[tokio::test]
async fn results_of_tasks_and_of_relayed_sessions_are_searched_for_rows_too() {
    for session in ["stateless", "relay"] {
        let route = format!("session = \"{session}\"\nrow_workspace = \"workspace_id\"");
        let world = world_of("", &route).await;
        let token = world.token(&json!({"workspaces": ["beta"]}));
        let call = json!({"name": "list_contacts", "arguments": {"workspace_id": "beta"}});
        let answer = world.legacy(&token, "tools/call", call).await;
        let own = json!([{"id": 2, "workspace_id": "beta"}]).to_string();
        assert_eq!(answer.body["result"]["content"][0]["text"], own, "{session}");
        let call = json!({"name": "list_contacts", "task": {"ttl": 1000}});
        let begun = world.legacy(&token, "tools/call", call).await;
        let id = begun.body["result"]["task"]["taskId"].clone();
        let told = world.legacy(&token, "tasks/result", json!({ "taskId": id })).await;
        assert_eq!(told.body["result"]["content"][0]["text"], own, "{session}: {}", told.body);
    }
}

#[tokio::test]
async fn the_stream_of_a_relayed_session_carries_no_row_of_another_workspace() {
    let route = "session = \"relay\"\nrow_workspace = \"workspace_id\"";
    let world = world_of("", route).await;
    let token = world.token(&json!({"workspaces": ["beta"]}));
    let opened = world.legacy(&token, "initialize", json!({"protocolVersion": "2025-11-25"})).await;
    let session = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let request = Request::builder()
        .uri("/mcp")
        .header("host", HOST)
        .header("authorization", format!("Bearer {token}"))
        .header("mcp-session-id", &session)
        .header("last-event-id", "rows")
        .body(Body::empty())
        .unwrap();
    let response = router(world.gateway.clone()).oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("beta") && !text.contains("acme"), "{text}");
}
