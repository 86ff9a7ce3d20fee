//! Grants: what a person gave a client, and the way to take it back.

use std::collections::BTreeSet;

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, FamilyId, UserId, WorkspaceId},
    scope::Scope,
};

use super::{answer, error::AdminError, moment, users};
use crate::{
    App,
    rules::rotation::Family,
    store::{MOST_FAMILIES, Owner},
};

/// Whose grants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    client: Option<String>,
    /// By id or user name.
    user: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: FamilyId,
    client: ClientId,
    user: UserId,
    scope: Scope,
    workspaces: BTreeSet<WorkspaceId>,
    created: String,
    expires: String,
}

#[derive(Debug, Serialize)]
struct List {
    grants: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Revoked {
    revoked: usize,
}

/// Grants in force of a person, of a client, or of both.
pub(super) async fn list(
    State(app): State<App>,
    Query(whose): Query<Whose>,
) -> Result<Response, AdminError> {
    let found = found(&app, &whose).await?;
    let grants = found.into_iter().map(|(id, family)| Shown {
        id,
        client: family.grant.client.clone(),
        user: family.grant.user.clone(),
        scope: family.grant.all_scopes(),
        workspaces: family.grant.workspaces.clone(),
        created: moment::text(family.created),
        expires: moment::text(family.absolute_expiry.min(family.idle_expiry)),
    });
    Ok(answer(StatusCode::OK, &List { grants: grants.collect() }))
}

/// Revokes every grant of a person to a client, or of either.
pub(super) async fn revoke_all(
    State(app): State<App>,
    Query(whose): Query<Whose>,
) -> Result<Response, AdminError> {
    let mut revoked = 0;
    for (id, family) in found(&app, &whose).await? {
        revoked += usize::from(app.end_grant(id, &family.grant).await?);
    }
    Ok(answer(StatusCode::OK, &Revoked { revoked }))
}

/// Revokes one grant.
pub(super) async fn revoke(
    State(app): State<App>,
    Path(family): Path<String>,
) -> Result<StatusCode, AdminError> {
    let unknown = || AdminError::Unknown(format!("grant {family}"));
    let id = FamilyId::parse(&family).map_err(|_| unknown())?;
    let family = app.store.family(id).await?.ok_or_else(unknown)?;
    app.end_grant(id, &family.grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn found(app: &App, whose: &Whose) -> Result<Vec<(FamilyId, Family)>, AdminError> {
    let client = whose.client.as_deref().map(ClientId::parse).transpose();
    let client = client.map_err(|error| AdminError::Query(error.to_string()))?;
    let user = match &whose.user {
        Some(user) => Some(users::id(app, user).await?),
        None => None,
    };
    let owner = match (&user, &client) {
        (Some(user), _) => Owner::Person(user),
        (None, Some(client)) => Owner::Client(client),
        (None, None) => {
            return Err(AdminError::Query("name a person or a client".to_owned()));
        }
    };
    let now = app.clock.now();
    let mut found = Vec::new();
    for id in app.store.families_of(owner, MOST_FAMILIES).await? {
        let family = app.store.family(id).await?.filter(|family| {
            !family.revoked
                && now < family.absolute_expiry.min(family.idle_expiry)
                && client.as_ref().is_none_or(|client| family.grant.client == *client)
        });
        found.extend(family.map(|family| (id, family)));
    }
    Ok(found)
}
