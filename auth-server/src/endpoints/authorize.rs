//! `GET /authorize`: checks the request and shows the first page (RFC 6749 section 4.1.1). It
//! writes nothing, so asking twice is harmless. `POST /authorize` leads there.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use url::form_urlencoded::Serializer;
use web::{form::Form, problem::Problem};

use super::{
    approval,
    browser::{self, SignedIn, fault, refuse, untrusted, with_cookie},
    consent, document_client, login,
};
use crate::{
    App, live,
    rules::{
        authorization_request::{AuthorizationRequest, check},
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
        Ok(target) => target.in_mode(params.one("response_mode")),
        Err(violation) => return untrusted(&app, &violation),
    };
    if app.config.blocked_redirects.block(target.as_str()) {
        return untrusted(&app, &UntrustedRedirect::RedirectBlocked);
    }
    let params = with_registered_scope(&app, &client, params);
    let state = params.one("state");
    let refuse = async |violation: AuthorizeViolation| {
        let is_known = approval::is_known(&app, &client, &target, &headers).await;
        refuse(&app, &client, &target, state, &violation, is_known)
    };
    let mut request = match check(&params, &client.id, target.clone(), &app.config.deployment) {
        Ok(request) => request,
        Err(violation) => return refuse(violation).await,
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
    // Whom a hint means that cannot be read is not known.
    let is_asked = request.prompt.login || (request.prompt.none && hint_is_unknown);
    let person = person.filter(|_| !is_asked);
    if let Some(person) = &person {
        match approval::remembered(&app, &client, &request, person).await {
            Ok(Some(answer)) => return answer,
            Ok(None) => {}
            Err(error) => return fault(&app, &error),
        }
    }
    if request.prompt.none {
        return refuse(match person {
            Some(_) => AuthorizeViolation::ConsentRequired,
            None => AuthorizeViolation::LoginRequired,
        })
        .await;
    }
    ask(&app, &headers, &client, request, person).await
}

/// More than a browser's address holds anyway.
const LONGEST_POST: usize = 16 * 1024;

/// Leads a posted request to the same one by GET (OpenID Connect Core 3.1.2.1): only to that do
/// browsers bring our cookies from pages of other sites.
pub(crate) async fn post(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(limited) = app.limits.charge(PAGES, app.address(peer, &headers)) {
        return Problem::from(limited).into_response();
    }
    let Ok(form) = Form::read(&headers, body, LONGEST_POST).await else {
        return untrusted(&app, &UntrustedRedirect::Post);
    };
    let query = Serializer::new(String::new()).extend_pairs(form.fields).finish();
    browser::back(&format!("{}?{query}", app.config.deployment.endpoints.authorize.as_str()))
}

/// The page for a person who is to be asked: who they are, or whether they consent.
async fn ask(
    app: &App,
    headers: &HeaderMap,
    client: &Client,
    request: AuthorizationRequest,
    person: Option<SignedIn>,
) -> Response {
    let (browser, cookie) = match browser::browser(app, headers) {
        Ok(browser) => browser,
        Err(error) => return fault(app, &error),
    };
    let sealed = match browser::seal(app, &browser, request.clone()) {
        Ok(sealed) => sealed,
        Err(error) => return fault(app, &error),
    };
    let page = match person {
        Some(person) => consent::page(app, client, &request, &person.user, sealed, None).await,
        None => login::page(app, client, &request, sealed, None, None),
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
