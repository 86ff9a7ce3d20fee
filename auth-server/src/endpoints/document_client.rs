//! The client of an authorization request: registered, or known by its document (OAuth Client ID
//! Metadata Document section 4). A document nobody has read yet is read only for a person who is
//! signed in, so strangers cannot make this server dial.

use axum::response::Response;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use shared::{ids::ClientId, time::Timestamp};
use url::form_urlencoded;

use super::{
    browser::{self, Stale, fault, untrusted, with_cookie},
    login::Destination,
};
use crate::{
    App,
    outbound::{Due, SourceError},
    rules::{
        client::{Client, Origin},
        client_document::{document_url, is_document},
        params::Params,
        violation::UntrustedRedirect,
    },
};

/// Finds the client, or says what to answer instead.
pub(super) async fn find(
    app: &App,
    headers: &HeaderMap,
    query: &str,
    params: &Params,
) -> Result<Client, Response> {
    let refuse = |violation| untrusted(app, &violation);
    let id = params.one("client_id").ok_or_else(|| refuse(UntrustedRedirect::ClientMissing))?;
    let id = ClientId::parse(id).map_err(|_| refuse(UntrustedRedirect::ClientUnknown))?;
    let held = app.client(&id).await.map_err(|error| fault(app, &error.into()))?;
    match held {
        Some(client) if client.has_lapsed(app.clock.now()) => {
            return Err(refuse(UntrustedRedirect::ClientUnknown));
        }
        Some(client) if client.origin != Origin::Document => return Ok(client),
        None if !is_document(&id) => return Err(refuse(UntrustedRedirect::ClientUnknown)),
        _ => {}
    }
    if !app.config.outbound.documents {
        return Err(refuse(UntrustedRedirect::ClientUnknown));
    }
    let url = document_url(&id, &app.config.outbound.policy).map_err(refuse)?;
    let person = browser::signed_in(app, headers).await.map_err(|error| fault(app, &error))?;
    match (person, held) {
        (Some(person), _) => match app.outbound.document(&url, Some(&person.user.id)).await {
            Ok(client) => Ok(client),
            Err(SourceError::Refused(violation)) => Err(refuse(violation)),
            Err(SourceError::Store(error)) => Err(fault(app, &error.into())),
        },
        (None, Some(client)) => {
            app.outbound.note_due(Due::Document(id));
            Ok(client)
        }
        (None, None) if asks_nothing(params) => Err(refuse(UntrustedRedirect::DocumentUnseen)),
        (None, None) => Err(sign_in_first(app, headers, query, url.host())),
    }
}

/// The sign-in page that comes back to the whole request.
fn sign_in_first(app: &App, headers: &HeaderMap, query: &str, host: &str) -> Response {
    let (browser, cookie) = match browser::browser(app, headers) {
        Ok(browser) => browser,
        Err(error) => return fault(app, &error),
    };
    let expires = app.clock.now().plus(browser::PAGE_LIFE);
    let to = Return { expires, host: host.to_owned(), query: query.to_owned() };
    match browser::seal_as(app, &context(&browser), &to) {
        Ok(sealed) => {
            let page = Destination::Document(Box::new(to)).page(app, sealed, None, None);
            with_cookie(page, cookie)
        }
        Err(error) => fault(app, &error),
    }
}

/// A request whose client is not known yet, as it travels inside the sign-in page.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Return {
    expires: Timestamp,
    /// The host that the client's document is at.
    pub(super) host: String,
    query: String,
}

impl Return {
    /// Opens what was sealed into the page; none if it is something else.
    pub(super) fn open(app: &App, browser: &str, sealed: &str) -> Option<Result<Self, Stale>> {
        let to: Self = browser::open_as(app, &context(browser), sealed).ok()?;
        Some(if app.clock.now() < to.expires { Ok(to) } else { Err(Stale::Page) })
    }

    /// The name that the client proposes.
    pub(super) fn login_hint(&self) -> String {
        let mut query = form_urlencoded::parse(self.query.as_bytes());
        let hint = query.find(|(name, _)| name == "login_hint");
        hint.map(|(_, hint)| hint.chars().take(320).collect()).unwrap_or_default()
    }

    /// The request again, for somebody who has just signed in.
    pub(super) fn address(&self, app: &App) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            if name != "prompt" || value == "consent" {
                query.append_pair(&name, &value);
            }
        }
        format!("{}?{}", app.config.deployment.endpoints.authorize.path(), query.finish())
    }
}

fn context(browser: &str) -> String {
    format!("return {browser}")
}

fn asks_nothing(params: &Params) -> bool {
    params.one("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "none"))
}
