//! A grant becomes a token response (RFC 6749 section 5.1, RFC 9068, OpenID Connect Core 3.1.3.3).

use std::{collections::BTreeSet, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use shared::{
    claims::{ACCESS_TOKEN_TYPE, AccessTokenClaims},
    deployment::{IdleBy, Resource},
    ids::{FamilyId, TokenId, WorkspaceId},
    scope::Scope,
};

use crate::{
    App,
    error::Fault,
    key_sets::Keys,
    mint,
    rules::{
        client::Client,
        openid::{ID_TOKEN_TYPE, IdTokenClaims, SignIn, at_hash},
        refresh_token::RefreshToken,
        resource,
        rotation::Family,
        scope::openid,
        terms::TermsId,
    },
};

/// The body of a token response.
#[derive(Debug, Serialize)]
struct TokenResponse {
    access_token: String,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
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
    /// The sign-in that an ID token tells of.
    pub(crate) sign_in: Option<SignIn>,
    /// The workspaces that the person is a member of still.
    pub(crate) workspaces: BTreeSet<WorkspaceId>,
}

/// Tokens for a generation, all but its refresh token: nothing that can fail is left to do.
#[derive(Debug)]
pub(crate) struct Prepared {
    held: Arc<Keys>,
    of: (FamilyId, TermsId),
    refreshes: bool,
    response: TokenResponse,
}

/// Tokens for the current generation of a family: one access token for one resource, and the
/// generation's refresh token if the client registered for the grant. `terms` is the digest of
/// what the family's grant allows.
pub(crate) fn tokens(
    app: &App,
    (id, terms): (FamilyId, TermsId),
    family: &Family,
    client: &Client,
    purpose: &Purpose<'_>,
) -> Result<Response, Fault> {
    prepare(app, (id, terms), family, client, purpose)?.answer(family)
}

/// Signs the tokens of a family's generation, which need not exist yet.
pub(crate) fn prepare(
    app: &App,
    (id, terms): (FamilyId, TermsId),
    family: &Family,
    client: &Client,
    purpose: &Purpose<'_>,
) -> Result<Prepared, Fault> {
    let Purpose { resource, scope, sign_in, workspaces } = purpose;
    let now = app.clock.now();
    // Where calls alone keep a grant alive, no token opens anything after it was idle for too long.
    let end = match family.idle_by {
        IdleBy::Call => family.absolute_expiry.min(family.idle_expiry),
        IdleBy::Refresh => family.absolute_expiry,
    };
    let life = resource.access_token_life.min(end.since(now));
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
    let access_token = sign_access(app, resource, &claims)?;
    let access_token = format!("{}{access_token}", resource.access_token_prefix);
    let id_token =
        sign_in.as_ref().map(|one| id_token(app, family, client, (one, access_token.as_str())));
    // The scopes of OpenID Connect are the grant's, whichever resource the token is for.
    let told = sign_in.as_ref().filter(|_| *resource.indicator.as_str() != *claims.iss);
    let told = told.map(|_| family.grant.identity.intersect(&openid()));
    let response = TokenResponse {
        access_token,
        expires_in: life.as_secs(),
        id_token: id_token.transpose()?,
        refresh_token: None,
        scope: scope.union(&told.unwrap_or_default()).to_string(),
        token_type: "Bearer",
    };
    let held = Arc::clone(&app.keys.held());
    held.refresh.find(family.mac_key).ok_or(Fault::RingBehind)?;
    Ok(Prepared { held, of: (id, terms), refreshes: refreshes(app, family, client), response })
}

impl Prepared {
    /// The answer, with the refresh token of the family's generation as it is now.
    pub(crate) fn answer(self, family: &Family) -> Result<Response, Fault> {
        let Self { held, of, refreshes, mut response } = self;
        if refreshes {
            response.refresh_token = Some(refresh_token(&held, of, family)?);
        }
        Ok(answer(&response))
    }
}

/// An access token for a client itself (RFC 6749 section 4.4.3): it begins now, so that a cutoff
/// of the client ends it.
pub(crate) fn token_of_client(
    app: &App,
    client: &Client,
    purpose: Purpose<'_>,
) -> Result<Response, Fault> {
    let now = app.clock.now().secs();
    let life = purpose.resource.access_token_life.as_secs();
    let claims = AccessTokenClaims {
        iss: app.config.deployment.issuer.as_str().to_owned(),
        aud: purpose.resource.indicator.clone(),
        sub: client.id.as_str().to_owned(),
        client_id: client.id.clone(),
        scope: purpose.scope,
        exp: now + life,
        iat: now,
        jti: TokenId::parse(&mint::token_id()?).map_err(|_| mint::NoRandomness)?,
        auth_time: now,
        workspaces: purpose.workspaces.into_iter().collect(),
        fam: None,
        generation: None,
    };
    let access_token = sign_access(app, purpose.resource, &claims)?;
    let response = TokenResponse {
        access_token: format!("{}{access_token}", purpose.resource.access_token_prefix),
        expires_in: life,
        id_token: None,
        refresh_token: None,
        scope: claims.scope.to_string(),
        token_type: "Bearer",
    };
    Ok(answer(&response))
}

fn sign_access(
    app: &App,
    resource: &Resource,
    claims: &AccessTokenClaims,
) -> Result<String, Fault> {
    let wanted = app.keys.policy.of_access_tokens(resource.indicator.as_str());
    app.keys.sign(app.keys.signs(wanted), ACCESS_TOKEN_TYPE, claims)
}

fn answer(response: &TokenResponse) -> Response {
    let body = serde_json::to_string(response).unwrap_or_default();
    web::problem::json(StatusCode::OK, body).into_response()
}

/// Who signed in and when, for the client alone (OpenID Connect Core 2).
fn id_token(
    app: &App,
    family: &Family,
    client: &Client,
    (sign_in, access_token): (&SignIn, &str),
) -> Result<String, Fault> {
    let algorithm = match client.about.id_token_algorithm() {
        Some(algorithm) if app.keys.policy.algorithms.contains(&algorithm) => algorithm,
        _ => app.keys.signs(app.keys.policy.usual()),
    };
    let (deployment, now) = (&app.config.deployment, app.clock.now());
    let claims = IdTokenClaims {
        iss: deployment.issuer.as_str().to_owned(),
        sub: family.grant.user.clone(),
        aud: family.grant.client.clone(),
        exp: now.plus(deployment.account.access_token_life).secs(),
        iat: now.secs(),
        auth_time: sign_in.at.secs(),
        amr: sign_in.method.into_iter().collect(),
        nonce: sign_in.nonce.clone(),
        at_hash: at_hash(algorithm, access_token),
    };
    app.keys.sign(algorithm, ID_TOKEN_TYPE, &claims)
}

/// Whether a grant comes with refresh tokens: one of its resources at least has them, as a
/// sign-in alone has.
fn refreshes(app: &App, family: &Family, client: &Client) -> bool {
    let grant = &family.grant;
    let mut granted =
        grant.resources().filter_map(|name| app.config.deployment.resource(name.as_str()));
    let refreshes = |one| resource::refreshes(one, &grant.identity);
    client.refreshes && (grant.scopes.is_empty() || granted.any(refreshes))
}

/// The one refresh token of a family's current generation, whoever asks and how often.
fn refresh_token(
    held: &Keys,
    (id, terms): (FamilyId, TermsId),
    family: &Family,
) -> Result<String, Fault> {
    let key = held.refresh.find(family.mac_key).ok_or(Fault::RingBehind)?;
    // The moment is the generation's own, so that every replica writes the same token.
    let issued = family.rotations.front().map_or(family.created, |(at, _)| *at);
    let token = RefreshToken {
        family: id,
        generation: family.generation,
        issued,
        nonce: family.nonce,
        terms,
    };
    Ok(token.encode(key).expose().to_owned())
}
