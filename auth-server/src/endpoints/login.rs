//! `POST /login`: a person signs in with a password, and goes on to the consent page.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};
use shared::secret::Secret;
use web::{
    form::{Form, same_site},
    problem::Problem,
};

use super::browser::{self, Stale, fault, form_target, stale, with_cookie};
use crate::{
    App,
    accounts::SignInError,
    pages::sign_in::SignInPage,
    rules::{authorization_request::AuthorizationRequest, client::Client},
    sign_in::{Refused, sign_in},
    state::PAGES,
    upstream::Upstream,
};

/// How long a crowd takes to pass, in seconds.
const BUSY: u64 = 5;

/// Checks name and password.
pub(crate) async fn submit(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if same_site(&headers, &app.config.origin()).is_err() {
        return stale(&app, Stale::CrossSite);
    }
    let Ok(form) = Form::read(&headers, body, 32 * 1024).await else {
        return stale(&app, Stale::Page);
    };
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    let sealed = field("request");
    let interaction = match browser::open(&app, &headers, sealed) {
        Ok(interaction) => interaction,
        Err(reason) => return stale(&app, reason),
    };
    let client = match app.client(&interaction.request.client).await {
        Ok(Some(client)) => client,
        Ok(None) => return stale(&app, Stale::Page),
        Err(error) => return fault(&app, &error.into()),
    };
    let (username, password) = (field("username"), field("password"));
    let again = |error: String| {
        page(&app, &client, &interaction.request, sealed.to_owned(), Some(error), Some(username))
    };
    let address = app.address(peer, &headers);
    if let Err(limited) = app.limits.charge(PAGES, address) {
        return Problem::from(limited).into_response();
    }
    let password = Secret::new(password.to_owned());
    let entry = match sign_in(&app, &headers, address, username, password).await {
        Ok(entry) => entry,
        Err(Refused::Fault(error)) => return fault(&app, &error),
        Err(refused) => {
            let (status, wait) = match &refused {
                Refused::Account(SignInError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, BUSY),
                Refused::Limited(limited) => (StatusCode::TOO_MANY_REQUESTS, limited.retry_after),
                Refused::Account(SignInError::Wrong) | Refused::Fault(_) => {
                    return again(refused.to_string());
                }
            };
            let mut response = again(refused.to_string());
            *response.status_mut() = status;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait));
            return response;
        }
    };
    let cookie = match browser::sign_in(&app, &entry.user).await {
        Ok(cookie) => cookie,
        Err(error) => return fault(&app, &error),
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("request", sealed)
        .finish();
    let consent = format!("{}?{query}", app.config.path("/consent"));
    with_cookie(with_cookie(browser::back(&consent), Some(cookie)), Some(entry.device))
}

/// The sign-in page, with the name that was typed or that the client hinted at.
pub(super) fn page(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
    sealed: String,
    error: Option<String>,
    username: Option<&str>,
) -> Response {
    let status = if error.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("request", &sealed)
        .finish();
    let way = |upstream: &Upstream| {
        let path = app.config.path(&format!("/login/{}", upstream.config.id));
        (upstream.config.name.clone(), format!("{path}?{query}"))
    };
    let page = SignInPage {
        brand: app.config.deployment.name.clone(),
        client_name: client.name.clone(),
        redirect_host: request.redirect.host(),
        error,
        username: username.or(request.openid.login_hint.as_deref()).unwrap_or_default().to_owned(),
        action: app.config.path("/login"),
        upstreams: app.upstreams.iter().map(way).collect(),
        hidden: vec![("request".to_owned(), sealed)],
    };
    page.page(status, form_target(&request.redirect)).into_response()
}
