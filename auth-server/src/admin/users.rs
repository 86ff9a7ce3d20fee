//! Accounts: listed, created, disabled, removed, signed out.

use std::collections::BTreeMap;

use axum::{
    Extension,
    body::Body,
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{UserId, WorkspaceId},
    secret::Secret,
};

use super::{answer, error::AdminError, moment, read};
use crate::{
    App,
    accounts::{ChangeError, NewAccount, User},
    audit::Actor,
    rules::account::folded,
    store::{Account, Kind},
};

/// How many accounts one answer holds.
const PAGE: usize = 500;

/// Where a list goes on, and who is in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    after: Option<String>,
    limit: Option<usize>,
}

/// A new account as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    #[serde(default)]
    memberships: BTreeMap<WorkspaceId, String>,
    name: String,
    password: Option<String>,
    username: String,
}

/// A new password.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedPassword {
    password: String,
}

/// A person as operators see them.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: UserId,
    username: String,
    name: String,
    email: Option<String>,
    email_verified: bool,
    active: bool,
    has_password: bool,
    origin: &'static str,
    memberships: BTreeMap<WorkspaceId, String>,
    created: Option<String>,
}

#[derive(Debug, Serialize)]
struct List {
    users: Vec<Shown>,
    next: Option<String>,
}

impl From<&Account> for Shown {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            username: account.username.clone(),
            name: account.name.clone(),
            email: account.email.clone(),
            email_verified: account.email_verified,
            active: account.active,
            has_password: account.password.is_some(),
            origin: "store",
            memberships: account.memberships.clone(),
            created: Some(moment::text(account.created)),
        }
    }
}

impl From<&User> for Shown {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.clone(),
            username: user.username.clone(),
            name: user.name.clone(),
            email: user.email.clone(),
            email_verified: user.email_verified,
            active: true,
            has_password: true,
            origin: "file",
            memberships: user.memberships.clone(),
            created: None,
        }
    }
}

/// Everybody: the deployment file's people first, then the store's in the order of their ids.
pub(super) async fn list(
    State(app): State<App>,
    Query(range): Query<Range>,
) -> Result<Response, AdminError> {
    let limit = range.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let mut users = Vec::new();
    if range.after.is_none() {
        users.extend(app.accounts.of_file().map(Shown::from));
        users.sort_by(|one, other| one.id.cmp(&other.id));
    }
    let stored: Vec<(String, Account)> =
        app.store.list(Kind::Account, "", range.after.as_deref(), limit).await?;
    let next = (stored.len() == limit).then(|| stored.last().map(|(key, _)| key.clone())).flatten();
    users.extend(stored.iter().map(|(_, account)| Shown::from(account)));
    Ok(answer(StatusCode::OK, &List { users, next }))
}

/// Creates an account.
pub(super) async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    body: Body,
) -> Result<Response, AdminError> {
    let asked: Asked = read(body).await?;
    let new = NewAccount {
        email: asked.email,
        email_verified: asked.email_verified,
        memberships: asked.memberships,
        name: asked.name,
        password: asked.password.map(Secret::new),
        username: asked.username,
    };
    let account = app.create_account(new, &actor).await?;
    Ok(answer(StatusCode::CREATED, &Shown::from(&account)))
}

/// One person, by id or user name.
pub(super) async fn show(
    State(app): State<App>,
    Path(user): Path<String>,
) -> Result<Response, AdminError> {
    let shown = match of_file(&app, &user) {
        Some(known) => Shown::from(known),
        None => Shown::from(&app.stored_account(&user).await?),
    };
    Ok(answer(StatusCode::OK, &shown))
}

/// Removes an account.
pub(super) async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
) -> Result<StatusCode, AdminError> {
    let account = app.stored_account(&user).await?;
    app.remove_account(&account.id, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends everything the person began and lets nobody sign in.
pub(super) async fn disable(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
) -> Result<Response, AdminError> {
    let account = app.stored_account(&user).await?;
    let account = app.disable_account(&account.id, &actor).await?;
    Ok(answer(StatusCode::OK, &Shown::from(&account)))
}

/// Lets the person sign in again.
pub(super) async fn enable(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
) -> Result<Response, AdminError> {
    let account = app.stored_account(&user).await?;
    let account = app.enable_account(&account.id, &actor).await?;
    Ok(answer(StatusCode::OK, &Shown::from(&account)))
}

/// Sets a password.
pub(super) async fn password(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
    body: Body,
) -> Result<StatusCode, AdminError> {
    let AskedPassword { password } = read(body).await?;
    let account = app.stored_account(&user).await?;
    app.set_password(&account.id, Secret::new(password), &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every session and grant of the person, of the deployment file too.
pub(super) async fn sign_out(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
) -> Result<StatusCode, AdminError> {
    let id = id(&app, &user).await?;
    app.sign_out_person(&id, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The id of a person, by id or user name.
pub(super) async fn id(app: &App, user: &str) -> Result<UserId, ChangeError> {
    match of_file(app, user) {
        Some(known) => Ok(known.id.clone()),
        None => Ok(app.stored_account(user).await?.id),
    }
}

fn of_file<'a>(app: &'a App, user: &str) -> Option<&'a User> {
    let name = folded(user);
    app.accounts
        .of_file()
        .find(|known| known.id.as_str() == user || folded(&known.username) == name)
}
