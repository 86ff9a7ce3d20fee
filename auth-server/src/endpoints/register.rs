//! `POST /register`: dynamic client registration (RFC 7591).

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};
use shared::ids::ClientId;
use std::net::SocketAddr;
use web::form::{BodyError, read_body};

use crate::{
    App,
    audit::Event,
    config::Registration as Mode,
    error::{Fault, RegistrationError},
    mint,
    rules::{
        client::{Client, ClientAuth, Origin, SecretMethod},
        client_metadata::{AuthMethod, Registration, check},
        violation::RegistrationViolation,
    },
    state::REGISTRATION,
};

const MOST_BYTES: usize = 64 * 1024;

/// Registers a client and answers what was registered.
pub(crate) async fn register(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RegistrationError> {
    app.limits
        .charge(REGISTRATION, app.address(peer, &headers))
        .map_err(RegistrationError::Limited)?;
    if app.config.registration == Mode::Closed {
        return Err(RegistrationError::Closed);
    }
    let asked = read(&headers, body).await?;
    let registration = check(&asked)?;
    let (client, secret) = client(&app, &registration)?;
    app.store.put_client(&client).await.map_err(Fault::from)?;
    app.audit(&Event::ClientRegistered { client: &client.id, name: &client.name });
    let body = answer(&registration, &client, secret.as_deref());
    Ok(web::problem::json(StatusCode::CREATED, body.to_string()))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, RegistrationError> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(RegistrationViolation::BodyType.into());
    }
    let bytes = match read_body(body, MOST_BYTES).await {
        Ok(bytes) => bytes,
        Err(BodyError::TooLarge) => return Err(RegistrationError::TooLarge),
        Err(error) => return Err(RegistrationViolation::Body(error.to_string()).into()),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(RegistrationViolation::Body("it is another JSON value".to_owned()).into()),
        Err(error) => {
            let place = format!("line {} column {}", error.line(), error.column());
            Err(RegistrationViolation::Body(place).into())
        }
    }
}

/// The client of a registration: content-addressed without a secret, random with one.
fn client(app: &App, registration: &Registration) -> Result<(Client, Option<String>), Fault> {
    let (id, auth, secret) = match registration.auth {
        AuthMethod::None => (registration.content_address(), ClientAuth::None, None),
        method => {
            let secret = mint::alphanumeric()?;
            let hash = shared::secret::Secret::new(secret.clone()).hash();
            let method = match method {
                AuthMethod::ClientSecretPost => SecretMethod::Post,
                AuthMethod::ClientSecretBasic | AuthMethod::None => SecretMethod::Basic,
            };
            let auth = ClientAuth::secret(method, hash);
            (format!("s{}", mint::alphanumeric()?), auth, Some(secret))
        }
    };
    let client = Client {
        auth,
        cutoff: None,
        id: ClientId::parse(&id).map_err(|_| mint::NoRandomness)?,
        management: None,
        name: registration.name.clone(),
        origin: Origin::Open,
        redirects: registration.stored_redirects(),
        refreshes: registration.refresh,
        registered: app.clock.now(),
        service: None,
    };
    Ok((client, secret))
}

/// What was registered, with the request's own redirect URIs; absent members are left out,
/// because clients refuse `null`.
fn answer(registration: &Registration, client: &Client, secret: Option<&str>) -> Value {
    let mut grants = vec!["authorization_code"];
    if registration.refresh {
        grants.push("refresh_token");
    }
    let mut answer = json!({
        "client_id": client.id,
        "client_id_issued_at": client.registered.secs(),
        "client_name": client.name,
        "grant_types": grants,
        "redirect_uris": registration.redirects,
        "response_types": ["code"],
        "token_endpoint_auth_method": registration.auth.as_str(),
    });
    let mut add = |name: &str, value: Value| {
        if let Some(members) = answer.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(secret) = secret {
        add("client_secret", json!(secret));
        add("client_secret_expires_at", json!(0));
    }
    if let Some(scope) = &registration.scope {
        add("scope", json!(scope));
    }
    if let Some(uri) = &registration.client_uri {
        add("client_uri", json!(uri));
    }
    answer
}
