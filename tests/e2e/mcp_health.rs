//! Backends that fail or take too long: nobody waits for what is known to be away.

use serde_json::{Value, json};
use tests::{Answer, Backend, World};

use crate::mcp_cases::{before, signed_in};

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
    assert_eq!(call().await.status, 502);
    assert_eq!(ready(&world).await["status"], "ready");
    assert_eq!(call().await.status, 502);
    let refused = call().await.expect_status(503);
    assert_eq!(backend.calls().len(), 2, "the third was not sent");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let error = &refused.json()["error"];
    assert_eq!(error["data"]["retry_after"], wait);
    let said = error["message"].as_str().unwrap();
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
    let said = reply.message()["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("did not answer in time"), "{said}");
}
