//! What operators ask of the ring: the same acts as of auth-server's keys, on the socket and the
//! admin listener of the process that the gateway runs in.

use auth_server::{Actor, GatewayKeysChanged, KeyShown, KeysChanged, asker, too_soon};
use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{StatusCode, header::ORIGIN},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use keys::{Act, KeySet, Purpose, Urgency};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{ids::KeyId, problem::chain};
use web::problem::Problem;

use super::ring::{Ring, RingError};
use crate::live::AuthServer;

/// The path below which operators ask.
pub(crate) const PATH: &str = "/admin/v1/gateway-keys";

#[derive(Clone, Debug)]
struct Administered {
    /// The auth-server of this process, which keeps security events.
    auth: Option<AuthServer>,
    ring: Ring,
}

/// How an operator asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    algorithm: Option<String>,
    emergency: bool,
}

/// Who asks.
#[derive(Clone, Debug)]
struct Asker {
    actor: Actor,
    asked: Asked,
}

/// Why an operator's request is not carried out.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there are no gateway keys of {0:?}, but of ES256")]
    Algorithm(String),
    #[error("the request cannot be read: {0}")]
    Body(String),
    /// What a key's life does not allow, with what there is to do instead.
    #[error("{0}")]
    NotYet(String),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("there is no key {0}; vestibule keys list --gateway shows them")]
    Unknown(String),
}

/// The paths for operators. Each request must come by the socket or over TCP, as
/// [`asker`] knows it.
pub(crate) fn router(ring: Ring, auth: Option<AuthServer>) -> Router {
    let at = |end: &str| format!("{PATH}{end}");
    Router::new()
        .route(PATH, get(list))
        .route(&at("/announce"), post(announce))
        .route(&at("/rotate"), post(rotate))
        .route(&at("/reseal"), post(reseal))
        .route(&at("/{key}/activate"), change(Act::Activate))
        .route(&at("/{key}/retire"), change(Act::Retire))
        .route(&at("/{key}/revoke"), change(Act::Revoke))
        .layer(middleware::from_fn(guard))
        .with_state(Administered { auth, ring })
}

/// Lets commands in and pages out: no browser asks without one of these headers.
async fn guard(mut request: Request, next: Next) -> Response {
    let from_page = |name: &str| name == ORIGIN.as_str() || name.starts_with("sec-fetch-");
    let why = match asker(request.extensions(), request.headers()) {
        None => "nobody knows who asks",
        Some(_) if request.headers().keys().any(|name| from_page(name.as_str())) => {
            "pages have no business here"
        }
        Some(actor) => {
            request.extensions_mut().insert(actor);
            return next.run(request).await;
        }
    };
    Problem::new(StatusCode::FORBIDDEN, "access_denied", why).into_response()
}

async fn list(State(app): State<Administered>) -> Result<Response, Refusal> {
    let set = app.ring.look().await?;
    let (dwell, every) = (app.ring.dwell(), app.ring.every());
    let keys = set.records().iter().map(|key| KeyShown::of(&set, key, &dwell, every));
    Ok(answer(&json!({ "keys": keys.collect::<Vec<_>>(), "servers": [] })))
}

async fn announce(
    State(app): State<Administered>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let asked = Asked::read(&body)?;
    let algorithm = keys::Algorithm::Es256;
    let next = app.ring.change(|set, now| set.announce(algorithm, now)).await?;
    let by = Asker { actor, asked };
    Ok(app.done("announce", &by, &next, None))
}

async fn rotate(
    State(app): State<Administered>,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let asked = Asked::read(&body)?;
    let standby = app.ring.look().await?.standby().map(|key| key.id.to_string());
    let standby = standby.ok_or_else(|| Refusal::Unknown("that stands by".to_owned()))?;
    app.act(Act::Activate, &standby, &Asker { actor, asked }).await
}

/// Does this to the key of the path.
fn change(act: Act) -> MethodRouter<Administered> {
    post(
        async move |State(app): State<Administered>,
                    Extension(actor): Extension<Actor>,
                    Path(key): Path<String>,
                    body: Bytes| {
            let asked = Asked::read(&body)?;
            app.act(act, &key, &Asker { actor, asked }).await
        },
    )
}

async fn reseal(
    State(app): State<Administered>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Refusal> {
    let resealed = app.ring.reseal().await?;
    let actor = serde_json::to_string(&actor).unwrap_or_default();
    tracing::info!(target: "audit", act = "reseal", actor, resealed, "the gateway's keys");
    Ok(answer(&json!({ "resealed": resealed })))
}

impl Administered {
    async fn act(&self, act: Act, key: &str, by: &Asker) -> Result<Response, Refusal> {
        let asked = &by.asked;
        let unknown = || Refusal::Unknown(key.to_owned());
        let id = KeyId::parse(key).map_err(|_| unknown())?;
        let (set, dwell) = (self.ring.look().await?, self.ring.dwell());
        if !set.records().iter().any(|record| record.id == id) {
            return Err(unknown());
        }
        let urgency = if asked.emergency { Urgency::Emergency } else { Urgency::Orderly };
        let cost = set.cost(act, &id, self.ring.now(), &dwell).to_string();
        let change = |set: &KeySet, now| match act {
            Act::Activate => set.activate(&id, now, &dwell, urgency),
            Act::Retire => set.retire(&id, now, &dwell, urgency),
            // Whoever asks again is told the same.
            Act::Revoke if set.revoked().any(|revoked| *revoked == id) => Ok(set.clone()),
            Act::Revoke => set.revoke(&id, now, &dwell, urgency),
        };
        let next = self.ring.change(change).await.map_err(|error| match &error {
            RingError::Key(key) => match too_soon(key, &cost) {
                Some(text) => Refusal::NotYet(text),
                None => error.into(),
            },
            _ => error.into(),
        })?;
        let name = match act {
            Act::Activate => "activate",
            Act::Retire => "retire",
            Act::Revoke => "revoke",
        };
        let is_told = asked.emergency || act == Act::Revoke;
        Ok(self.done(name, by, &next, is_told.then_some(cost)))
    }

    /// Keeps the change with its actor, and answers what the ring is now.
    fn done(&self, act: &'static str, by: &Asker, next: &KeySet, cost: Option<String>) -> Response {
        let (actor, version) = (&by.actor, next.version);
        if let Some(auth) = &self.auth {
            auth.current().note_gateway_keys(&GatewayKeysChanged { act, actor, version });
        } else {
            let actor = serde_json::to_string(actor).unwrap_or_default();
            let purpose = Purpose::GatewayIdentity.as_str();
            tracing::info!(
                target: "audit", act, purpose, version, actor, "the gateway's keys changed"
            );
        }
        answer(&KeysChanged::of(next, keys::Algorithm::Es256, cost))
    }
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let asked: Self = match body {
            [] => Self::default(),
            body => {
                serde_json::from_slice(body).map_err(|error| Refusal::Body(error.to_string()))?
            }
        };
        match asked.algorithm {
            Some(name) if name != keys::Algorithm::Es256.as_str() => Err(Refusal::Algorithm(name)),
            _ => Ok(asked),
        }
    }
}

fn answer<T: Serialize>(value: &T) -> Response {
    web::problem::json(StatusCode::OK, serde_json::to_string(value).unwrap_or_default())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Algorithm(_) | Self::Body(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NotYet(_) | Self::Ring(RingError::Key(_)) => (StatusCode::CONFLICT, "conflict"),
            Self::Unknown(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Ring(error) => {
                tracing::warn!(error = %chain(error), "the gateway's keys cannot be changed");
                let text = "the gateway cannot do this now; ask again";
                return Problem::unavailable(text, 2).into_response();
            }
        };
        Problem::new(status, code, &self.to_string()).into_response()
    }
}
