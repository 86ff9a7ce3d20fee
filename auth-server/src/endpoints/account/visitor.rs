//! Who looks at the account page, and the tickets that their forms carry.

use std::net::SocketAddr;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use shared::time::Timestamp;
use web::{
    form::{Form, same_site},
    problem::Problem,
};

use super::super::browser::{self, PAGE_LIFE, SignedIn, Stale, fault, stale, with_cookie};
use crate::{App, audit::Event, error::Fault, mint, pages::notice::NoticePage, state::PAGES};

/// A signed-in person at a browser.
#[derive(Debug)]
pub(super) struct Visitor {
    browser: String,
    pub(super) person: SignedIn,
}

/// What a form carries: taken once, by the browser and the session whose page it is.
#[derive(Debug, Deserialize, Serialize)]
struct Ticket {
    expires: Timestamp,
    id: String,
}

impl Visitor {
    /// The visitor, or the way to the sign-in page.
    pub(super) async fn of(
        app: &App,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Self, Response> {
        if let Err(limited) = app.limits.charge(PAGES, app.address(peer, headers)) {
            return Err(Problem::from(limited).into_response());
        }
        let person = browser::signed_in(app, headers).await.map_err(|error| fault(app, &error))?;
        // A cookie that comes twice stays whatever is set, so it leads to a page, not on.
        let browser = app.cookies.browser.read(headers).map_err(|_| stale(app, Stale::Page))?;
        match (person, browser) {
            (Some(person), Some(browser)) => Ok(Self { browser: browser.to_owned(), person }),
            // A session without the browser's own cookie cannot hold a page: signing in sets both.
            (Some(_), None) => match browser::browser(app, headers) {
                Ok((_, cookie)) => {
                    Err(with_cookie(browser::back(&app.config.path("/account")), cookie))
                }
                Err(error) => Err(fault(app, &error)),
            },
            (None, _) => Err(browser::back(&app.config.path("/login"))),
        }
    }

    /// The visitor with the form that was sent.
    pub(super) async fn with_form(
        app: &App,
        headers: &HeaderMap,
        peer: SocketAddr,
        body: Body,
    ) -> Result<(Self, Form), Response> {
        if same_site(headers, &app.config.origin()).is_err() {
            return Err(stale(app, Stale::CrossSite));
        }
        let form = Form::read(headers, body, 64 * 1024).await;
        let form = form.map_err(|_| stale(app, Stale::Page))?;
        Ok((Self::of(app, headers, peer).await?, form))
    }

    /// The fields of a form of this page.
    pub(super) fn ticket(&self, app: &App) -> Result<(String, String), Fault> {
        let expires = app.clock.now().plus(PAGE_LIFE);
        let ticket = Ticket { expires, id: mint::token_id()? };
        Ok(("ticket".to_owned(), browser::seal_as(app, &self.context(), &ticket)?))
    }

    /// Looks at the ticket of a form without taking it.
    pub(super) fn check(&self, app: &App, form: &Form) -> Result<(), Stale> {
        self.open(app, form).map(drop)
    }

    /// Takes the ticket of a form, once.
    pub(super) async fn take(&self, app: &App, form: &Form) -> Result<(), Response> {
        let ticket = self.open(app, form).map_err(|reason| stale(app, reason))?;
        match app.store.take_ticket(&ticket.id, ticket.expires).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(stale(app, Stale::Page)),
            Err(error) => Err(fault(app, &error.into())),
        }
    }

    /// Ends the session, and the cookie with it, and says so.
    pub(super) async fn sign_out(&self, app: &App, message: &str) -> Result<Response, Fault> {
        let secret = &self.person.session;
        if let Some(session) = app.store.session(secret).await? {
            app.store.end_session(secret, &session, app.clock.now()).await?;
            let user = &self.person.user.id;
            app.audit(&Event::SessionEnded { session: &session.id, user });
        }
        let page = NoticePage {
            brand: app.config.deployment.name.clone(),
            link: Some((app.config.path("/login"), "Sign in again".to_owned())),
            message: message.to_owned(),
            title: "Signed out".to_owned(),
        };
        let response = page.page(StatusCode::OK).into_response();
        let cookie = app.cookies.session.clear().map_err(|_| mint::NoRandomness)?;
        Ok(with_cookie(response, Some(cookie)))
    }

    fn open(&self, app: &App, form: &Form) -> Result<Ticket, Stale> {
        let sealed = form.one("ticket").ok().flatten().unwrap_or_default();
        let ticket: Ticket = browser::open_as(app, &self.context(), sealed)?;
        if app.clock.now() < ticket.expires { Ok(ticket) } else { Err(Stale::Page) }
    }

    fn context(&self) -> String {
        format!("account {} {}", self.browser, self.person.session.as_str())
    }
}
