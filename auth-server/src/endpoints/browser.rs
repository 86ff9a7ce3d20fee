//! What the pages share: the browser's own cookie, the signed-in session, the request sealed
//! into a page, and the way back to the client.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Redirect, Response};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{SET_COOKIE, USER_AGENT},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{secret::SecretHash, time::Timestamp};
use url::Url;
use web::page::FormTarget;

use crate::{
    App,
    accounts::User,
    error::Fault,
    mint,
    pages::{error::ErrorPage, notice::NoticePage, post::PostPage},
    rules::{
        authorization_request::AuthorizationRequest,
        client::Client,
        device,
        openid::Method,
        redirect_uri::RedirectTarget,
        violation::{AuthorizeViolation, UntrustedRedirect, Wire, describe},
    },
    store::Session,
};

/// How long a page may wait for its person.
pub(super) const PAGE_LIFE: Duration = Duration::from_mins(10);
/// How precise a session's last use is: it is written no more often.
const SEEN_STEP: Duration = Duration::from_mins(5);

/// A checked request as it travels inside a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Interaction {
    pub(super) expires: Timestamp,
    pub(super) id: String,
    pub(super) request: AuthorizationRequest,
}

impl Interaction {
    /// When the request was made.
    pub(super) fn began(&self) -> Timestamp {
        self.expires.minus(PAGE_LIFE)
    }
}

/// Why a page's form leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// Older than ten minutes, from another browser, or changed.
    Page,
    /// Sent from another site.
    CrossSite,
}

/// A person with the session that signed them in.
#[derive(Clone, Debug)]
pub(super) struct SignedIn {
    pub(super) at: Timestamp,
    /// How they signed in, if that is known.
    pub(super) method: Option<Method>,
    /// Where the session is kept.
    pub(super) session: SecretHash,
    pub(super) user: Arc<User>,
}

/// The value that names this browser, and the cookie to set if it is new.
pub(super) fn browser(
    app: &App,
    headers: &HeaderMap,
) -> Result<(String, Option<HeaderValue>), Fault> {
    if let Ok(Some(value)) = app.cookies.browser.read(headers) {
        return Ok((value.to_owned(), None));
    }
    let value = mint::token_id()?;
    let cookie = app.cookies.browser.set(&value, None).map_err(|_| mint::NoRandomness)?;
    Ok((value, Some(cookie)))
}

/// Seals a checked request into a page, bound to the browser.
pub(super) fn seal(
    app: &App,
    browser: &str,
    request: AuthorizationRequest,
) -> Result<String, Fault> {
    let expires = app.clock.now().plus(PAGE_LIFE);
    let interaction = Interaction { expires, id: mint::token_id()?, request };
    seal_as(app, &context(browser), &interaction)
}

/// Seals a value into a page, for one context.
pub(super) fn seal_as<T: Serialize>(app: &App, context: &str, value: &T) -> Result<String, Fault> {
    let plain = serde_json::to_vec(value).unwrap_or_default();
    Ok(app.keys.held().seal.current().seal(context.as_bytes(), &plain)?)
}

/// Opens what [`seal_as`] made, in the same context.
pub(super) fn open_as<T: DeserializeOwned>(
    app: &App,
    context: &str,
    sealed: &str,
) -> Result<T, Stale> {
    let plain = app.keys.held().seal.open(context.as_bytes(), sealed).map_err(|_| Stale::Page)?;
    serde_json::from_slice(&plain).map_err(|_| Stale::Page)
}

/// Opens what [`seal`] made, for the same browser.
pub(super) fn open(app: &App, headers: &HeaderMap, sealed: &str) -> Result<Interaction, Stale> {
    let browser = app.cookies.browser.read(headers).ok().flatten().ok_or(Stale::Page)?;
    let interaction: Interaction = open_as(app, &context(browser), sealed)?;
    if app.clock.now() < interaction.expires { Ok(interaction) } else { Err(Stale::Page) }
}

/// Who is signed in at this browser.
pub(super) async fn signed_in(app: &App, headers: &HeaderMap) -> Result<Option<SignedIn>, Fault> {
    let Ok(Some(secret)) = app.cookies.session.read(headers) else { return Ok(None) };
    let (secret, now) = (SecretHash::of(secret.as_bytes()), app.clock.now());
    let session = app.store.session(&secret).await?;
    let Some(session) = session.filter(|session| now < session.expires) else {
        return Ok(None);
    };
    let at = session.signed_in;
    let user = app.accounts.user(&session.user).await?.filter(|user| user.accepts_session(at));
    if user.is_some()
        && session.last_seen.plus(SEEN_STEP) <= now
        && let Err(error) = app.store.touch_session(&secret, now).await
    {
        tracing::warn!(%error, "the use of a session is not noted");
    }
    Ok(user.map(|user| SignedIn { at, method: session.method, session: secret, user }))
}

/// Starts a session with a new secret, so that nothing set before signing in is worth anything.
/// The one this browser had ends.
pub(super) async fn sign_in(
    app: &App,
    user: &User,
    method: Option<Method>,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<HeaderValue, Fault> {
    if let Ok(Some(old)) = app.cookies.session.read(headers) {
        let old = SecretHash::of(old.as_bytes());
        if let Some(session) = app.store.session(&old).await? {
            app.store.end_session(&old, &session, app.clock.now()).await?;
        }
    }
    let (secret, now) = (mint::secret()?, app.clock.now());
    let life = app.config.session_life;
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        agent: device::product(agent),
        expires: now.plus(life),
        id: mint::token_id()?,
        last_seen: now,
        method,
        network: device::network(address),
        signed_in: user.begins(now),
        user: user.id.clone(),
    };
    app.store.put_session(&secret.hash(), &session).await?;
    let cookie = app.cookies.session.set(secret.expose(), Some(life));
    Ok(cookie.map_err(|_| mint::NoRandomness)?)
}

/// Answers the client: automatically where it is known, by a page with a link where an answer
/// without approval would make this server pass strangers on.
pub(super) fn refuse(
    app: &App,
    client: &Client,
    target: &RedirectTarget,
    state: Option<&str>,
    violation: &AuthorizeViolation,
    is_known: bool,
) -> Response {
    let wire = violation.wire();
    let description = describe(violation, wire);
    tracing::info!(?violation, requirement = wire.requirement, "refused");
    let told = [("error", wire.code), ("error_description", description.as_str())];
    if is_known {
        return respond(app, target, state, &told);
    }
    if target.is_posted() {
        // The person decides whether to go there, so nothing sends the form by itself.
        let title = if *violation == AuthorizeViolation::AccessDenied {
            "You said no"
        } else {
            "The application asked for something that cannot be done"
        };
        return posted(app, target, &answer(app, state, &told), (title, &violation.to_string()))
            .page()
            .into_response();
    }
    let uri = target.with(&answer(app, state, &told));
    if *violation == AuthorizeViolation::AccessDenied {
        let page = NoticePage {
            brand: app.config.deployment.name.clone(),
            title: "You said no".to_owned(),
            message: format!("{} got nothing. You can close this page.", client.name),
            link: Some((uri, format!("Return to {}", target.host()))),
        };
        return page.page(StatusCode::OK).into_response();
    }
    let page = ErrorPage {
        brand: app.config.deployment.name.clone(),
        title: "The application asked for something that cannot be done".to_owned(),
        message: violation.to_string(),
        hint: "Nothing was granted. You can tell the application, or close this page.".to_owned(),
        code: wire.code.to_owned(),
        details: vec![
            ("Application".to_owned(), client.name.clone()),
            ("Address".to_owned(), target.host()),
            ("Rule".to_owned(), wire.requirement.to_owned()),
        ],
        link: Some((uri, format!("Return to {}", target.host()))),
    };
    page.page(StatusCode::BAD_REQUEST).into_response()
}

/// A page for what must never be answered by a redirect.
pub(super) fn untrusted(app: &App, violation: &UntrustedRedirect) -> Response {
    let Wire { status, code, requirement } = violation.wire();
    tracing::info!(?violation, requirement, "refused");
    let page = ErrorPage {
        brand: app.config.deployment.name.clone(),
        title: "This request cannot be answered".to_owned(),
        message: violation.to_string(),
        hint: violation.hint().to_owned(),
        code: code.to_owned(),
        details: vec![("Rule".to_owned(), requirement.to_owned())],
        link: None,
    };
    page.page(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)).into_response()
}

/// A page for a form that leads nowhere any more.
pub(super) fn stale(app: &App, stale: Stale) -> Response {
    let (status, message, code) = match stale {
        Stale::CrossSite => {
            (StatusCode::FORBIDDEN, "The form was sent from another site.", "cross_site")
        }
        Stale::Page => (
            StatusCode::BAD_REQUEST,
            "This page is older than ten minutes, was answered already, or belongs to another \
             browser.",
            "page_expired",
        ),
    };
    let page = ErrorPage {
        brand: app.config.deployment.name.clone(),
        title: "This page is no longer valid".to_owned(),
        message: message.to_owned(),
        hint: "Go back to the application and connect again. Nothing was granted.".to_owned(),
        code: code.to_owned(),
        details: vec![],
        link: None,
    };
    page.page(status).into_response()
}

/// A page for a fault of ours.
pub(super) fn fault(app: &App, fault: &Fault) -> Response {
    crate::error::log(fault);
    let page = ErrorPage {
        brand: app.config.deployment.name.clone(),
        title: "This does not work at the moment".to_owned(),
        message: "The server cannot answer now.".to_owned(),
        hint: "Nothing is lost. Reload the page in a few seconds.".to_owned(),
        code: "temporarily_unavailable".to_owned(),
        details: vec![],
        link: None,
    };
    page.page(StatusCode::SERVICE_UNAVAILABLE).into_response()
}

/// A redirect that turns a post into a get (never 307, which would repeat a password).
pub(super) fn back(uri: &str) -> Response {
    let mut response = Redirect::to(uri).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(http::header::CACHE_CONTROL, no_store);
    let policy = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(http::header::REFERRER_POLICY, policy);
    response
}

/// Takes an answer to the client: by a redirect, or by a form that sends itself (OAuth 2.0 Form
/// Post Response Mode section 2).
pub(super) fn respond(
    app: &App,
    target: &RedirectTarget,
    state: Option<&str>,
    parameters: &[(&str, &str)],
) -> Response {
    let all = answer(app, state, parameters);
    if !target.is_posted() {
        return back(&target.with(&all));
    }
    let host = target.host();
    let message = format!("If nothing happens, press the button to go on to {host}.");
    posted(app, target, &all, ("Going back to the application", &message)).sent().into_response()
}

/// The page whose form holds an answer.
fn posted(
    app: &App,
    target: &RedirectTarget,
    parameters: &[(&str, &str)],
    (title, message): (&str, &str),
) -> PostPage {
    PostPage {
        action: target.as_str().to_owned(),
        brand: app.config.deployment.name.clone(),
        fields: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        form_target: form_target(target),
        host: target.host(),
        message: message.to_owned(),
        title: title.to_owned(),
    }
}

/// An answer with `state` and `iss` (RFC 9207 section 2).
fn answer<'a>(
    app: &'a App,
    state: Option<&'a str>,
    parameters: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all = parameters.to_vec();
    all.extend(state.map(|state| ("state", state)));
    all.push(("iss", app.config.deployment.issuer.as_str()));
    all
}

/// Where the forms of a page may lead: browsers hold the redirect after a post against it.
pub(super) fn form_target(target: &RedirectTarget) -> FormTarget {
    Url::parse(target.as_str()).map_or(FormTarget::OwnOrigin, |url| FormTarget::redirect_to(&url))
}

/// Adds a cookie to a response.
pub(super) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn context(browser: &str) -> String {
    format!("interaction {browser}")
}
