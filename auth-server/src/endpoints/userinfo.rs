//! `GET` and `POST /userinfo`: who signed in, for the client that the person told it to (OpenID
//! Connect Core 5.3).

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION};
use serde::Serialize;
use shared::ids::{UserId, WorkspaceId};
use web::form::Form;

use crate::{
    App,
    accounts::User,
    error::{BearerError, Fault},
    live,
    rules::{consent::Grant, violation::BearerViolation},
    state::TOKEN,
};

/// What is told, as far as the grant allows it (OpenID Connect Core 5.1).
#[derive(Debug, Serialize)]
struct UserInfo<'a> {
    sub: &'a UserId,
    #[serde(flatten)]
    profile: Option<Profile<'a>>,
    #[serde(flatten)]
    mail: Option<Mail<'a>>,
}

#[derive(Debug, Serialize)]
struct Profile<'a> {
    name: &'a str,
    preferred_username: &'a str,
    /// Those the person opened to the client and is a member of still.
    workspaces: Vec<Workspace<'a>>,
}

#[derive(Debug, Serialize)]
struct Workspace<'a> {
    id: &'a WorkspaceId,
    name: String,
    role: &'a str,
}

#[derive(Debug, Serialize)]
struct Mail<'a> {
    email: &'a str,
    email_verified: bool,
}

/// Answers the claims of the person whose access token is shown.
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, BearerError> {
    app.limits.charge(TOKEN, app.address(peer, &headers)).map_err(BearerError::Limited)?;
    let token = presented(&method, &headers, body).await?;
    let live = live::access_token(&app, &token).await?;
    let Some((grant, user)) = live.granted else {
        return Err(BearerViolation::Scope.into());
    };
    // A token for a resource tells what the grant does; one for the issuer may say less.
    let mut scope = grant.identity.clone();
    if live.claims.aud == app.config.deployment.account.indicator {
        scope = scope.intersect(&live.claims.scope);
    }
    if !scope.contains("openid") {
        return Err(BearerViolation::Scope.into());
    }
    let email = user.email.as_deref().filter(|_| scope.contains("email"));
    let profile =
        if scope.contains("profile") { Some(profile(&app, &grant, &user).await?) } else { None };
    let info = UserInfo {
        sub: &user.id,
        profile,
        mail: email.map(|email| Mail { email, email_verified: user.email_verified }),
    };
    let body = serde_json::to_string(&info).unwrap_or_default();
    Ok(web::problem::json(StatusCode::OK, body))
}

async fn profile<'a>(
    app: &App,
    grant: &'a Grant,
    user: &'a User,
) -> Result<Profile<'a>, BearerError> {
    let mut workspaces = Vec::new();
    for id in &grant.workspaces {
        let Some(role) = user.memberships.get(id) else { continue };
        let known = app.workspaces.workspace(id).await.map_err(Fault::from)?;
        if let Some(known) = known {
            workspaces.push(Workspace { id, name: known.name.clone(), role });
        }
    }
    Ok(Profile { name: &user.name, preferred_username: &user.username, workspaces })
}

/// The one access token of a request: in the header, or in the form of a post (RFC 6750 section
/// 2.2).
async fn presented(
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, BearerViolation> {
    let several = BearerViolation::Several;
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let header = shown.next().map(|value| value.to_str().unwrap_or_default());
    if shown.next().is_some() {
        return Err(several);
    }
    let bearer = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    if *method != Method::POST || !web::form::is_form(headers) {
        return bearer.ok_or(BearerViolation::Missing);
    }
    let form = Form::read(headers, body, 16 * 1024).await.map_err(|_| several.clone())?;
    let posted = form.one("access_token").map_err(|_| several.clone())?;
    match (bearer, posted) {
        (Some(_), Some(_)) => Err(several),
        (bearer, posted) => bearer.or(posted.map(str::to_owned)).ok_or(BearerViolation::Missing),
    }
}
