//! A person's API keys: listed, made, rotated, revoked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    deployment::Resource,
    ids::{ApiKeyId, UserId, WorkspaceId},
    resource::ResourceIndicator,
    scope::Scope,
};

use super::{answer, error::AdminError, moment, read, users};
use crate::{
    App,
    accounts::User,
    rules::api_key::{Access, ApiKey, Wish},
};

/// A new key as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    access: AskedAccess,
    /// For ever if absent.
    life_seconds: Option<u64>,
    name: String,
    /// The resource's URL; the only one that takes keys if absent.
    resource: Option<String>,
    /// What the key may do, where `access` is `chosen`.
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    workspaces: BTreeSet<WorkspaceId>,
}

/// How a key is to be rotated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedRotation {
    /// Whether the secret it had goes on for a day.
    #[serde(default)]
    overlap: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AskedAccess {
    Chosen,
    #[default]
    Read,
    ReadWrite,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: ApiKeyId,
    name: String,
    /// How the key begins.
    hint: String,
    user: UserId,
    resource: ResourceIndicator,
    scope: Scope,
    workspaces: BTreeSet<WorkspaceId>,
    created: String,
    expires: Option<String>,
    last_used: Option<String>,
}

#[derive(Debug, Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    shown: Shown,
    /// Shown once.
    key: &'a str,
}

#[derive(Debug, Serialize)]
struct List {
    keys: Vec<Shown>,
}

/// The keys of a person that are in force, the newest first.
pub(super) async fn list(
    State(app): State<App>,
    Path(user): Path<String>,
) -> Result<Response, AdminError> {
    let user = active(&app, &user).await?;
    let mut keys = Vec::new();
    for key in app.api_keys_of(&user).await? {
        keys.push(shown(&app, key).await?);
    }
    Ok(answer(StatusCode::OK, &List { keys }))
}

/// Makes a key for a person. It is in this answer and nowhere else.
pub(super) async fn create(
    State(app): State<App>,
    Path(user): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let asked: Asked = read(body).await?;
    let user = active(&app, &user).await?;
    let resource = taker(&app, asked.resource.as_deref())?;
    let chosen = asked.scopes.iter().map(String::as_str);
    let chosen =
        Scope::from_tokens(chosen).map_err(|error| AdminError::Query(error.to_string()))?;
    let access = match asked.access {
        AskedAccess::Chosen => Access::Chosen(chosen),
        AskedAccess::Read => Access::Read,
        AskedAccess::ReadWrite => Access::ReadWrite,
    };
    let wish = Wish { access, name: asked.name, workspaces: asked.workspaces };
    let life = asked.life_seconds.map(Duration::from_secs);
    let (key, secret) = app.make_api_key(&user, resource, &wish, life).await?;
    let made = Made { shown: shown(&app, key).await?, key: secret.expose() };
    Ok(answer(StatusCode::CREATED, &made))
}

/// Gives a key a new secret, which is in this answer and nowhere else.
pub(super) async fn rotate(
    State(app): State<App>,
    Path((user, key)): Path<(String, String)>,
    body: Body,
) -> Result<Response, AdminError> {
    let AskedRotation { overlap } = read(body).await?;
    let user = active(&app, &user).await?;
    let unknown = || AdminError::Unknown(format!("API key {key} in force of {}", user.id.as_str()));
    let id = ApiKeyId::parse(&key).map_err(|_| unknown())?;
    let renewed = app.renew_api_key(&user, &id, overlap).await?;
    let (key, secret) = renewed.ok_or_else(unknown)?;
    let made = Made { shown: shown(&app, key).await?, key: secret.expose() };
    Ok(answer(StatusCode::OK, &made))
}

/// Revokes a key: the next request with it is refused everywhere.
pub(super) async fn revoke(
    State(app): State<App>,
    Path((user, key)): Path<(String, String)>,
) -> Result<StatusCode, AdminError> {
    let user = users::id(&app, &user).await?;
    let unknown = || AdminError::Unknown(format!("API key {key} of {}", user.as_str()));
    let id = ApiKeyId::parse(&key).map_err(|_| unknown())?;
    app.store.api_key(&user, &id).await?.ok_or_else(unknown)?;
    app.revoke_api_key(&user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The person, who must be active: nobody else's key would open anything.
async fn active(app: &App, user: &str) -> Result<Arc<User>, AdminError> {
    let id = users::id(app, user).await?;
    let known = app.accounts.user(&id).await?;
    known.ok_or_else(|| AdminError::Query(format!("the account of {user} is disabled")))
}

fn taker<'a>(app: &'a App, url: Option<&str>) -> Result<&'a Resource, AdminError> {
    let resources = &app.config.deployment.resources;
    let mut takers = resources.iter().filter(|resource| {
        resource.api_keys.is_some() && url.is_none_or(|url| resource.indicator.names(url))
    });
    match (takers.next(), takers.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(AdminError::Query("name the key's resource".to_owned())),
        (None, _) => Err(AdminError::Query("no such resource takes API keys".to_owned())),
    }
}

async fn shown(app: &App, key: ApiKey) -> Result<Shown, AdminError> {
    let used = app.store.api_key_use(&key.id).await?;
    Ok(Shown {
        id: key.id,
        name: key.name,
        hint: key.hint,
        user: key.user,
        resource: key.resource,
        scope: key.scope,
        workspaces: key.workspaces,
        created: moment::text(key.created),
        expires: key.expires.map(moment::text),
        last_used: used.map(moment::text),
    })
}
