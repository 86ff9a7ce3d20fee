//! `/login`: a person signs in with a password, and goes on to the consent page, or to the account
//! page where no client asks.

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
use serde::{Deserialize, Serialize};
use shared::{secret::Secret, time::Timestamp};
use web::{
    form::{Form, same_site},
    page::FormTarget,
    problem::Problem,
};

use super::{
    browser::{self, Interaction, Stale, fault, form_target, stale, with_cookie},
    document_client::Return,
};
use crate::{
    App,
    accounts::SignInError,
    pages::sign_in::{Asker, SignInPage},
    rules::{authorization_request::AuthorizationRequest, client::Client, openid::Method},
    sign_in::{Refused, sign_in},
    state::PAGES,
    upstream::Upstream,
};

/// How long a crowd takes to pass, in seconds.
const BUSY: u64 = 5;

/// Where signing in leads, as it was sealed into the page.
#[derive(Debug)]
pub(super) enum Destination {
    Account,
    Client {
        client: Box<Client>,
        interaction: Box<Interaction>,
    },
    /// The request again, whose client is known only afterwards.
    Document(Box<Return>),
}

/// A sign-in that no client asked for, as it travels inside the page.
#[derive(Debug, Deserialize, Serialize)]
struct Visit {
    expires: Timestamp,
}

/// Shows the page to someone who wants to see their account.
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if let Err(limited) = app.limits.charge(PAGES, app.address(peer, &headers)) {
        return Problem::from(limited).into_response();
    }
    match browser::signed_in(&app, &headers).await {
        Ok(None) => {}
        Ok(Some(_)) => return browser::back(&app.config.path("/account")),
        Err(error) => return fault(&app, &error),
    }
    let (browser, cookie) = match browser::browser(&app, &headers) {
        Ok(browser) => browser,
        Err(error) => return fault(&app, &error),
    };
    let visit = Visit { expires: app.clock.now().plus(browser::PAGE_LIFE) };
    match browser::seal_as(&app, &visit_context(&browser), &visit) {
        Ok(sealed) => {
            let page = Destination::Account.page(&app, sealed, None, None);
            with_cookie(page, cookie)
        }
        Err(error) => fault(&app, &error),
    }
}

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
    let destination = match Destination::open(&app, &headers, sealed).await {
        Ok(destination) => destination,
        Err(response) => return response,
    };
    let (username, password) = (field("username"), field("password"));
    let again =
        |error: String| destination.page(&app, sealed.to_owned(), Some(error), Some(username));
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
    let cookie = match browser::sign_in(
        &app,
        &entry.user,
        Some(Method::Password),
        &headers,
        address,
    )
    .await
    {
        Ok(cookie) => cookie,
        Err(error) => return fault(&app, &error),
    };
    let next = browser::back(&destination.address(&app, sealed));
    with_cookie(with_cookie(next, Some(cookie)), Some(entry.device))
}

impl Destination {
    /// Opens what was sealed into the page.
    pub(super) async fn open(
        app: &App,
        headers: &HeaderMap,
        sealed: &str,
    ) -> Result<Self, Response> {
        let browser = app.cookies.browser.read(headers).ok().flatten().unwrap_or_default();
        if let Ok(Visit { expires }) = browser::open_as(app, &visit_context(browser), sealed) {
            let is_fresh = app.clock.now() < expires;
            return if is_fresh { Ok(Self::Account) } else { Err(stale(app, Stale::Page)) };
        }
        if let Some(to) = Return::open(app, browser, sealed) {
            let to = to.map_err(|reason| stale(app, reason))?;
            return Ok(Self::Document(Box::new(to)));
        }
        let interaction = browser::open(app, headers, sealed);
        let interaction = interaction.map_err(|reason| stale(app, reason))?;
        let client = app.client(&interaction.request.client).await;
        let client = client.map_err(|error| fault(app, &error.into()))?;
        let client = client.ok_or_else(|| stale(app, Stale::Page))?;
        Ok(Self::Client { client: Box::new(client), interaction: Box::new(interaction) })
    }

    /// The sign-in page that leads there.
    pub(super) fn page(
        &self,
        app: &App,
        sealed: String,
        error: Option<String>,
        username: Option<&str>,
    ) -> Response {
        match self {
            Self::Account => {
                let username = username.unwrap_or_default().to_owned();
                page_for(app, None, sealed, (error, username), FormTarget::OwnOrigin)
            }
            Self::Client { client, interaction } => {
                page(app, client, &interaction.request, sealed, error, username)
            }
            Self::Document(to) => {
                let asker = Asker { name: to.host.clone(), redirect_host: to.host.clone() };
                let username = username.map_or_else(|| to.login_hint(), str::to_owned);
                let target = FormTarget::OwnOrigin;
                page_for(app, Some(asker), sealed, (error, username), target)
            }
        }
    }

    /// Where the browser goes next.
    pub(super) fn address(&self, app: &App, sealed: &str) -> String {
        match self {
            Self::Account => app.config.path("/account"),
            Self::Client { .. } => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("request", sealed)
                    .finish();
                format!("{}?{query}", app.config.path("/consent"))
            }
            Self::Document(to) => to.address(app),
        }
    }
}

fn visit_context(browser: &str) -> String {
    format!("sign-in {browser}")
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
    let username = username.or(request.openid.login_hint.as_deref()).unwrap_or_default();
    let asker = Asker { name: client.name.clone(), redirect_host: request.redirect.host() };
    page_for(app, Some(asker), sealed, (error, username.to_owned()), form_target(&request.redirect))
}

fn page_for(
    app: &App,
    asker: Option<Asker>,
    sealed: String,
    (error, username): (Option<String>, String),
    target: FormTarget,
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
        asker,
        error,
        username,
        action: app.config.path("/login"),
        upstreams: app.upstreams.iter().map(way).collect(),
        hidden: vec![("request".to_owned(), sealed)],
    };
    page.page(status, target).into_response()
}
