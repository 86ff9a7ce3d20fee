//! GET /healthz and /readyz: whether the process runs, and whether it can serve.

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use crate::state::App;

/// The process runs.
pub(crate) async fn healthz() -> Response {
    web::problem::json(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// Keys, revocations and every backend's catalogue are known.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let mut missing = Vec::new();
    if !app.keys.is_loaded() {
        missing.push("the issuer's keys".to_owned());
    }
    if !app.feed.is_current() {
        missing.push("the feed of revocations".to_owned());
    }
    for backend in &app.config.backends {
        let known = app.backends.find(&backend.name).is_some_and(|held| held.catalogue().is_some());
        if !known {
            missing.push(format!("the catalogue of {}", backend.name));
        }
    }
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if missing.is_empty() { "ready" } else { "waiting" };
    web::problem::json(status, json!({ "status": word, "missing": missing }).to_string())
}
