//! `GET /jwks`: the public halves of the signing keys (RFC 7517).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::App;

/// Answers the set.
pub(crate) async fn show(State(app): State<App>) -> Response {
    let headers =
        [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, app.keys.jwks.clone()).into_response()
}
