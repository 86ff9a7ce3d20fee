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
use crate::{App, rules::rotation::Family, store::Owner};

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
    let Named { client, user } = named(&app, &whose).await?;
    let revoked = match (&user, &client) {
        (Some(user), None) => app.revoke_grants(user).await?,
        (Some(user), Some(client)) => {
            app.end_families(Owner::Person(user), |family| family.grant.client == *client).await?
        }
        (None, Some(client)) => app.end_families(Owner::Client(client), |_| true).await?,
        (None, None) => return Err(nobody()),
    };
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

/// Whose grants, as ids.
struct Named {
    client: Option<ClientId>,
    user: Option<UserId>,
}

async fn named(app: &App, whose: &Whose) -> Result<Named, AdminError> {
    let client = whose.client.as_deref().map(ClientId::parse).transpose();
    let client = client.map_err(|error| AdminError::Query(error.to_string()))?;
    let user = match &whose.user {
        Some(user) => Some(users::id(app, user).await?),
        None => None,
    };
    Ok(Named { client, user })
}

fn nobody() -> AdminError {
    AdminError::Query("name a person or a client".to_owned())
}

async fn found(app: &App, whose: &Whose) -> Result<Vec<(FamilyId, Family)>, AdminError> {
    let Named { client, user } = named(app, whose).await?;
    let owner = match (&user, &client) {
        (Some(user), _) => Owner::Person(user),
        (None, Some(client)) => Owner::Client(client),
        (None, None) => return Err(nobody()),
    };
    let now = app.clock.now();
    let mut found = Vec::new();
    let mut pages = app.families_of(owner);
    while let Some(page) = pages.next().await? {
        for id in page {
            let family = app.store.family(id).await?.filter(|family| {
                !family.revoked
                    && now < family.absolute_expiry.min(family.idle_expiry)
                    && client.as_ref().is_none_or(|client| family.grant.client == *client)
            });
            found.extend(family.map(|family| (id, family)));
        }
    }
    Ok(found)
}
