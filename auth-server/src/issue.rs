//! A grant becomes a token response (RFC 6749 section 5.1, RFC 9068).

use std::collections::BTreeSet;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use shared::{
    claims::{ACCESS_TOKEN_TYPE, AccessTokenClaims},
    deployment::Resource,
    ids::{FamilyId, TokenId, WorkspaceId},
    scope::Scope,
};

use crate::{
    App,
    error::Fault,
    mint,
    rules::{client::Client, refresh_token::RefreshToken, rotation::Family},
};

/// The body of a token response.
#[derive(Debug, Serialize)]
struct TokenResponse {
    access_token: String,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    scope: String,
    token_type: &'static str,
}

/// What one token is for.
#[derive(Debug)]
pub(crate) struct Purpose<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) scope: Scope,
    /// The workspaces that the person is a member of still.
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// Tokens for the current generation of a family: one access token for one resource, and the
/// generation's refresh token if the client registered for the grant.
pub(crate) fn tokens(
    app: &App,
    id: FamilyId,
    family: &Family,
    client: &Client,
    purpose: &Purpose<'_>,
) -> Result<Response, Fault> {
    let Purpose { resource, scope, workspaces } = purpose;
    let now = app.clock.now();
    let life = resource.access_token_life.min(family.absolute_expiry.since(now));
    let claims = AccessTokenClaims {
        iss: app.config.deployment.issuer.as_str().to_owned(),
        aud: resource.indicator.clone(),
        sub: family.grant.user.as_str().to_owned(),
        client_id: family.grant.client.clone(),
        scope: scope.clone(),
        exp: now.secs() + life.as_secs(),
        iat: now.secs(),
        jti: TokenId::parse(&mint::token_id()?).map_err(|_| mint::NoRandomness)?,
        auth_time: family.created.secs(),
        workspaces: workspaces.iter().cloned().collect(),
        fam: Some(id),
        generation: Some(family.generation),
    };
    let response = TokenResponse {
        access_token: keys::sign(&app.keys.signing, ACCESS_TOKEN_TYPE, &claims)?,
        expires_in: life.as_secs(),
        refresh_token: client.refreshes.then(|| refresh_token(app, id, family)).transpose()?,
        scope: scope.to_string(),
        token_type: "Bearer",
    };
    let body = serde_json::to_string(&response).unwrap_or_default();
    Ok(web::problem::json(StatusCode::OK, body).into_response())
}

/// The one refresh token of a family's current generation, whoever asks and how often.
fn refresh_token(app: &App, id: FamilyId, family: &Family) -> Result<String, Fault> {
    let key = app.keys.refresh.find(family.mac_key).ok_or(Fault::RingBehind)?;
    // The moment is the generation's own, so that every replica writes the same token.
    let issued = family.rotations.front().map_or(family.created, |(at, _)| *at);
    let token =
        RefreshToken { family: id, generation: family.generation, issued, nonce: family.nonce };
    Ok(token.encode(key).expose().to_owned())
}
