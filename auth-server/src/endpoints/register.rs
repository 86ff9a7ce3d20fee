//! `POST /register`: dynamic client registration (RFC 7591). What is refused spends nothing, and
//! whoever registers what is registered already creates nothing.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};
use shared::{
    ids::ClientId,
    secret::{Secret, SecretHash},
};
use web::form::{BodyError, read_body};

use crate::{
    App,
    audit::Event,
    config::Registration as Mode,
    error::{Fault, RegistrationError},
    mint,
    rules::{
        client::{Client, ClientAuth, ClientKeys, Life, Origin, SecretMethod},
        client_metadata::{AuthMethod, Registration, check, method_name},
        violation::RegistrationViolation,
    },
    state::REGISTRATION,
    store::{Kind, Registered},
};

const MOST_BYTES: usize = 64 * 1024;

/// Registers a client and answers what was registered.
pub(crate) async fn register(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RegistrationError> {
    let address = app.address(peer, &headers);
    app.limits.charge(REGISTRATION, address).map_err(RegistrationError::Limited)?;
    let approval = approval(&app, &headers).await?;
    let asked = read(&headers, body).await?;
    let registration = check(&asked, &app.config.outbound.policy, &app.config.keys.algorithms)?;
    refuse_blocked(&app, &registration)?;
    let (client, credentials) = match (approval, registration.auth) {
        (None, AuthMethod::None) => (shared_client(&app, &registration).await?, None),
        (approval, _) => {
            let (client, credentials) = own_client(&app, &registration, approval).await?;
            (client, Some(credentials))
        }
    };
    app.audit(&Event::ClientRegistered { client: &client.id, name: &client.name });
    // With the request's own redirect URIs: a shared client has none with a port.
    let mut answer = information(&client);
    set(&mut answer, "redirect_uris", json!(registration.redirects));
    if let Some(Credentials { management, secret }) = credentials {
        if let Some(secret) = secret {
            set(&mut answer, "client_secret", json!(secret.expose()));
            set(&mut answer, "client_secret_expires_at", json!(0));
        }
        add_management(&app, &mut answer, &client.id, &management);
    }
    Ok(web::problem::json(StatusCode::CREATED, Value::Object(answer).to_string()))
}

/// The initial access token of a request, which is good; none where anybody may register.
async fn approval(app: &App, headers: &HeaderMap) -> Result<Option<SecretHash>, RegistrationError> {
    if app.config.registration == Mode::Closed {
        return Err(RegistrationError::Closed);
    }
    let Some(token) = bearer(headers) else {
        return match app.config.registration {
            Mode::Open => Ok(None),
            Mode::Closed | Mode::Token => Err(RegistrationViolation::InitialAccessMissing.into()),
        };
    };
    let token = token.hash();
    let access = app.store.initial_access(&token).await?;
    let is_good = access.is_some_and(|access| access.is_good(app.clock.now()));
    if is_good { Ok(Some(token)) } else { Err(RegistrationViolation::InitialAccessInvalid.into()) }
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim().to_owned()))
}

/// Reads a JSON body with its limits.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
) -> Result<Map<String, Value>, RegistrationError> {
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

/// Refuses what would lead to a place the operator blocked.
pub(super) fn refuse_blocked(
    app: &App,
    registration: &Registration,
) -> Result<(), RegistrationViolation> {
    let blocked = &app.config.blocked_redirects;
    let found = registration.redirects.iter().find(|uri| blocked.block(uri));
    found.map_or(Ok(()), |uri| Err(RegistrationViolation::RedirectBlocked(uri.clone())))
}

/// The one client of everybody who registers the same without a secret.
async fn shared_client(
    app: &App,
    registration: &Registration,
) -> Result<Client, RegistrationError> {
    let redirects = registration.shared_redirects();
    let id = registration.address_with(&redirects);
    let client = new_client(app, registration, &id, Origin::Open)?;
    let client = Client { redirects, ..client };
    loop {
        let cutoff = match app.store.registered(&client.id, client.registered).await? {
            Registered::Known(held) => return Ok(*held),
            Registered::Unknown { cutoff } => cutoff,
        };
        refuse_full(app, &id).await?;
        let client = Client { cutoff, ..client.clone() };
        if app.store.create_client_anew(&client).await? {
            return Ok(client);
        }
    }
}

/// What only the client gets to see.
struct Credentials {
    management: Secret,
    secret: Option<Secret>,
}

/// A client of its own: with a secret, or registered with an initial access token.
async fn own_client(
    app: &App,
    registration: &Registration,
    approval: Option<SecretHash>,
) -> Result<(Client, Credentials), RegistrationError> {
    refuse_full(app, &registration.content_address()).await?;
    let secret = match registration.auth {
        AuthMethod::None | AuthMethod::PrivateKeyJwt => None,
        _ => Some(Secret::new(mint::alphanumeric()?)),
    };
    let auth = match (&secret, registration.auth) {
        (None, _) => match registration.keys.clone() {
            Some(keys) => ClientAuth::PrivateKeyJwt { keys },
            None => ClientAuth::None,
        },
        (Some(secret), AuthMethod::ClientSecretPost) => {
            ClientAuth::secret(SecretMethod::Post, secret.hash())
        }
        (Some(secret), _) => ClientAuth::secret(SecretMethod::Basic, secret.hash()),
    };
    let management = Secret::new(format!("rat_{}", mint::alphanumeric()?));
    let origin = if approval.is_some() { Origin::Token } else { Origin::Open };
    let id = format!("s{}", mint::alphanumeric()?);
    let client = new_client(app, registration, &id, origin)?;
    let client = Client { auth, management: Some(management.hash()), ..client };
    if let Some(token) = approval
        && !app.store.spend_initial_access(&token, app.clock.now()).await?
    {
        return Err(RegistrationViolation::InitialAccessInvalid.into());
    }
    // Two equal random ids are not worth a case of their own.
    let _new = app.store.create_client(&client).await?;
    Ok((client, Credentials { management, secret }))
}

fn new_client(
    app: &App,
    registration: &Registration,
    id: &str,
    origin: Origin,
) -> Result<Client, Fault> {
    let now = app.clock.now();
    Ok(Client {
        about: registration.about.clone(),
        auth: ClientAuth::None,
        cutoff: None,
        id: ClientId::parse(id).map_err(|_| mint::NoRandomness)?,
        life: Life { touched: now, used: false },
        management: None,
        name: registration.name.clone(),
        origin,
        redirects: registration.redirects.clone(),
        refreshes: registration.refresh,
        registered: now,
        service: None,
    })
}

/// Refuses a client that would be new where there are too many, or where too many come at once.
/// The sweep makes room.
async fn refuse_full(app: &App, metadata: &str) -> Result<(), RegistrationError> {
    let (clients, now) = (&app.limits.clients, app.clock.now());
    clients.charge_new(metadata).map_err(RegistrationError::Limited)?;
    if clients.takes_room(now) {
        return Ok(());
    }
    let (count, capacity) = (app.store.count(Kind::Client).await?, app.config.client_capacity);
    if clients.counted(count, capacity, now) {
        return Ok(());
    }
    tracing::warn!(capacity, "no room for another client");
    Err(RegistrationError::Full)
}

/// What is registered of a client (RFC 7591 section 3.2.1); absent members are left out, because
/// clients refuse `null`.
pub(super) fn information(client: &Client) -> Map<String, Value> {
    let mut answer = match serde_json::to_value(&client.about) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let mut grants = vec!["authorization_code"];
    if client.refreshes {
        grants.push("refresh_token");
    }
    if client.service.as_ref().is_some_and(|service| !service.scopes.is_empty()) {
        grants.push("client_credentials");
    }
    for (name, value) in [
        ("client_id", json!(client.id)),
        ("client_id_issued_at", json!(client.registered.secs())),
        ("client_name", json!(client.name)),
        ("grant_types", json!(grants)),
        ("redirect_uris", json!(client.redirects)),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!(method_name(&client.auth))),
    ] {
        set(&mut answer, name, value);
    }
    match &client.auth {
        ClientAuth::PrivateKeyJwt { keys: ClientKeys::Inline(text) } => {
            set(&mut answer, "jwks", serde_json::from_str(text).unwrap_or_default());
        }
        ClientAuth::PrivateKeyJwt { keys: ClientKeys::Remote(uri) } => {
            set(&mut answer, "jwks_uri", json!(uri));
        }
        ClientAuth::None | ClientAuth::Secret { .. } => {}
    }
    answer
}

/// Adds where and with what the client manages its registration (RFC 7592 section 3).
pub(super) fn add_management(
    app: &App,
    answer: &mut Map<String, Value>,
    id: &ClientId,
    token: &Secret,
) {
    let uri = format!("{}/{id}", app.config.deployment.endpoints.register.as_str());
    set(answer, "registration_client_uri", json!(uri));
    set(answer, "registration_access_token", json!(token.expose()));
}

fn set(answer: &mut Map<String, Value>, name: &str, value: Value) {
    answer.insert(name.to_owned(), value);
}
