//! `GET /account/confirm`: asks before anything is undone.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use shared::ids::ApiKeyId;
use web::page::plain_text;

use super::{Act, visitor::Visitor};
use crate::{
    App,
    accounts::User,
    endpoints::browser::{self, fault},
    error::Fault,
    pages::{confirm::ConfirmPage, words::ago},
    rules::params::Params,
};

/// More of a name than this is not shown.
const NAME_LIMIT: usize = 60;

/// Shows what the act would do. What is gone by now leads back to the list.
pub(crate) async fn ask(
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
    let act = params.one("act").and_then(Act::parse);
    let id = params.one("id").unwrap_or_default();
    let question = match act {
        Some(act) => question(&app, &visitor, act, id).await,
        None => Ok(None),
    };
    let page = question.and_then(|found| {
        let Some(question) = found else { return Ok(None) };
        let act = act.map_or("", Act::name);
        let hidden = vec![
            ("act".to_owned(), act.to_owned()),
            ("id".to_owned(), id.to_owned()),
            visitor.ticket(&app)?,
        ];
        Ok(Some(ConfirmPage { hidden, ..question }))
    });
    match page {
        Ok(Some(page)) => page.page().into_response(),
        Ok(None) => browser::back(&app.config.path("/account")),
        Err(error) => fault(&app, &error),
    }
}

/// Title, message and what is written on the button.
type Words = (String, String, &'static str);

async fn question(
    app: &App,
    visitor: &Visitor,
    act: Act,
    id: &str,
) -> Result<Option<ConfirmPage>, Fault> {
    let user = &visitor.person.user;
    let words = match act {
        Act::Disconnect => of_app(app, user, id).await?,
        Act::DisconnectAll => Some((
            "Disconnect every app?".to_owned(),
            "Every connected app loses its access at once. API keys and browsers stay as they \
             are."
                .to_owned(),
            "Disconnect all",
        )),
        Act::EndOthers => Some((
            "Sign out every other browser?".to_owned(),
            "Only this browser stays signed in. Connected apps and API keys stay as they are."
                .to_owned(),
            "Sign out the others",
        )),
        Act::EndSession => of_session(app, user, id).await?,
        Act::RenewKey | Act::RevokeKey => of_key(app, user, act, id).await?,
        // It has a form of its own.
        Act::ChangePassword => None,
        Act::SignOutEverywhere => Some((
            "Sign out everywhere?".to_owned(),
            "Every browser is signed out, every connected app loses its access, and every API \
             key ends, at once. Scripts that use a key need a new one."
                .to_owned(),
            "Sign out everywhere",
        )),
    };
    Ok(words.map(|(title, message, button)| ConfirmPage {
        action: app.config.path("/account"),
        brand: app.config.deployment.name.clone(),
        button: button.to_owned(),
        cancel: app.config.path("/account"),
        hidden: Vec::new(),
        is_final: matches!(act, Act::RevokeKey | Act::SignOutEverywhere),
        message,
        offers_overlap: act == Act::RenewKey,
        title,
    }))
}

async fn of_app(app: &App, user: &User, id: &str) -> Result<Option<Words>, Fault> {
    let grants = app.grants_of(&user.id).await?;
    let Some(held) = grants.iter().find(|grant| grant.family.to_string() == id) else {
        return Ok(None);
    };
    Ok(Some((
        format!("Disconnect {}?", plain_text(&held.client_name, NAME_LIMIT)),
        "Its access ends at once, on every device that shares this connection. What it has \
         changed stays as it is. You can connect it again at any time."
            .to_owned(),
        "Disconnect",
    )))
}

async fn of_session(app: &App, user: &User, id: &str) -> Result<Option<Words>, Fault> {
    let now = app.clock.now();
    let sessions = app.store.sessions(&user.id, now).await?;
    let found = sessions.into_iter().find(|(_, session)| session.id == id);
    Ok(found.map(|(_, session)| {
        let seen = ago(now.since(session.last_seen));
        (
            format!("Sign out {}?", session.agent),
            format!("It was last seen {seen}, and signed in from {}.", session.network),
            "Sign out",
        )
    }))
}

async fn of_key(app: &App, user: &User, act: Act, id: &str) -> Result<Option<Words>, Fault> {
    let Ok(id) = ApiKeyId::parse(id) else { return Ok(None) };
    let key = app.store.api_key(&user.id, &id).await?;
    Ok(key.filter(|key| key.is_live(app.clock.now())).map(|key| {
        let name = plain_text(&key.name, NAME_LIMIT);
        if act == Act::RevokeKey {
            (
                format!("Revoke “{name}”?"),
                "Whatever uses the key is refused from that moment on.".to_owned(),
                "Revoke the key",
            )
        } else {
            (
                format!("Rotate “{name}”?"),
                "The key gets a new secret, shown once on the next page. What it may do stays \
                 the same."
                    .to_owned(),
                "Rotate the key",
            )
        }
    }))
}
