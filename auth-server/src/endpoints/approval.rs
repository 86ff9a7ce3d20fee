//! Consent that is remembered: a person who has answered a client is not asked the same again,
//! and a client they know is answered without a page.

use axum::response::Response;
use http::HeaderMap;
use shared::{ids::WorkspaceId, time::Timestamp};

use super::{
    browser::{self, SignedIn},
    consent::{choose, code, doubtful, offered, signed_in},
};
use crate::{
    App,
    accounts::User,
    audit::Event,
    error::{Fault, log},
    rules::{
        authorization_request::AuthorizationRequest,
        client::Client,
        consent::Grant,
        redirect_uri::{RedirectKind, RedirectTarget},
        remembered::{Answer, Remembered},
    },
};

/// Answers with a code what the person has consented to before; nothing if they must be asked.
pub(super) async fn remembered(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
    person: &SignedIn,
) -> Result<Option<Response>, Fault> {
    let user = &person.user;
    if !Remembered::may_answer(request) {
        return Ok(None);
    }
    let Some(remembered) = app.store.consent(&user.id, &client.id).await? else { return Ok(None) };
    let (now, cutoff) = (app.clock.now(), cutoff(client, user));
    let offered = offered(app, request, user).await?;
    let open = offered.iter().filter_map(|one| WorkspaceId::parse(&one.value).ok()).collect();
    let choice = remembered.choice(request, &open, now, cutoff);
    let Some(choice) = choice else { return Ok(None) };
    let Ok(granted) = choose(app, request, user, &offered, &choice) else { return Ok(None) };
    let granted = Grant { signed_in: signed_in(&granted, person), ..granted };
    // The person should see that an old token of this client came back.
    if !doubtful(app, client, request, user).await.is_empty() {
        return Ok(None);
    }
    let code = code(app, client, request, &granted, person).await?;
    let scope = granted.all_scopes().to_string();
    app.audit(&Event::ConsentReused { client: &client.id, scope, user: &user.id });
    let state = request.state.as_deref();
    Ok(Some(browser::respond(app, &request.redirect, state, &[("code", &code)])))
}

/// Remembers what a person approved. Without it they are asked again, so a fault stops nothing.
pub(super) async fn remember(
    app: &App,
    client: &Client,
    request: &AuthorizationRequest,
    granted: &Grant,
) {
    if request.redirect.kind() == RedirectKind::Loopback {
        return;
    }
    let now = app.clock.now();
    let terms =
        granted.resources().filter_map(|name| app.config.deployment.resource(name.as_str()));
    let life = terms.map(|resource| resource.refresh_absolute).min();
    let life = life.unwrap_or(app.config.deployment.account.refresh_absolute);
    let answer = Answer::of(request, granted, now, now.plus(life));
    let kept = app.store.remember_consent(&granted.user, &client.id, &answer, now).await;
    if let Err(error) = kept {
        log(&error);
    }
}

/// Whether the person who is signed in has approved this client before, so that it may be
/// answered without asking whether to go there (RFC 9700 section 4.11.2).
pub(super) async fn is_known(
    app: &App,
    client: &Client,
    target: &RedirectTarget,
    headers: &HeaderMap,
) -> bool {
    if client.is_preregistered() || target.kind() == RedirectKind::Loopback {
        return true;
    }
    let Ok(Some(person)) = browser::signed_in(app, headers).await else { return false };
    let remembered = app.store.consent(&person.user.id, &client.id).await.ok().flatten();
    let cutoff = cutoff(client, &person.user);
    remembered.is_some_and(|remembered| remembered.is_in_force(app.clock.now(), cutoff))
}

fn cutoff(client: &Client, user: &User) -> Option<Timestamp> {
    client.cutoff.max(user.cutoff)
}
