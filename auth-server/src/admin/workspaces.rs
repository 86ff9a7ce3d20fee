//! Workspaces, their plans and their members.

use std::collections::BTreeMap;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{UserId, WorkspaceId},
    resource::ResourceIndicator,
};

use super::{answer, error::AdminError, moment, read};
use crate::{
    App,
    audit::Actor,
    store::{Kind, Workspace},
};

/// How many workspaces of the store one answer holds.
const PAGE: usize = 1000;

/// A new workspace as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    id: WorkspaceId,
    name: String,
    resources: Option<Vec<String>>,
}

/// A new plan: the resources by their URLs; nothing means all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedPlan {
    resources: Option<Vec<String>>,
}

/// A membership as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedRole {
    role: String,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: &'a WorkspaceId,
    name: &'a str,
    origin: &'static str,
    /// The plan; null means every resource.
    resources: Option<Vec<&'a ResourceIndicator>>,
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<BTreeMap<UserId, String>>,
}

#[derive(Debug, Serialize)]
struct List<'a> {
    workspaces: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    fn of(workspace: &'a Workspace, origin: &'static str) -> Self {
        Self {
            id: &workspace.id,
            name: &workspace.name,
            origin,
            resources: workspace.resources.as_ref().map(|plan| plan.iter().collect()),
            created: (origin == STORE).then(|| moment::text(workspace.created)),
            members: None,
        }
    }
}

const FILE: &str = "file";
const STORE: &str = "store";

/// Every workspace.
pub(super) async fn list(State(app): State<App>) -> Result<Response, AdminError> {
    let stored: Vec<(String, Workspace)> = app.store.list(Kind::Workspace, "", None, PAGE).await?;
    let of_file = app.workspaces.of_file().map(|one| Shown::of(one, FILE));
    let stored = stored.iter().map(|(_, one)| Shown::of(one, STORE));
    Ok(answer(StatusCode::OK, &List { workspaces: of_file.chain(stored).collect() }))
}

/// Creates a workspace.
pub(super) async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    body: Body,
) -> Result<Response, AdminError> {
    let Asked { id, name, resources } = read(body).await?;
    let workspace = app.create_workspace(id, name, resources, &actor).await?;
    Ok(answer(StatusCode::CREATED, &Shown::of(&workspace, STORE)))
}

/// One workspace with its members.
pub(super) async fn show(
    State(app): State<App>,
    Path(workspace): Path<String>,
) -> Result<Response, AdminError> {
    let id = parse(&workspace)?;
    let known = app.workspaces.workspace(&id).await?;
    let known = known.ok_or_else(|| AdminError::Unknown(format!("workspace {id}")))?;
    let mut members = BTreeMap::new();
    for member in app.members(&id).await? {
        if let Some(role) = role(&app, &member, &id).await? {
            members.insert(member, role);
        }
    }
    let origin = if app.workspaces.is_of_file(&id) { FILE } else { STORE };
    let shown = Shown { members: Some(members), ..Shown::of(&known, origin) };
    Ok(answer(StatusCode::OK, &shown))
}

/// Removes a workspace and its memberships.
pub(super) async fn remove(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(workspace): Path<String>,
) -> Result<StatusCode, AdminError> {
    app.remove_workspace(&parse(&workspace)?, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says which resources a workspace may use.
pub(super) async fn plan(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(workspace): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let AskedPlan { resources } = read(body).await?;
    let workspace = app.set_plan(&parse(&workspace)?, resources, &actor).await?;
    Ok(answer(StatusCode::OK, &Shown::of(&workspace, STORE)))
}

/// Makes a person a member.
pub(super) async fn give(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path((workspace, user)): Path<(String, String)>,
    body: Body,
) -> Result<StatusCode, AdminError> {
    let AskedRole { role } = read(body).await?;
    let account = app.stored_account(&user).await?;
    app.give_membership(&account.id, &parse(&workspace)?, &role, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a person out.
pub(super) async fn take(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path((workspace, user)): Path<(String, String)>,
) -> Result<StatusCode, AdminError> {
    let account = app.stored_account(&user).await?;
    app.take_membership(&account.id, &parse(&workspace)?, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn role(
    app: &App,
    member: &UserId,
    workspace: &WorkspaceId,
) -> Result<Option<String>, AdminError> {
    let of_file = app.accounts.of_file().find(|user| user.id == *member);
    if let Some(user) = of_file {
        return Ok(user.memberships.get(workspace).cloned());
    }
    let account = app.store.account(member).await?;
    Ok(account.and_then(|account| account.memberships.get(workspace).cloned()))
}

fn parse(workspace: &str) -> Result<WorkspaceId, AdminError> {
    WorkspaceId::parse(workspace).map_err(|error| AdminError::Query(error.to_string()))
}
