//! `GET /jwks`: the public halves of the signing keys (RFC 7517).

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use sha2::{Digest, Sha256};

use crate::App;

/// How long the store may take to say that nothing changed.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers the set as the store has it at this moment, so that no two servers answer differently;
/// while the store is away, as it was last seen.
pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    let look = app.keys.seen_since(app.clock.now());
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => crate::error::log(&error),
        Err(_) => tracing::warn!("the store is slow; the keys are answered as last seen"),
    }
    let jwks = app.keys.held().jwks.clone();
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&jwks)));
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| matches(known, &tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, "application/jwk-set+json")], jwks).into_response()
    };
    let headers = response.headers_mut();
    let cache = app.keys.policy.pace.cache_control();
    for (name, value) in [(CACHE_CONTROL, cache), (ETAG, tag)] {
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
    response
}

/// Whether one of the listed tags is this one (RFC 9110 section 13.1.2); a weak one counts as
/// well, because a read is a read.
fn matches(listed: &HeaderValue, tag: &str) -> bool {
    let listed = listed.to_str().unwrap_or_default();
    let plain = |one: &str| one.trim().trim_start_matches("W/") == tag;
    listed.trim() == "*" || listed.split(',').any(plain)
}
