//! `POST /token`: client authentication, then the grant (RFC 6749 section 3.2).

mod assertion;
mod authorization_code;
mod client_credentials;
mod refresh_token;

pub(crate) use self::authorization_code::PREFIX as CODE_PREFIX;
#[cfg(test)]
pub(crate) use self::authorization_code::family_of as family_of_code;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use shared::{deployment::Resource, ids::WorkspaceId, time::Timestamp};
use web::form::{BodyError, read_body};

use crate::{
    App,
    audit::Event,
    error::{Fault, TokenError},
    rules::{
        client::{Client, ClientAuth, Origin},
        client_auth::Presented,
        consent::Grant,
        params::Params,
        refresh_token::{InvalidRefreshToken, RefreshToken},
        violation::TokenViolation,
    },
    state::TOKEN,
};

const MOST_BYTES: usize = 32 * 1024;

/// Exchanges a grant for tokens.
pub(crate) async fn exchange(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, TokenError> {
    let address = app.address(peer, &headers);
    app.limits.charge(TOKEN, address).map_err(TokenError::Limited)?;
    let params = read(&headers, body).await?;
    let grant = params.one("grant_type").ok_or(TokenViolation::GrantMissing)?.to_owned();
    let answer = grant_tokens(&app, &grant, &headers, &params, address).await;
    app.metrics.grant(&grant, answer.as_ref().err());
    answer
}

async fn grant_tokens(
    app: &App,
    grant: &str,
    headers: &HeaderMap,
    params: &Params,
    address: IpAddr,
) -> Result<Response, TokenError> {
    let client = authenticate(app, headers, params, address).await?;
    match grant {
        "authorization_code" => authorization_code::exchange(app, &client, params).await,
        "client_credentials" => client_credentials::exchange(app, &client, params).await,
        "refresh_token" => {
            let context = refresh_token::context(headers, address);
            refresh_token::exchange(app, &client, params, context).await
        }
        _ => Err(TokenViolation::GrantUnsupported.into()),
    }
}

/// A refresh token with its MAC key's id, or nothing if it is none of ours. A key that is not
/// held may be newer than what is: the store is asked before anybody is told to come again.
pub(crate) async fn decoded_refresh_token(
    app: &App,
    text: &str,
) -> Result<Option<(RefreshToken, [u8; 4])>, Fault> {
    for _ in 0..2 {
        match RefreshToken::decode(text, &app.keys.held().refresh) {
            Ok(decoded) => return Ok(Some(decoded)),
            Err(InvalidRefreshToken::Forged) => return Ok(None),
            Err(InvalidRefreshToken::UnknownKey) => {}
        }
        app.keys.look_again().await;
    }
    Err(Fault::RingBehind)
}

/// Reads a form body with its limits.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Params, TokenError> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(TokenViolation::BodyType.into());
    }
    let bytes = read_body(body, MOST_BYTES).await.map_err(|error: BodyError| {
        tracing::info!(%error, "a token request cannot be read");
        TokenViolation::Parameters
    })?;
    Ok(Params::parse(&bytes).map_err(|_| TokenViolation::Parameters)?)
}

/// Who asks, by the method of the registration. A deleted client is told to register again.
pub(crate) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    address: IpAddr,
) -> Result<Client, TokenError> {
    let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let challenge = |violation| match header {
        Some(_) => TokenError::ViolationWithChallenge(violation),
        None => TokenError::Violation(violation),
    };
    let presented = Presented::read(header, params).map_err(challenge)?;
    let client = app.client(&presented.client).await.map_err(Fault::from)?;
    let now = app.clock.now();
    let client = client.filter(|client| !client.has_lapsed(now));
    let client = client.ok_or_else(|| challenge(TokenViolation::ClientUnknown))?;
    if let Some(text) = presented.assertion() {
        assertion::check(app, &client, text, params).await?;
        return Ok(client);
    }
    let fits = presented.check(&client, now);
    if client.auth == ClientAuth::None && fits.is_ok() {
        // There is no secret that somebody could guess.
        return Ok(client);
    }
    let blocked = app.limits.clients.check_secret(&client.id, address, now);
    match (fits, blocked) {
        // What this server drew cannot be guessed: its owner passes, however many try beside him.
        (Ok(()), Ok(())) => Ok(client),
        (Ok(()), Err(_)) if client.origin != Origin::File => Ok(client),
        (_, Err(limited)) => Err(TokenError::Limited(limited)),
        (Err(violation), Ok(())) => {
            if client.auth != ClientAuth::None {
                app.limits.clients.charge_secret(&client.id, address, now);
                app.audit(&Event::ClientSecretWrong { client: &client.id });
            }
            Err(challenge(violation))
        }
    }
}

/// The workspaces of a grant that its person is a member of still and whose plan has the
/// resource: whoever left one no longer acts in it. Refused when the account or the client was cut off since the grant began.
async fn workspaces(
    app: &App,
    client: &Client,
    grant: &Grant,
    resource: &Resource,
    began: Timestamp,
) -> Result<BTreeSet<WorkspaceId>, TokenError> {
    let user = app.accounts.user(&grant.user).await?;
    let user =
        user.filter(|user| user.accepts_grant(began)).ok_or(TokenViolation::AccountInactive)?;
    if client.cutoff.is_some_and(|cutoff| began <= cutoff) {
        return Err(TokenViolation::RefreshRevoked.into());
    }
    let held = |workspace: &&WorkspaceId| user.memberships.contains_key(*workspace);
    let held = grant.workspaces.iter().filter(held);
    Ok(app.workspaces.permitted(held, &resource.indicator).await?)
}
