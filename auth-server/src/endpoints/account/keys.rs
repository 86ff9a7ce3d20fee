//! Making an API key, and giving one a new secret.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use shared::{
    deployment::{Resource, WorkspaceMode},
    ids::{ApiKeyId, WorkspaceId},
    scope::Scope,
    secret::Secret,
};
use web::form::Form;

use super::visitor::Visitor;
use crate::{
    App,
    accounts::User,
    api_keys::NoKey,
    endpoints::browser::{self, Stale, fault, stale},
    pages::{
        api_key::{KeyForm, NewSecret},
        consent::{ScopeChoice, WorkspaceChoice, coverage},
        words::day,
    },
    rules::{
        api_key::{Access, ApiKey, OVERLAP, Wish},
        params::Params,
    },
    store::StoreError,
};

/// The life of a key, in days, where the form says none that we offer.
const USUAL_DAYS: &str = "90";

/// `GET /account/keys/new`: the form.
pub(crate) async fn show_form(
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
    let resource = params.resources().first().and_then(|name| taker(&app, name));
    match resource {
        Some(resource) => form_page(&app, &visitor, resource, &Form::default(), None).await,
        None => browser::back(&app.config.path("/account")),
    }
}

/// `POST /account/keys`: makes the key and shows its secret.
pub(crate) async fn make(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (visitor, form) = match Visitor::with_form(&app, &headers, peer, body).await {
        Ok(both) => both,
        Err(response) => return response,
    };
    if let Err(reason) = visitor.check(&app, &form) {
        return stale(&app, reason);
    }
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    let Some(resource) = taker(&app, field("resource")) else { return stale(&app, Stale::Page) };
    let wish = wish(&form);
    let user = &visitor.person.user;
    // What is wrong with the wish is told before the page is used up.
    let workspaces = match app.key_workspaces(user, resource).await {
        Ok(workspaces) => workspaces,
        Err(error) => return fault(&app, &error.into()),
    };
    if let Err(refused) = crate::rules::api_key::terms(&wish, resource, &workspaces) {
        return form_page(&app, &visitor, resource, &form, Some(refused.to_string())).await;
    }
    if let Err(response) = visitor.take(&app, &form).await {
        return response;
    }
    let life = match days(&form) {
        "30" => Some(30),
        "365" => Some(365),
        "0" => None,
        _ => Some(90),
    };
    let life = life.map(|days| Duration::from_hours(days * 24));
    match app.make_api_key(user, resource, &wish, life).await {
        Ok((key, secret)) => secret_page(&app, &key, &secret, None),
        Err(NoKey::Wish(refused)) => {
            form_page(&app, &visitor, resource, &form, Some(refused.to_string())).await
        }
        Err(NoKey::Fault(error)) => fault(&app, &error),
    }
}

/// Gives a key a new secret and shows it.
pub(super) async fn renew(app: &App, visitor: &Visitor, id: &str, overlaps: bool) -> Response {
    let Ok(id) = ApiKeyId::parse(id) else { return stale(app, Stale::Page) };
    match app.renew_api_key(&visitor.person.user, &id, overlaps).await {
        Ok(Some((key, secret))) => {
            let until = overlaps.then(|| {
                format!("for 24 more hours, until {}", day(app.clock.now().plus(OVERLAP)))
            });
            secret_page(app, &key, &secret, until)
        }
        Ok(None) => browser::back(&app.config.path("/account")),
        Err(error) => fault(app, &error),
    }
}

/// A resource that takes keys.
fn taker<'a>(app: &'a App, name: &str) -> Option<&'a Resource> {
    app.config.deployment.resource(name).filter(|resource| resource.api_keys.is_some())
}

fn wish(form: &Form) -> Wish {
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    let access = match field("access") {
        "chosen" => Access::Chosen(Scope::from_tokens(form.all("scope")).unwrap_or_default()),
        "read_write" => Access::ReadWrite,
        _ => Access::Read,
    };
    Wish { access, name: field("name").to_owned(), workspaces: chosen_workspaces(form) }
}

fn chosen_workspaces(form: &Form) -> BTreeSet<WorkspaceId> {
    form.all("workspace").filter_map(|value| WorkspaceId::parse(value).ok()).collect()
}

fn days(form: &Form) -> &str {
    form.one("days").ok().flatten().unwrap_or(USUAL_DAYS)
}

/// The form, with what was typed and wanted before.
async fn form_page(
    app: &App,
    visitor: &Visitor,
    resource: &Resource,
    sent: &Form,
    error: Option<String>,
) -> Response {
    let ticket = match visitor.ticket(app) {
        Ok(ticket) => ticket,
        Err(error) => return fault(app, &error),
    };
    let user = &visitor.person.user;
    let field = |name| sent.one(name).ok().flatten().unwrap_or_default();
    let chosen: Vec<&str> = sent.all("scope").collect();
    let scopes = resource.scopes.iter().map(|(name, words)| ScopeChoice {
        name: name.clone(),
        resource: String::new(),
        checked: chosen.contains(&name.as_str()),
        detail: coverage(name),
        kind: resource.kind_of(name),
        label: words.clone(),
        value: name.clone(),
    });
    let workspaces = match offered(app, user, resource, &chosen_workspaces(sent)).await {
        Ok(workspaces) => workspaces,
        Err(error) => return fault(app, &error.into()),
    };
    let access = match field("access") {
        "" => "read",
        sent => sent,
    };
    let page = KeyForm {
        access: access.to_owned(),
        action: app.config.path("/account/keys"),
        brand: app.config.deployment.name.clone(),
        cancel: app.config.path("/account"),
        days: days(sent).to_owned(),
        error,
        hidden: vec![("resource".to_owned(), resource.indicator.as_str().to_owned()), ticket],
        name: field("name").to_owned(),
        resource_name: resource.name.clone(),
        scopes: scopes.collect(),
        single_workspace: resource.workspace == WorkspaceMode::Implicit,
        workspaces,
    };
    page.page().into_response()
}

/// The workspaces in which the key may be made to work.
async fn offered(
    app: &App,
    user: &User,
    resource: &Resource,
    ticked: &BTreeSet<WorkspaceId>,
) -> Result<Vec<WorkspaceChoice>, StoreError> {
    let usable = app.key_workspaces(user, resource).await?;
    let mut offered = Vec::new();
    for id in &usable {
        let known = app.workspaces.workspace(id).await?;
        offered.push(WorkspaceChoice {
            checked: ticked.contains(id) || usable.len() == 1,
            name: known.map_or_else(|| id.to_string(), |workspace| workspace.name.clone()),
            role: user.memberships.get(id).cloned().unwrap_or_default(),
            value: id.to_string(),
        });
    }
    Ok(offered)
}

fn secret_page(app: &App, key: &ApiKey, secret: &Secret, overlap: Option<String>) -> Response {
    let page = NewSecret {
        brand: app.config.deployment.name.clone(),
        done: app.config.path("/account"),
        name: key.name.clone(),
        overlap,
        secret: secret.expose().to_owned(),
        url: key.resource.as_str().to_owned(),
    };
    page.page().into_response()
}
