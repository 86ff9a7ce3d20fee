//! The admin interface: what operators ask of a running server, as JSON over a Unix socket that
//! only the server's own user may open, or over TCP with a token. The commands ask the same of a
//! stopped one.

mod api_keys;
mod audit;
mod clients;
mod drill;
mod error;
mod grants;
mod initial_access;
mod key_view;
mod keys;
mod moment;
mod remote;
mod store;
mod users;
mod workspaces;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use http::{Extensions, HeaderMap, Method, StatusCode, header::ORIGIN};
use serde::{Serialize, de::DeserializeOwned};
use web::{
    form::read_body,
    problem::{Problem, json},
};

use self::{error::AdminError, remote::AdminAddress};
pub use self::{
    key_view::{KeyShown, KeysChanged, too_soon},
    remote::over_tcp,
};
use crate::{
    App,
    audit::{Actor, Event},
};

/// What the operating system says of the process that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminPeer {
    pub pid: Option<i32>,
    pub uid: u32,
}

/// The header with the name that the audit shows beside the peer's user id.
const OPERATOR: &str = "vestibule-operator";

/// How much of a path is kept.
const LONGEST_ACT: usize = 1024;

/// How large a request may be.
const MOST_BYTES: usize = 64 * 1024;

/// The paths for operators. Each request must carry an [`AdminPeer`] as an extension, unless it
/// comes over TCP.
pub fn admin_router(app: App) -> Router {
    Router::new()
        .route("/admin/v1/audit", get(audit::list))
        .route("/admin/v1/clients", get(clients::list).post(clients::create))
        .route("/admin/v1/clients/{client}", get(clients::show).delete(clients::remove))
        .route("/admin/v1/clients/{client}/secret", post(clients::rotate_secret))
        .route("/admin/v1/clients/{client}/service", put(clients::approve))
        .route("/admin/v1/grants", get(grants::list).delete(grants::revoke_all))
        .route("/admin/v1/grants/{family}", delete(grants::revoke))
        .route(
            "/admin/v1/initial-access-tokens",
            get(initial_access::list).post(initial_access::issue),
        )
        .route("/admin/v1/initial-access-tokens/{token}", delete(initial_access::revoke))
        .route("/admin/v1/store", get(store::check))
        .route("/admin/v1/store/backup", post(store::backup))
        .route("/admin/v1/key-sets/{purpose}/announce", post(keys::announce))
        .route("/admin/v1/key-sets/{purpose}/rotate", post(keys::rotate))
        .route("/admin/v1/keys", get(keys::list))
        .route("/admin/v1/keys/drill", post(drill::drill))
        .route("/admin/v1/keys/drill/{key}", get(drill::drilled).delete(drill::withdraw))
        .route("/admin/v1/keys/reseal", post(keys::reseal))
        .route("/admin/v1/keys/{key}/activate", post(keys::activate))
        .route("/admin/v1/keys/{key}/retire", post(keys::retire))
        .route("/admin/v1/keys/{key}/revoke", post(keys::revoke))
        .route("/admin/v1/users", get(users::list).post(users::create))
        .route("/admin/v1/users/{user}", get(users::show).delete(users::remove))
        .route("/admin/v1/users/{user}/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/admin/v1/users/{user}/api-keys/{key}", delete(api_keys::revoke))
        .route("/admin/v1/users/{user}/api-keys/{key}/rotate", post(api_keys::rotate))
        .route("/admin/v1/users/{user}/disable", post(users::disable))
        .route("/admin/v1/users/{user}/enable", post(users::enable))
        .route("/admin/v1/users/{user}/password", put(users::password))
        .route("/admin/v1/users/{user}/sign-out", post(users::sign_out))
        .route("/admin/v1/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/admin/v1/workspaces/{workspace}", get(workspaces::show).delete(workspaces::remove))
        .route(
            "/admin/v1/workspaces/{workspace}/members/{user}",
            put(workspaces::give).delete(workspaces::take),
        )
        .route("/admin/v1/workspaces/{workspace}/plan", put(workspaces::plan))
        .method_not_allowed_fallback(async || AdminError::Method)
        .fallback(async || Problem::not_found())
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Lets commands in and pages out: no browser asks without one of these headers. Every act, done
/// or refused, is kept with its actor.
async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let from_page = |headers: &HeaderMap| {
        headers.keys().any(|name| *name == ORIGIN || name.as_str().starts_with("sec-fetch-"))
    };
    let Some(actor) = asker(request.extensions(), request.headers()) else {
        return AdminError::NoPeer.into_response();
    };
    let act = (request.method() != Method::GET).then(|| {
        let path = request.uri().path().chars().take(LONGEST_ACT);
        format!("{} {}", request.method(), path.collect::<String>())
    });
    let response = if from_page(request.headers()) {
        AdminError::FromPage.into_response()
    } else {
        request.extensions_mut().insert(actor.clone());
        next.run(request).await
    };
    if let Some(act) = act {
        let status = response.status().as_u16();
        app.audit(&Event::AdminActed { act: &act, actor: &actor, status });
    }
    response
}

/// Who asks, as the socket or the listener knows it; `None` where the request came by neither.
pub fn asker(extensions: &Extensions, headers: &HeaderMap) -> Option<Actor> {
    let name = operator(headers);
    match (extensions.get::<AdminPeer>(), extensions.get::<AdminAddress>()) {
        (Some(peer), _) => Some(Actor::Operator { name, pid: peer.pid, uid: peer.uid }),
        (None, Some(AdminAddress(address))) => Some(Actor::Remote { address: *address, name }),
        (None, None) => None,
    }
}

/// The name the command gave, if it is one.
fn operator(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(OPERATOR)?.to_str().ok()?;
    ((1..=64).contains(&name.len())).then(|| name.to_owned())
}

/// A deployment file that was read again while the server ran.
#[derive(Clone, Copy, Debug)]
pub struct Reloaded<'a> {
    /// What the text that came into use is known by.
    pub digest: &'a str,
    /// The headers of the operator's request, if one asked.
    pub headers: Option<&'a HeaderMap>,
    pub is_applied: bool,
    /// Who asked, if it was no signal.
    pub peer: Option<AdminPeer>,
}

/// A change of the keys of a gateway in this process, which has no store of events of its own.
#[derive(Clone, Copy, Debug)]
pub struct GatewayKeysChanged<'a> {
    pub act: &'static str,
    pub actor: &'a Actor,
    pub version: u64,
}

impl App {
    /// Keeps in the audit that an operator changed the keys of this process's gateway.
    pub fn note_gateway_keys(&self, changed: &GatewayKeysChanged<'_>) {
        let GatewayKeysChanged { act, actor, version } = *changed;
        let purpose = ::keys::Purpose::GatewayIdentity.as_str();
        self.audit(&Event::KeysChanged { act, actor, purpose, version });
    }

    /// Keeps in the audit that the deployment file was read again.
    pub fn note_reload(&self, reloaded: &Reloaded<'_>) {
        let Reloaded { digest, headers, is_applied, peer } = *reloaded;
        let actor = peer.map_or(Actor::Signal, |peer| Actor::Operator {
            name: headers.and_then(operator),
            pid: peer.pid,
            uid: peer.uid,
        });
        self.audit(&Event::ConfigurationReloaded { actor: &actor, digest, is_applied });
    }
}

/// Reads a request's JSON.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, AdminError> {
    let bytes =
        read_body(body, MOST_BYTES).await.map_err(|error| AdminError::Body(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| AdminError::Body(error.to_string()))
}

/// Answers with JSON.
fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response {
    json(status, serde_json::to_string(value).unwrap_or_default())
}
