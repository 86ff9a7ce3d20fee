//! Backends that fail or take too long: nobody waits for what is known to be away.

use serde_json::{Value, json};
use tests::{Answer, Backend, Speaks, World, headers, request};

use crate::mcp_cases::{before, is_rpc_error, signed_in, tool_error};

async fn ready(world: &World) -> Value {
    let ready = world.http.get(&world.gateway_url("/readyz")).await.expect_status(200).json();
    let all = ready["dependencies"].as_array().unwrap().clone();
    let own = all.into_iter().find(|one| one["name"].as_str().unwrap().starts_with("backend "));
    json!({ "status": ready["status"], "backend": own.unwrap() })
}

#[tokio::test]
async fn a_backend_that_fails_is_spared_and_callers_are_told_when_to_come_back() {
    let backend = Backend::start().await;
    let edit = |text: String| {
        let own = "[[backend]]\nconnection = { breaker_failures = 2, breaker_seconds = 60 }";
        text.replace("[[backend]]", own)
    };
    let world = before(&backend, edit).await;
    let mcp = signed_in(&world).await;
    let call = async || mcp.call("create_contact", json!({ "workspace_id": "ws_acme" })).await;
    backend.answer(Answer::Status(502));
    tool_error(&call().await, "the first failure");
    assert_eq!(ready(&world).await["status"], "ready");
    tool_error(&call().await, "the second failure");
    let refused = call().await;
    let said = tool_error(&refused, "spared");
    assert_eq!(backend.calls().len(), 2, "the third was not sent");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let expected = "is not available now: it answers that it cannot serve; try again in";
    assert!(said.starts_with("the backend ") && said.contains(expected), "{said}");
    let ready = ready(&world).await;
    assert_eq!(
        (&ready["status"], &ready["backend"]["state"]),
        (&"degraded".into(), &"degraded".into())
    );
    let mut text = String::new();
    world.gateway.as_ref().unwrap().encode_metrics(&mut text);
    assert!(text.contains("vestibule_gateway_backend_standing{backend="), "{text}");
    for outcome in ["answer", "spared"] {
        let row = text.lines().find(|line| {
            let is_one = |part: &str| line.contains(part);
            is_one("vestibule_gateway_requests_total{") && is_one(&format!("outcome=\"{outcome}\""))
        });
        let row = row.unwrap_or_else(|| panic!("{outcome}: {text}"));
        assert!(row.contains("tools/call") && row.contains("status=\"200\""), "{row}");
    }
    assert_eq!(mcp.legacy("tools/list", json!({})).await.status, 200, "the list is known");
}

#[tokio::test]
async fn a_stream_that_goes_on_for_too_long_ends_with_an_error_that_says_so() {
    let backend = Backend::start().await;
    let edit = |text: String| {
        text.replace("[[backend]]", "[[backend]]\nconnection = { whole_timeout_ms = 300 }")
    };
    let world = before(&backend, edit).await;
    let mcp = signed_in(&world).await;
    backend.answer(Answer::Stream);
    let arguments = json!({ "workspace_id": "ws_acme" });
    let ended = async {
        let pen = backend.stream().await;
        // Signs of life do not make it any shorter.
        while pen.send(": still at it\n\n".to_owned()).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let (reply, ()) = tokio::join!(mcp.call("create_contact", arguments), ended);
    let said = tool_error(&reply, "a stream that is too long");
    assert!(said.contains("did not answer in time"), "{said}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_examined_is_a_failure_by_name_too() {
    let backend = Backend::speaking(Speaks::Modern).await;
    let world = before(&backend, |text| text).await;
    let mcp = signed_in(&world).await;
    // Two members of one name have two meanings.
    let twice = r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"a":1,"a":2}}"#.to_owned();
    let event = format!("data: {twice}\n\n");
    for (media, body) in [("application/json", twice), ("text/event-stream", event)] {
        backend.answer(Answer::Raw(media, body));
        let reply = mcp.call("create_contact", json!({ "workspace_id": "ws_acme" })).await;
        let said = tool_error(&reply, media);
        assert!(said.contains("could not be examined"), "{media}: {said}");
    }
    let mut text = String::new();
    world.gateway.as_ref().unwrap().encode_metrics(&mut text);
    let row = text.lines().find(|line| {
        line.starts_with("vestibule_gateway_requests_total{") && line.contains("outcome=\"answer\"")
    });
    assert!(row.is_some_and(|row| row.contains("status=\"200\"")), "{text}");
}

#[tokio::test]
async fn what_a_backend_fails_of_another_method_is_an_error_with_a_status() {
    let backend = Backend::whole(Speaks::Both).await;
    let world =
        before(&backend, |text| text.replace("[[backend]]", "[[backend]]\ntimeout_ms = 300")).await;
    let mcp = signed_in(&world).await;
    for (answer, status, words) in [
        (Answer::Status(401), 502, "identity"),
        (Answer::Status(503), 503, "not available"),
        (Answer::Never, 504, "in time"),
    ] {
        let about = format!("{answer:?}");
        backend.answer(answer);
        let message = request("prompts/get", json!({ "name": "summarise_account" }));
        let reply = mcp.send(&message, headers([])).await;
        is_rpc_error(&reply, status, -32603, &message["id"], &about);
        let text = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains("the backend crm") && text.contains(words), "{about}: {text}");
        assert_eq!(!reply.header("retry-after").is_empty(), status == 503, "{about}");
    }
}
