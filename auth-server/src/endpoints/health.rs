//! `GET /healthz` and `/readyz`: whether the process lives, and whether it can serve.

use std::time::Duration;

use axum::{extract::State, response::Response};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::json;
use web::problem::json;

use crate::{App, store::StoreError};

/// The process answers.
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, "{\"status\":\"ok\"}")
}

/// How long the store may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store answers too: the one thing without which nothing new is issued.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let reason = match tokio::time::timeout(PATIENCE, app.store.feed(Some(u64::MAX))).await {
        Ok(Ok(_)) => {
            let body = r#"{"status":"ready","dependencies":[{"name":"store","state":"ok"}]}"#;
            return json(StatusCode::OK, body);
        }
        Ok(Err(error)) => {
            crate::error::log(&error);
            reason(&error)
        }
        Err(_) => "it does not answer in time",
    };
    let store = json!({ "name": "store", "reason": reason, "state": "missing" });
    let body = json!({ "status": "waiting", "dependencies": [store] }).to_string();
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// What is wrong, without what only the log may say.
fn reason(error: &StoreError) -> &'static str {
    match error {
        StoreError::ClockSkew => "its clock and this machine's are more than 30 s apart",
        StoreError::Journal(_) => "the journal of revocations cannot be used",
        _ => "it does not answer",
    }
}
