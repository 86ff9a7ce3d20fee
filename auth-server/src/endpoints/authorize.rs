//! `GET /authorize`: checks the request and shows the first page (RFC 6749 section 4.1.1). It
//! writes nothing, so asking twice is harmless.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use web::problem::Problem;

use super::{
    browser::{self, fault, refuse, untrusted, with_cookie},
    consent, document_client, login,
};
use crate::{
    App, live,
    rules::{
        authorization_request::check,
        client::Client,
        params::Params,
        redirect_uri::RedirectTarget,
        violation::{AuthorizeViolation, UntrustedRedirect},
    },
    state::PAGES,
};

/// Answers with the sign-in page, the consent page, or what is wrong.
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(limited) = app.limits.charge(PAGES, app.address(peer, &headers)) {
        return Problem::from(limited).into_response();
    }
    let query = query.unwrap_or_default();
    let Ok(params) = Params::parse(query.as_bytes()) else {
        return untrusted(&app, &UntrustedRedirect::Parameters);
    };
    let client = match document_client::find(&app, &headers, &query, &params).await {
        Ok(client) => client,
        Err(response) => return response,
    };
    let target = match RedirectTarget::find(&client.redirects, params.one("redirect_uri")) {
        Ok(target) => target,
        Err(violation) => return untrusted(&app, &violation),
    };
    if app.config.blocked_redirects.block(target.as_str()) {
        return untrusted(&app, &UntrustedRedirect::RedirectBlocked);
    }
    let params = with_registered_scope(&app, &client, params);
    let state = params.one("state");
    let mut request = match check(&params, &client.id, target.clone(), &app.config.deployment) {
        Ok(request) => request,
        Err(violation) => return refuse(&app, &client, &target, state, &violation),
    };
    let hinted = params.one("id_token_hint").map(|hint| live::subject_of(&app, &client.id, hint));
    let hint_is_unknown = hinted == Some(None);
    request.openid.subject = hinted.flatten();
    let person = match browser::signed_in(&app, &headers).await {
        Ok(person) => person.filter(|one| {
            let openid = &request.openid;
            openid.is_fresh(one.at, app.clock.now()) && openid.is_about(&one.user.id)
        }),
        Err(error) => return fault(&app, &error),
    };
    if request.prompt.none {
        // Whom a hint means that cannot be read is not known.
        let person = person.filter(|_| !hint_is_unknown);
        let violation = if person.is_some() {
            AuthorizeViolation::ConsentRequired
        } else {
            AuthorizeViolation::LoginRequired
        };
        return refuse(&app, &client, &target, state, &violation);
    }
    let (browser, cookie) = match browser::browser(&app, &headers) {
        Ok(browser) => browser,
        Err(error) => return fault(&app, &error),
    };
    let again = request.prompt.login;
    let sealed = match browser::seal(&app, &browser, request.clone()) {
        Ok(sealed) => sealed,
        Err(error) => return fault(&app, &error),
    };
    let page = match person.filter(|_| !again) {
        Some(person) => consent::page(&app, &client, &request, &person.user, sealed, None).await,
        None => login::page(&app, &client, &request, sealed, None, None),
    };
    with_cookie(page, cookie)
}

/// The parameters with the scope the client registered, if they name none: a default, not a
/// ceiling, and none where it names nothing of this deployment.
fn with_registered_scope(app: &App, client: &Client, params: Params) -> Params {
    let Some(scope) = &client.about.scope else { return params };
    let resources = &app.config.deployment.resources;
    if resources.iter().any(|resource| !resource.all_scopes().intersect(scope).is_empty()) {
        return params.or("scope", scope.to_string());
    }
    params
}
