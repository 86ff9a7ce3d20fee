//! Refusals as a client reads them.

use std::time::Duration;

use axum::body::to_bytes;

use super::*;
use crate::config::{Config, RawBackend, RawGateway, tests::deployment};

fn route() -> std::sync::Arc<Route> {
    let gateway: RawGateway = toml::from_str(
        "[[route]]\nresource = \"http://localhost:7400/mcp\"\nbackends = [\"crm\"]\n\
         [[route]]\nresource = \"http://127.0.0.1:7400/mcp\"\nbackends = [\"crm\"]\n",
    )
    .unwrap();
    let backend: RawBackend =
        toml::from_str("name = \"crm\"\nurl = \"http://127.0.0.1:1/mcp\"").unwrap();
    let config = Config::resolve(gateway, vec![backend], &deployment()).unwrap();
    std::sync::Arc::clone(&config.routes[0])
}

async fn answer(refusal: Refusal, id: Option<&str>, granted: &str) -> (Response, Value) {
    answer_to(false, refusal, id, granted).await
}

async fn answer_to(
    calls_tool: bool,
    refusal: Refusal,
    id: Option<&str>,
    granted: &str,
) -> (Response, Value) {
    let id = id.map(|id| RawValue::from_string(id.to_owned()).unwrap());
    let granted = Scope::parse(granted).unwrap();
    let route = route();
    let about = About {
        calls_tool,
        era: Some(Era::Modern),
        granted: id.as_ref().map(|_| &granted),
        id: id.as_deref(),
        route: &route,
    };
    let response = refusal.respond(about);
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (Response::from_parts(parts, axum::body::Body::empty()), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn without_a_token_the_challenge_has_no_error() {
    let (response, _) = answer(BearerViolation::Missing.into(), None, "").await;
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        "Bearer scope=\"contacts:read\", resource_metadata=\"http://localhost:7400\
         /.well-known/oauth-protected-resource/mcp\""
    );
}

#[tokio::test]
async fn a_bad_token_is_named_in_one_challenge() {
    let (response, body) = answer(BearerViolation::Expired.into(), None, "").await;
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description="));
    assert_eq!(response.headers().get_all(WWW_AUTHENTICATE).iter().count(), 1);
    assert_eq!(body["error"], "invalid_token");
}

#[tokio::test]
async fn a_missing_scope_is_asked_for_together_with_those_granted() {
    let required = Scope::parse("contacts:delete").unwrap();
    let refusal = BearerViolation::InsufficientScope { required }.into();
    let (response, body) = answer(refusal, Some("\"x\""), "contacts:read").await;
    assert_eq!(response.status(), 403);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains("scope=\"contacts:delete contacts:read\""), "{challenge}");
    assert!(challenge.contains("error=\"insufficient_scope\""));
    assert_eq!(body["id"], "x");
    assert!(body["error"]["code"].is_i64());
}

#[tokio::test]
async fn refusals_keep_the_id_and_their_headers() {
    let limited = Limited { budget: "workspace", retry_after: 7 };
    let (response, body) = answer(limited.into(), Some("3"), "").await;
    assert_eq!((response.status().as_u16(), &body["id"]), (429, &json!(3)));
    assert_eq!(response.headers()[RETRY_AFTER], "7");
    let (response, _) = answer(Refusal::Unavailable("keys are missing"), None, "").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(RETRY_AFTER));
    let text = Refusal::Text("Validation error: x".to_owned());
    let (response, body) = answer(text, Some("3"), "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(body["result"]["isError"], true);
    assert_eq!(body["result"]["resultType"], "complete");
}

/// What failed, and what `Retry-After` says.
type Failure = (fn() -> BackendError, Option<&'static str>);

#[tokio::test]
async fn what_a_backend_failed_of_a_tools_call_is_told_to_the_model() {
    let spared = || BackendError::Spared { left: Duration::from_secs(4), why: "it is slow" };
    let failures: [Failure; 12] = [
        (|| BackendError::Answer("it redirects"), None),
        (|| BackendError::Broken, None),
        (|| BackendError::Busy, Some("1")),
        (|| BackendError::Deferred(Duration::from_secs(7)), Some("7")),
        (|| BackendError::ExchangeAway, Some("2")),
        (|| BackendError::ExchangeRefused, None),
        (|| BackendError::Refused, None),
        (|| BackendError::SessionWanted, None),
        (spared, Some("4")),
        (|| BackendError::Timeout, None),
        (|| BackendError::TooLarge, None),
        (|| BackendError::Unavailable, Some("2")),
    ];
    for (error, wait) in failures {
        let refusal = || Refusal::Backend { error: error(), name: "crm".to_owned() };
        let words = refusal().to_string();
        let header = |response: &Response| {
            let value = response.headers().get(RETRY_AFTER);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let (response, body) = answer_to(true, refusal(), Some("3"), "").await;
        assert_eq!(response.status(), 200, "{words}");
        let content = json!([{ "type": "text", "text": words }]);
        let result = json!({ "content": content, "isError": true, "resultType": "complete" });
        assert_eq!(body, json!({ "jsonrpc": "2.0", "id": 3, "result": result }));
        assert_eq!(header(&response).as_deref(), wait, "{words}");
        let (response, body) = answer(refusal(), Some("3"), "").await;
        assert!(response.status().is_server_error(), "{words}");
        assert_eq!(
            (&body["error"]["code"], &body["error"]["message"]),
            (&json!(-32603), &json!(words))
        );
        assert_eq!(header(&response).as_deref(), wait, "{words}");
    }
    for (error, status) in [(BackendError::SessionGone, 404), (BackendError::Unknown, 500)] {
        let refusal = Refusal::Backend { error, name: "crm".to_owned() };
        let (response, body) = answer_to(true, refusal, Some("3"), "").await;
        assert_eq!(response.status(), status, "it is not about the call");
        assert_eq!(body["error"]["code"], -32603);
    }
}

#[test]
fn every_violation_that_says_the_same_to_all_is_written_beforehand() {
    let route = route();
    for violation in BearerViolation::FIXED {
        let header = route.challenges.header(&violation, None).unwrap();
        let text = header.to_str().unwrap();
        let requirement = violation.wire().2;
        assert_eq!(text.contains(requirement), violation.wire().1.is_some(), "{text}");
    }
}
