//! `POST /introspect`: a resource server asks whether a token for it is in force (RFC 7662), and
//! gets JSON or a signed answer (RFC 9701). Whatever it may not know is not active.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, VARY},
};
use serde::Serialize;
use shared::claims::AccessTokenClaims;

use super::token::{authenticate, read};
use crate::{
    App,
    error::{BearerError, Fault, TokenError},
    live,
    rules::{
        client::{Client, ClientAuth},
        violation::TokenViolation,
    },
    state::INTROSPECTION,
};

/// The `typ` of a signed answer, and its media type (RFC 9701 section 5).
const ANSWER_TYPE: &str = "token-introspection+jwt";
const ANSWER_MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// What is told of a token (RFC 7662 section 2.2): what it says itself.
#[derive(Debug, Serialize)]
struct Introspection {
    active: bool,
    #[serde(flatten)]
    claims: Option<AccessTokenClaims>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

/// The claims of a signed answer.
#[derive(Debug, Serialize)]
struct SignedAnswer<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    token_introspection: &'a Introspection,
}

/// Answers about one token.
pub(crate) async fn introspect(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, TokenError> {
    let address = app.address(peer, &headers);
    app.limits.charge(INTROSPECTION, address).map_err(TokenError::Limited)?;
    let params = read(&headers, body).await?;
    let client = authenticate(&app, &headers, &params, address).await?;
    if client.auth == ClientAuth::None {
        return Err(TokenViolation::IntrospectionClient.into());
    }
    let token = params.one("token").ok_or(TokenViolation::IntrospectionTokenMissing)?;
    let claims = known(&app, &client, token).await?;
    let token_type = claims.is_some().then_some("Bearer");
    let answer = Introspection { active: claims.is_some(), claims, token_type };
    Ok(if is_signed_answer_wanted(&headers) {
        signed(&app, &client, &answer)?
    } else {
        let body = serde_json::to_string(&answer).unwrap_or_default();
        vary(web::problem::json(StatusCode::OK, body))
    })
}

/// The claims of a token that is in force and meant for a resource of the client.
async fn known(
    app: &App,
    client: &Client,
    token: &str,
) -> Result<Option<AccessTokenClaims>, TokenError> {
    let Some(claims) = live::own_claims(app, token) else { return Ok(None) };
    let service = client.service.as_ref();
    // Asked first, so that a stranger's question costs and confirms nothing.
    if !service.is_some_and(|service| service.introspects.contains(&claims.aud)) {
        return Ok(None);
    }
    match live::access_token(app, token).await {
        Ok(live) => Ok(Some(live.claims)),
        Err(BearerError::Violation(_)) => Ok(None),
        Err(BearerError::Limited(limited)) => Err(TokenError::Limited(limited)),
        Err(BearerError::Fault(fault)) => Err(fault.into()),
    }
}

/// The answer as a token for the client that asked (RFC 9701 section 5).
fn signed(app: &App, client: &Client, answer: &Introspection) -> Result<Response, Fault> {
    let claims = SignedAnswer {
        iss: app.config.deployment.issuer.as_str(),
        aud: client.id.as_str(),
        iat: app.clock.now().secs(),
        token_introspection: answer,
    };
    let token = app.keys.sign_answer(ANSWER_TYPE, &claims)?;
    let mut response = web::problem::json(StatusCode::OK, token);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(ANSWER_MEDIA_TYPE));
    Ok(vary(response))
}

/// Whether a client asks for the signed answer.
pub(crate) fn is_signed_answer_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(ANSWER_MEDIA_TYPE)
    })
}

fn vary(mut response: Response) -> Response {
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
