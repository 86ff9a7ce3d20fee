//! `/account`: what a person has connected, made and signed in to, and how to undo it. Every act
//! is a post with a ticket that belongs to one browser, one session and one page.

mod confirm;
mod keys;
mod listing;
mod password;
mod visitor;

use axum::{
    body::Body,
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use std::net::SocketAddr;

use self::visitor::Visitor;
pub(crate) use self::{
    confirm::ask,
    keys::{make as make_key, show_form as show_key_form},
    password::{show as show_password_form, submit as change_password},
};
use super::browser::{self, Stale, fault, stale};
use crate::{App, audit::Event, error::Fault, rules::params::Params};

/// What can be done on the account page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    ChangePassword,
    Disconnect,
    DisconnectAll,
    EndOthers,
    EndSession,
    RenewKey,
    RevokeKey,
    SignOutEverywhere,
}

impl Act {
    const ALL: [Self; 8] = [
        Self::ChangePassword,
        Self::Disconnect,
        Self::DisconnectAll,
        Self::EndOthers,
        Self::EndSession,
        Self::RenewKey,
        Self::RevokeKey,
        Self::SignOutEverywhere,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ChangePassword => "change_password",
            Self::Disconnect => "disconnect",
            Self::DisconnectAll => "disconnect_all",
            Self::EndOthers => "end_others",
            Self::EndSession => "end_session",
            Self::RenewKey => "renew_key",
            Self::RevokeKey => "revoke_key",
            Self::SignOutEverywhere => "sign_out_everywhere",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    /// What the account page says afterwards.
    fn done(self) -> &'static str {
        match self {
            Self::ChangePassword => {
                "Your password is changed, and every other browser is signed out."
            }
            Self::Disconnect => "The app is disconnected.",
            Self::DisconnectAll => "Every app is disconnected.",
            Self::EndOthers => "Every other browser is signed out.",
            Self::EndSession => "The browser is signed out.",
            Self::RenewKey => "The API key has a new secret.",
            Self::RevokeKey => "The API key is revoked.",
            Self::SignOutEverywhere => "You are signed out everywhere.",
        }
    }
}

/// Shows the page.
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let visitor = match Visitor::of(&app, &headers, peer).await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let done = params.one("done").and_then(Act::parse).map(|act| act.done().to_owned());
    match listing::page(&app, &visitor, done).await {
        Ok(page) => page.page().into_response(),
        Err(error) => fault(&app, &error),
    }
}

/// Does what a confirmation page asked about.
pub(crate) async fn submit(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (visitor, form) = match Visitor::with_form(&app, &headers, peer, body).await {
        Ok(both) => both,
        Err(response) => return response,
    };
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    let Some(act) = Act::parse(field("act")) else { return stale(&app, Stale::Page) };
    if let Err(response) = visitor.take(&app, &form).await {
        return response;
    }
    if act == Act::RenewKey {
        return keys::renew(&app, &visitor, field("id"), field("overlap") == "yes").await;
    }
    if act == Act::SignOutEverywhere {
        return match sign_out_everywhere(&app, &visitor).await {
            Ok(response) => response,
            Err(error) => fault(&app, &error),
        };
    }
    match carry_out(&app, &visitor, act, field("id")).await {
        Ok(()) => {
            let path = app.config.path("/account");
            browser::back(&format!("{path}?done={}", act.name()))
        }
        Err(error) => fault(&app, &error),
    }
}

/// `POST /logout`: ends the session of this browser.
pub(crate) async fn sign_out(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (visitor, form) = match Visitor::with_form(&app, &headers, peer, body).await {
        Ok(both) => both,
        Err(response) => return response,
    };
    if let Err(response) = visitor.take(&app, &form).await {
        return response;
    }
    let message = "You are signed out in this browser. Connected apps stay connected.";
    match visitor.sign_out(&app, message).await {
        Ok(response) => response,
        Err(error) => fault(&app, &error),
    }
}

/// Ends every session, grant and API key of the person, this session with them.
async fn sign_out_everywhere(app: &App, visitor: &Visitor) -> Result<Response, Fault> {
    app.sign_out_everywhere(&visitor.person.user.id).await?;
    let message = "Every browser, connected app and API key of yours is signed out, this browser \
                   too. What you still use, sign in to again.";
    visitor.sign_out(app, message).await
}

/// Does what can be done without an answer. What is none of the person's is left alone.
async fn carry_out(app: &App, visitor: &Visitor, act: Act, id: &str) -> Result<(), Fault> {
    let user = &visitor.person.user;
    match act {
        Act::Disconnect => {
            if let Ok(family) = shared::ids::FamilyId::parse(id) {
                app.revoke_grant(&user.id, family).await?;
            }
        }
        Act::DisconnectAll => {
            app.revoke_grants(&user.id).await?;
        }
        Act::EndOthers | Act::EndSession => {
            for (secret, session) in app.store.sessions(&user.id, app.clock.now()).await? {
                let is_meant = act == Act::EndOthers || session.id == id;
                if is_meant && secret != visitor.person.session {
                    app.store.end_session(&secret, &session, app.clock.now()).await?;
                    app.audit(&Event::SessionEnded { session: &session.id, user: &user.id });
                }
            }
        }
        // These have ways of their own.
        Act::ChangePassword | Act::RenewKey | Act::SignOutEverywhere => {}
        Act::RevokeKey => {
            if let Ok(key) = shared::ids::ApiKeyId::parse(id) {
                app.revoke_api_key(&user.id, &key).await?;
            }
        }
    }
    Ok(())
}
