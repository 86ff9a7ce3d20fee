//! Clients, as they are registered.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::ids::ClientId;

use super::{answer, error::AdminError, moment};
use crate::{
    App,
    rules::client::{Client, ClientAuth, Origin},
    store::Kind,
};

/// How many clients one answer holds.
const PAGE: usize = 500;

/// Where a list goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: &'a ClientId,
    name: &'a str,
    origin: Origin,
    authentication: &'static str,
    redirect_uris: &'a [String],
    refreshes: bool,
    registered: Option<String>,
}

#[derive(Debug, Serialize)]
struct List<'a> {
    clients: Vec<Shown<'a>>,
    next: Option<String>,
}

impl<'a> From<&'a Client> for Shown<'a> {
    fn from(client: &'a Client) -> Self {
        Self {
            id: &client.id,
            name: &client.name,
            origin: client.origin,
            authentication: match client.auth {
                ClientAuth::None => "none",
                ClientAuth::PrivateKeyJwt { .. } => "private_key_jwt",
                ClientAuth::Secret { .. } => "client_secret",
            },
            redirect_uris: &client.redirects,
            refreshes: client.refreshes,
            registered: (client.origin != Origin::File).then(|| moment::text(client.registered)),
        }
    }
}

/// The deployment file's clients first, then the store's in the order of their ids.
pub(super) async fn list(
    State(app): State<App>,
    Query(range): Query<Range>,
) -> Result<Response, AdminError> {
    let limit = range.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let stored: Vec<(String, Client)> =
        app.store.list(Kind::Client, "", range.after.as_deref(), limit).await?;
    let next = (stored.len() == limit).then(|| stored.last().map(|(key, _)| key.clone())).flatten();
    let of_file = app.config.clients.iter().filter(|_| range.after.is_none());
    let clients = of_file.chain(stored.iter().map(|(_, client)| client));
    Ok(answer(StatusCode::OK, &List { clients: clients.map(Shown::from).collect(), next }))
}

/// One client.
pub(super) async fn show(
    State(app): State<App>,
    Path(client): Path<String>,
) -> Result<Response, AdminError> {
    let unknown = || AdminError::Unknown(format!("client {client}"));
    let id = ClientId::parse(&client).map_err(|_| unknown())?;
    let known = app.client(&id).await?.ok_or_else(unknown)?;
    Ok(answer(StatusCode::OK, &Shown::from(&known)))
}
