//! `GET /jwks`: the public halves of the signing keys (RFC 7517).

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};

use crate::App;

/// How long the store may take to say that nothing changed.
const PATIENCE: Duration = Duration::from_millis(500);

/// How old the answer may be. A key is published for minutes before it signs, so that a second
/// more or less is no difference to anybody.
const BEHIND: Duration = Duration::from_secs(1);

/// Answers the set as the store had it within the last second; while the store is away, as it was
/// last seen.
pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Some(response) = at_once(&app, &headers) {
        return response;
    }
    match tokio::time::timeout(PATIENCE, app.keys.seen_within(BEHIND)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => crate::error::log(&error),
        Err(_) => tracing::warn!("the store is slow; the keys are answered as last seen"),
    }
    answer(&app, &headers)
}

/// The answer, if the store confirmed it within the last second.
pub(crate) fn at_once(app: &App, headers: &HeaderMap) -> Option<Response> {
    app.keys.is_seen_within(BEHIND).then(|| answer(app, headers))
}

fn answer(app: &App, headers: &HeaderMap) -> Response {
    let held = app.keys.held();
    let is_known =
        headers.get_all(IF_NONE_MATCH).iter().any(|known| matches(known, held.jwks_tag.as_bytes()));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(held.jwks.clone().into());
        let media = HeaderValue::from_static("application/jwk-set+json");
        response.headers_mut().insert(CONTENT_TYPE, media);
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, app.keys.cache_control.clone());
    headers.insert(ETAG, held.jwks_tag.clone());
    response
}

/// Whether one of the listed tags is this one (RFC 9110 section 13.1.2); a weak one counts as
/// well, because a read is a read.
fn matches(listed: &HeaderValue, tag: &[u8]) -> bool {
    let listed = listed.to_str().unwrap_or_default();
    let plain = |one: &str| one.trim().trim_start_matches("W/").as_bytes() == tag;
    listed.trim() == "*" || listed.split(',').any(plain)
}
