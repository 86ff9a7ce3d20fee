//! `/register/{client_id}`: a client reads, replaces and deletes its own registration (RFC 7592).
//!
//! Only clients that hold a secret or key, or came with an initial access token, have a
//! registration access token. It stays the same: an answer that gets lost after a rotation would
//! lock the client out of its registration for good. Nor is the secret ever shown again, because
//! only its hash is kept.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header::CACHE_CONTROL};
use serde_json::{Map, Value};
use shared::{ids::ClientId, secret::Secret};
use subtle::ConstantTimeEq;

use super::{
    named::Named,
    register::{add_management, bearer, information, read, refuse_blocked},
};
use crate::{
    App,
    audit::Event,
    error::RegistrationError,
    rules::{
        client::{Client, ClientAuth, SecretMethod},
        client_metadata::{AuthMethod, Registration, check},
        violation::RegistrationViolation,
    },
    state::REGISTRATION,
};

/// Answers what is registered (RFC 7592 section 2.1).
pub(crate) async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, RegistrationError> {
    let (client, token) = authorized(&app, peer, &headers, &id).await?;
    Ok(answer(&app, &client, &token))
}

/// Replaces everything the client may choose (RFC 7592 section 2.2): what is left out is gone.
pub(crate) async fn replace(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Named(id): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RegistrationError> {
    let (client, token) = authorized(&app, peer, &headers, &id).await?;
    let asked = read(&headers, body).await?;
    refuse_members(&client, &asked)?;
    let registration = check(&asked, &app.config.outbound.policy, &app.config.keys.algorithms)?;
    refuse_blocked(&app, &registration)?;
    let auth = auth(&client, &registration)?;
    let change = |held: &Client| Client {
        about: registration.about.clone(),
        auth: auth.clone(),
        name: registration.name.clone(),
        redirects: registration.redirects.clone(),
        refreshes: registration.refresh,
        ..held.clone()
    };
    let changed = app.store.change_client(&client.id, change).await?;
    let changed = changed.ok_or(RegistrationViolation::ManagementInvalid)?;
    app.audit(&Event::ClientChanged { client: &client.id });
    Ok(answer(&app, &changed, &token))
}

/// Deletes the registration, and ends every grant of the client (RFC 7592 section 2.3).
pub(crate) async fn remove(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, RegistrationError> {
    let (client, _) = authorized(&app, peer, &headers, &id).await?;
    app.end_client(&client).await?;
    Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response())
}

/// The client of the address, if the request has its registration access token.
async fn authorized(
    app: &App,
    peer: SocketAddr,
    headers: &HeaderMap,
    id: &str,
) -> Result<(Client, Secret), RegistrationError> {
    let address = app.address(peer, headers);
    app.limits.charge(REGISTRATION, address).map_err(RegistrationError::Limited)?;
    let token = bearer(headers).ok_or(RegistrationViolation::ManagementMissing)?;
    let invalid = || RegistrationError::from(RegistrationViolation::ManagementInvalid);
    let id = ClientId::parse(id).map_err(|_| invalid())?;
    let client = app.client(&id).await?.ok_or_else(invalid)?;
    let shown = token.hash();
    let is_its_own = client
        .management
        .as_ref()
        .is_some_and(|held| held.as_str().as_bytes().ct_eq(shown.as_str().as_bytes()).into());
    if is_its_own { Ok((client, token)) } else { Err(invalid()) }
}

/// Refuses members that are the server's, and names of another client.
fn refuse_members(
    client: &Client,
    asked: &Map<String, Value>,
) -> Result<(), RegistrationViolation> {
    const OURS: [&str; 4] = [
        "client_id_issued_at",
        "client_secret_expires_at",
        "registration_access_token",
        "registration_client_uri",
    ];
    if let Some(member) = OURS.into_iter().find(|member| asked.contains_key(*member)) {
        return Err(RegistrationViolation::ServerMember(member));
    }
    if asked.get("client_id").and_then(Value::as_str) != Some(client.id.as_str()) {
        return Err(RegistrationViolation::ClientId);
    }
    let is_current = |secret: &Value| {
        let secret = secret.as_str().map(|text| Secret::new(text.to_owned()).hash());
        match (&client.auth, secret) {
            (ClientAuth::Secret { secrets, .. }, Some(secret)) => {
                secrets.iter().any(|held| held.expires.is_none() && held.hash == secret)
            }
            _ => false,
        }
    };
    match asked.get("client_secret") {
        None | Some(Value::Null) => Ok(()),
        Some(secret) if is_current(secret) => Ok(()),
        Some(_) => Err(RegistrationViolation::Secret),
    }
}

/// How the client proves itself from now on: a secret may move, but neither come nor go.
fn auth(client: &Client, registration: &Registration) -> Result<ClientAuth, RegistrationViolation> {
    match (&client.auth, registration.auth) {
        (ClientAuth::None, AuthMethod::None) => Ok(ClientAuth::None),
        (ClientAuth::Secret { secrets, .. }, AuthMethod::ClientSecretBasic) => {
            Ok(ClientAuth::Secret { method: SecretMethod::Basic, secrets: secrets.clone() })
        }
        (ClientAuth::Secret { secrets, .. }, AuthMethod::ClientSecretPost) => {
            Ok(ClientAuth::Secret { method: SecretMethod::Post, secrets: secrets.clone() })
        }
        (ClientAuth::PrivateKeyJwt { keys }, AuthMethod::PrivateKeyJwt) => {
            let keys = registration.keys.clone().unwrap_or_else(|| keys.clone());
            Ok(ClientAuth::PrivateKeyJwt { keys })
        }
        _ => Err(RegistrationViolation::MethodFixed),
    }
}

fn answer(app: &App, client: &Client, token: &Secret) -> Response {
    let mut answer = information(client);
    add_management(app, &mut answer, &client.id, token);
    web::problem::json(StatusCode::OK, Value::Object(answer).to_string())
}
