//! What gateways of other processes ask: the feed of revocations, what stands behind a key or a
//! grant, and their reports. Every
//! request shows the gateways' credential.

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use shared::{
    internal::{Cursor, PrincipalQuery, Usage},
    secret::SecretHash,
};
use subtle::ConstantTimeEq;
use web::{form::read_body, problem::Problem};

use crate::{App, error::Fault, rules::params::Params};

/// `GET /internal/events`: a snapshot, or what came since; nothing new is an answer too. While
/// the store is not seen that is said at once, by the code `store_unavailable`.
pub(crate) async fn events(
    State(app): State<App>,
    RawQuery(after): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Response> {
    authenticate(&app, &headers).map_err(IntoResponse::into_response)?;
    let cursor = cursor(after.as_deref().unwrap_or_default());
    let cursor = cursor.map_err(IntoResponse::into_response)?;
    let events = app.events(cursor.as_ref()).await.map_err(|error| {
        crate::error::log(&error);
        blind()
    })?;
    Ok(Json(events).into_response())
}

/// `POST /internal/principals`: what stands behind a key or a grant now, `null` if nothing does.
pub(crate) async fn principals(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    authenticate(&app, &headers).map_err(IntoResponse::into_response)?;
    let query: PrincipalQuery = read(body).await?;
    let principal = app.principal(&query).await;
    let principal = principal.map_err(|error| Fault::from(error).into_response())?;
    let mut response = Json(principal).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `POST /internal/usage`: receipts and the key-set version a gateway verifies with.
pub(crate) async fn usage(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Response> {
    authenticate(&app, &headers).map_err(IntoResponse::into_response)?;
    let usage: Usage = read(body).await?;
    app.report(&usage).await.map_err(|error| Fault::from(error).into_response())?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a gateway stands in the feed, if it knows.
fn cursor(query: &str) -> Result<Option<Cursor>, Problem> {
    let params = Params::parse(query.as_bytes()).map_err(|_| bad("a parameter is repeated"))?;
    let Some((epoch, seq)) = params.one("epoch").zip(params.one("seq")) else { return Ok(None) };
    let seq = seq.parse().map_err(|_| bad("seq is no number"))?;
    Ok(Some(Cursor { epoch: epoch.to_owned(), seq }))
}

fn bad(text: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", text)
}

fn blind() -> Response {
    let text = "auth-server answers, and does not see its store";
    let mut response =
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", text).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Response> {
    let bytes =
        read_body(body, 16 << 20).await.map_err(|error| bad(&error.to_string()).into_response())?;
    serde_json::from_slice(&bytes)
        .map_err(|_| bad("the body is not what this address takes").into_response())
}

fn authenticate(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let fits = app.config.internal_credential.as_ref().zip(shown).is_some_and(|(held, shown)| {
        let shown = SecretHash::of(shown.as_bytes());
        held.hash().as_str().as_bytes().ct_eq(shown.as_str().as_bytes()).into()
    });
    if fits {
        return Ok(());
    }
    let text = "show the credential that [listen] names for gateways";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_token", text).with_challenge("Bearer"))
}
