//! `GET /login/{provider}` sends the browser to sign in there, and `GET /login/{provider}/callback`
//! takes what it brings back (OpenID Connect Core section 3.1.2.5): once, at the same browser.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use shared::secret::SecretHash;
use web::problem::Problem;

use super::{
    browser::{self, Stale, fault, stale, with_cookie},
    login::Destination,
    named::Named,
};
use crate::{
    App, accounts::NoEntry, audit::Event, error::Fault, mint, pages::error::ErrorPage,
    rules::params::Params, state::PAGES, store::UpstreamAttempt, upstream::UpstreamError,
};

/// How long somebody may take to sign in there.
const LIFE: Duration = Duration::from_mins(10);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Account(#[from] NoEntry),
    #[error("the provider says {0}")]
    Denied(String),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("what the provider sent back belongs to no sign-in of this browser")]
    Stale,
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
}

/// Begins a sign-in: the state is bound to this browser and to this provider.
pub(crate) async fn begin(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(limited) = app.limits.charge(PAGES, app.address(peer, &headers)) {
        return Problem::from(limited).into_response();
    }
    let Some(upstream) = app.upstreams.find(&id) else {
        return unknown(&app);
    };
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let request = params.one("request").unwrap_or_default();
    // A page's address in other hands starts nothing: the request is sealed for one browser.
    if let Err(response) = Destination::open(&app, &headers, request).await {
        return response;
    }
    let secrets = match secrets() {
        Ok(secrets) => secrets,
        Err(error) => return fault(&app, &error),
    };
    let begun = match upstream.begin(secrets).await {
        Ok(begun) => begun,
        Err(error) => return refuse(&app, &upstream.config.name, &error.into()),
    };
    let (name, cookie) = match browser::browser(&app, &headers) {
        Ok(browser) => browser,
        Err(error) => return fault(&app, &error),
    };
    let attempt = UpstreamAttempt {
        browser: SecretHash::of(name.as_bytes()),
        expires: app.clock.now().plus(LIFE),
        nonce: begun.nonce,
        request: request.to_owned(),
        upstream: id,
        verifier: begun.verifier,
    };
    match app.store.put_upstream_attempt(&begun.state, &attempt).await {
        Ok(()) => with_cookie(browser::back(&begun.url), cookie),
        Err(error) => fault(&app, &error.into()),
    }
}

/// Ends a sign-in: a session, and on to where the sign-in began.
pub(crate) async fn callback(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let address = app.address(peer, &headers);
    if let Err(limited) = app.limits.charge(PAGES, address) {
        return Problem::from(limited).into_response();
    }
    let Some(upstream) = app.upstreams.find(&id) else {
        return unknown(&app);
    };
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    match finish(&app, &id, (&headers, address), &params).await {
        Ok(response) => response,
        Err(refused) => refuse(&app, &upstream.config.name, &refused),
    }
}

async fn finish(
    app: &App,
    id: &str,
    (headers, address): (&HeaderMap, IpAddr),
    params: &Params,
) -> Result<Response, Refused> {
    let upstream = app.upstreams.find(id).ok_or(Refused::Stale)?;
    let state = params.one("state").ok_or(Refused::Stale)?;
    let attempt = app.store.take_upstream_attempt(state).await.map_err(Fault::from)?;
    let attempt = attempt.ok_or(Refused::Stale)?;
    let name = app.cookies.browser.read(headers).ok().flatten().unwrap_or_default();
    let is_ours = attempt.browser == SecretHash::of(name.as_bytes())
        && attempt.upstream == id
        && app.clock.now() < attempt.expires;
    // RFC 9207 section 2.4: an answer of another issuer is an answer to another question.
    let is_theirs = params.one("iss").is_none_or(|issuer| issuer == upstream.config.issuer);
    if !is_ours || !is_theirs {
        return Err(Refused::Stale);
    }
    if let Some(error) = params.one("error") {
        let printable = error.chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(Refused::Denied(printable));
    }
    let code = params.one("code").ok_or(Refused::Stale)?.to_owned();
    let identity = upstream.finish(code, attempt.nonce, attempt.verifier).await?;
    let user = app.upstream_account(&upstream.config, &identity).await?;
    app.audit(&Event::SignedInUpstream { upstream: id, user: &user.id });
    let cookie = browser::sign_in(app, &user, None, headers, address).await?;
    let destination = match Destination::open(app, headers, &attempt.request).await {
        Ok(destination) => destination.address(app, &attempt.request),
        Err(response) => return Ok(response),
    };
    Ok(with_cookie(browser::back(&destination), Some(cookie)))
}

fn secrets() -> Result<[String; 3], Fault> {
    let secret = || mint::secret().map(|secret| secret.expose().to_owned());
    Ok([secret()?, secret()?, secret()?])
}

/// A page for an address that names no provider: whoever is here came by a browser.
fn unknown(app: &App) -> Response {
    let page = ErrorPage {
        brand: app.config.deployment.name.clone(),
        title: "You are not signed in".to_owned(),
        message: "There is no such way to sign in here.".to_owned(),
        hint: "Go back to the application and connect again.".to_owned(),
        code: "not_found".to_owned(),
        details: vec![],
        link: None,
    };
    page.page(StatusCode::NOT_FOUND).into_response()
}

/// A page that says what went wrong there, and that nothing was granted here.
fn refuse(app: &App, provider: &str, refused: &Refused) -> Response {
    if let Refused::Fault(error) = refused {
        return fault(app, error);
    }
    tracing::info!(%refused, provider, "nobody was signed in");
    let (status, code, message, hint) = match refused {
        Refused::Stale | Refused::Fault(_) => return stale(app, Stale::Page),
        Refused::Denied(_) => (
            StatusCode::FORBIDDEN,
            "access_denied",
            format!("{provider} did not sign you in."),
            "Go back and try again, or sign in another way.",
        ),
        Refused::Account(error) => (
            StatusCode::FORBIDDEN,
            "access_denied",
            error.to_string(),
            "Ask whoever runs this server for an account, or sign in another way.",
        ),
        Refused::Upstream(UpstreamError::Unavailable(_)) => (
            StatusCode::BAD_GATEWAY,
            "temporarily_unavailable",
            format!("{provider} does not answer as it should."),
            "Try again in a moment, or sign in another way.",
        ),
        Refused::Upstream(UpstreamError::Untrusted(_)) => (
            StatusCode::FORBIDDEN,
            "access_denied",
            format!("What {provider} answered cannot be trusted."),
            "Try again. If it happens again, tell whoever runs this server.",
        ),
    };
    let page = ErrorPage {
        brand: app.config.deployment.name.clone(),
        title: "You are not signed in".to_owned(),
        message,
        hint: hint.to_owned(),
        code: code.to_owned(),
        details: vec![("Provider".to_owned(), provider.to_owned())],
        link: None,
    };
    page.page(status).into_response()
}
