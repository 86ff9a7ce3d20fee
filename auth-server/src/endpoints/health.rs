//! `GET /healthz` and `/readyz`: whether the process lives, and whether it can serve.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use web::problem::{Problem, json};

use crate::App;

/// The process answers.
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, "{\"status\":\"ok\"}")
}

/// The store answers too.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    match app.store.feed(Some(u64::MAX)).await {
        Ok(_) => json(StatusCode::OK, "{\"status\":\"ready\"}"),
        Err(error) => {
            crate::error::log(&error);
            Problem::unavailable("the store does not answer", 2).into_response()
        }
    }
}
