//! `POST /revoke`: a client gives its token back (RFC 7009). Revoking a refresh token ends its
//! grant; an access token ends alone.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use shared::{internal::Event as FeedEvent, time::Timestamp};

use super::token::{authenticate, decoded_refresh_token, read};
use crate::{
    App,
    audit::Event,
    error::{Fault, TokenError},
    live,
    rules::{client::Client, violation::TokenViolation},
    state::TOKEN,
};

/// Revokes a token of the client that asks; one that is none of its own is answered alike.
pub(crate) async fn revoke(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, TokenError> {
    let address = app.address(peer, &headers);
    app.limits.charge(TOKEN, address).map_err(TokenError::Limited)?;
    let params = read(&headers, body).await?;
    let client = authenticate(&app, &headers, &params, address).await?;
    let token = params.one("token").ok_or(TokenViolation::TokenMissing)?;
    match decoded_refresh_token(&app, token).await? {
        Some((refresh, _)) => {
            let held = app.store.family(refresh.family).await?;
            if let Some(held) = held.filter(|held| held.grant.client == client.id) {
                let (client, family, user) = (&client.id, refresh.family, &held.grant.user);
                app.store.revoke_family(family, app.clock.now()).await?;
                app.audit(&Event::GrantRevoked { client, family, user });
            }
        }
        None => revoke_access_token(&app, &client, token).await?,
    }
    Ok(web::problem::json(StatusCode::OK, "{}"))
}

async fn revoke_access_token(app: &App, client: &Client, token: &str) -> Result<(), TokenError> {
    if live::id_token(app, token).is_some() {
        return Err(TokenViolation::TokenTypeUnsupported.into());
    }
    let Some(claims) = live::own_claims(app, token) else { return Ok(()) };
    let now = app.clock.now();
    if claims.client_id == client.id && claims.exp > now.secs() {
        // Once per token: repeating the request must not fill the feed. The note is written last,
        // so that a crash in between repeats the event rather than losing it.
        let note = live::revocation_note(&claims.jti);
        if !app.store.is_taken(&note).await.map_err(Fault::from)? {
            let event = FeedEvent::Token { token: claims.jti };
            app.store.append_event(&event, now).await.map_err(Fault::from)?;
            let expires = Timestamp::from_secs(claims.exp);
            app.store.take_ticket(&note, expires).await.map_err(Fault::from)?;
        }
    }
    Ok(())
}
