//! Clients: listed, added, approved for their own account, given new secrets, removed.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{ids::ClientId, secret::Secret};

use super::{answer, error::AdminError, moment, read};
use crate::{
    App,
    accounts::ChangeError,
    clients::{ClientChange, NewClient},
    config::RawService,
    rules::{
        account::check_name,
        client::{Client, ClientAuth, Origin, ServiceAccount},
    },
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

/// A new client as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    id: Option<String>,
    name: String,
    /// Whether it has no secret.
    #[serde(default)]
    public: bool,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default = "yes")]
    refreshes: bool,
    service: Option<RawService>,
}

/// How long the secrets that a client has go on beside the new one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedSecret {
    overlap_seconds: u64,
}

/// A client that has a new secret, which is shown once.
#[derive(Debug, Serialize)]
struct WithSecret<'a> {
    #[serde(flatten)]
    client: Shown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
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
    /// What it may do on its own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a ServiceAccount>,
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
            service: client.service.as_ref(),
        }
    }
}

fn yes() -> bool {
    true
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
    let known = known(&app, &client).await?;
    Ok(answer(StatusCode::OK, &Shown::from(&known)))
}

/// Adds a client. Its secret is in this answer and nowhere else.
pub(super) async fn create(State(app): State<App>, body: Body) -> Result<Response, AdminError> {
    let asked: Asked = read(body).await?;
    check_name(&asked.name).map_err(ChangeError::from)?;
    let new = NewClient {
        id: asked.id,
        is_public: asked.public,
        name: asked.name,
        redirect_uris: asked.redirect_uris,
        refreshes: asked.refreshes,
        service: asked.service,
    };
    let (made, secret) = app.create_client(new).await?;
    with_secret(&app, StatusCode::CREATED, &made.id, secret.as_ref()).await
}

/// Says what a client may do on its own account.
pub(super) async fn approve(
    State(app): State<App>,
    Path(client): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let service: RawService = read(body).await?;
    let change = ClientChange { service: Some(service), ..ClientChange::default() };
    app.update_client(&client, change).await?;
    let known = known(&app, &client).await?;
    Ok(answer(StatusCode::OK, &Shown::from(&known)))
}

/// Gives a client a new secret.
pub(super) async fn rotate_secret(
    State(app): State<App>,
    Path(client): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let AskedSecret { overlap_seconds } = read(body).await?;
    let overlap = Duration::from_secs(overlap_seconds);
    let secret = app.rotate_client_secret(&client, overlap).await?;
    with_secret(&app, StatusCode::OK, &client, Some(&secret)).await
}

/// Removes a client and ends its grants.
pub(super) async fn remove(
    State(app): State<App>,
    Path(client): Path<String>,
) -> Result<StatusCode, AdminError> {
    app.delete_client(&client).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn with_secret(
    app: &App,
    status: StatusCode,
    client: &str,
    secret: Option<&Secret>,
) -> Result<Response, AdminError> {
    let known = known(app, client).await?;
    let client_secret = secret.map(Secret::expose);
    Ok(answer(status, &WithSecret { client: Shown::from(&known), client_secret }))
}

async fn known(app: &App, client: &str) -> Result<Client, AdminError> {
    let unknown = || AdminError::Unknown(format!("client {client}"));
    let id = ClientId::parse(client).map_err(|_| unknown())?;
    app.client(&id).await?.ok_or_else(unknown)
}
