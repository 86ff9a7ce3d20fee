//! Keys: their states and the next moment of each, and the changes an operator makes.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use keys::{Act, Algorithm, KeyRecord, KeySet, Purpose, Urgency};
use serde::{Deserialize, Serialize};
use shared::ids::KeyId;

use super::{
    answer,
    error::AdminError,
    key_view::{KeyShown, KeysChanged, too_soon},
    moment, read,
};
use crate::{App, audit::Actor, key_sets::KeyChangeError};

/// How an operator asks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    /// Which keys of the set; the usual ones without it.
    algorithm: Option<String>,
    emergency: bool,
}

#[derive(Debug, Serialize)]
struct List {
    keys: Vec<KeyShown>,
    servers: Vec<Server>,
}

/// A server as it last reported itself.
#[derive(Debug, Serialize)]
struct Server {
    name: String,
    seen: String,
    versions: std::collections::BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Resealed {
    resealed: usize,
}

/// Every key of every set, and which servers hold which version.
pub(super) async fn list(State(app): State<App>) -> Result<Response, AdminError> {
    app.keys.seen_since(app.clock.now()).await?;
    let sets = app.keys.sets();
    let mut keys = Vec::new();
    for set in &sets {
        for key in set.records() {
            keys.push(shown(&app, set, key));
        }
    }
    let servers = app.keys.servers().await?.running.into_iter().map(|one| Server {
        name: one.name,
        seen: moment::text(one.at),
        versions: one.versions,
    });
    let list = List { keys, servers: servers.collect() };
    Ok(answer(StatusCode::OK, &list))
}

/// Publishes another standby.
pub(super) async fn announce(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(purpose): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let purpose = purpose_of(&purpose)?;
    let algorithm = asked(body).await?.algorithm(&app, purpose)?;
    let act = |set: &KeySet, now| set.announce(algorithm, now);
    let next = app.change_keys(purpose, ("announce", &actor), act).await?;
    Ok(done(&next, algorithm, None))
}

/// Lets the standby that has been published longest sign.
pub(super) async fn rotate(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(purpose): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let purpose = purpose_of(&purpose)?;
    let asked = asked(body).await?;
    let algorithm = asked.algorithm(&app, purpose)?;
    let set = set_of(&app, purpose).await?;
    let standby = set.standby_of(algorithm).map(|key| key.id.clone());
    let standby = standby.ok_or_else(|| AdminError::Unknown("standby key".to_owned()))?;
    activate_in(&app, &set, &standby, &actor, asked.urgency()).await
}

/// Lets one standby sign.
pub(super) async fn activate(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    activate_in(&app, &set, &key, &actor, asked(body).await?.urgency()).await
}

/// Takes a key that signs no more out of the published set.
pub(super) async fn retire(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    let urgency = asked(body).await?.urgency();
    let dwell = app.keys.policy.dwell(set.purpose());
    let cost = cost(&app, &set, Act::Retire, &key);
    let act = |set: &KeySet, now| set.retire(&key, now, &dwell, urgency);
    let next = app.change_keys(set.purpose(), ("retire", &actor), act).await;
    let next = next.map_err(|error| refused(error, &cost))?;
    Ok(done(&next, algorithm_of(&set, &key), said(urgency, cost)))
}

/// Refuses a key everywhere and for ever.
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    let urgency = asked(body).await?.urgency();
    let cost = cost(&app, &set, Act::Revoke, &key);
    if set.purpose() == Purpose::RefreshMac
        && urgency == Urgency::Orderly
        && signs_out(&app, &set, &key)
    {
        return Err(AdminError::NotYet(format!(
            "key {key} is that of people who are signed in; `vestibule keys rotate --purpose \
             refresh-mac` replaces it for everybody who signs in from now on; --emergency revokes \
             it: {cost}"
        )));
    }
    let next = app.revoke_key(set.purpose(), &key, urgency, &actor).await;
    let next = next.map_err(|error| refused(error, &cost))?;
    Ok(done(&next, algorithm_of(&set, &key), Some(cost)))
}

/// Seals every set under the current key-encryption key.
pub(super) async fn reseal(State(app): State<App>) -> Result<Response, AdminError> {
    Ok(answer(StatusCode::OK, &Resealed { resealed: app.keys.reseal().await? }))
}

/// Whether people have to sign in again when the key is revoked.
fn signs_out(app: &App, set: &KeySet, key: &KeyId) -> bool {
    let dwell = app.keys.policy.dwell(set.purpose());
    let is_revoked = set.revoked().any(|revoked| revoked == key);
    !is_revoked && set.cost(Act::Revoke, key, app.clock.now(), &dwell).losing
}

async fn activate_in(
    app: &App,
    set: &KeySet,
    key: &KeyId,
    actor: &Actor,
    urgency: Urgency,
) -> Result<Response, AdminError> {
    let dwell = app.keys.policy.dwell(set.purpose());
    let cost = cost(app, set, Act::Activate, key);
    let act = |set: &KeySet, now| set.activate(key, now, &dwell, urgency);
    let next = app.change_keys(set.purpose(), ("activate", actor), act).await;
    let next = next.map_err(|error| refused(error, &cost))?;
    Ok(done(&next, algorithm_of(set, key), said(urgency, cost)))
}

fn shown(app: &App, set: &KeySet, key: &KeyRecord) -> KeyShown {
    let policy = &app.keys.policy;
    KeyShown::of(set, key, &policy.dwell(set.purpose()), policy.every_of(set.purpose()))
}

fn done(next: &KeySet, algorithm: Algorithm, cost: Option<String>) -> Response {
    answer(StatusCode::OK, &KeysChanged::of(next, algorithm, cost))
}

fn algorithm_of(set: &KeySet, key: &KeyId) -> Algorithm {
    let key = set.records().iter().find(|record| record.id == *key);
    key.map_or(Algorithm::Secret, |key| key.algorithm)
}

impl Asked {
    fn urgency(&self) -> Urgency {
        if self.emergency { Urgency::Emergency } else { Urgency::Orderly }
    }

    fn algorithm(&self, app: &App, purpose: Purpose) -> Result<Algorithm, AdminError> {
        let ours = app.keys.policy.algorithms_of(purpose);
        let usual = ours.first().copied().unwrap_or(Algorithm::Secret);
        let Some(name) = &self.algorithm else { return Ok(usual) };
        let known = ours.iter().copied().find(|algorithm| algorithm.as_str() == name);
        known.ok_or_else(|| {
            let names: Vec<_> = ours.iter().map(|algorithm| algorithm.as_str()).collect();
            let names = names.join(", ");
            AdminError::Query(format!("there are no {purpose} keys of {name:?}, but of {names}"))
        })
    }
}

/// An operator who hurries reads what it costs.
fn said(urgency: Urgency, cost: String) -> Option<String> {
    (urgency == Urgency::Emergency).then_some(cost)
}

fn cost(app: &App, set: &KeySet, act: Act, key: &KeyId) -> String {
    let dwell = app.keys.policy.dwell(set.purpose());
    set.cost(act, key, app.clock.now(), &dwell).to_string()
}

/// The refusal with the moment, and with what an emergency would cost.
fn refused(error: KeyChangeError, cost: &str) -> AdminError {
    match &error {
        KeyChangeError::Key(key) => match too_soon(key, cost) {
            Some(text) => AdminError::NotYet(text),
            None => error.into(),
        },
        _ => error.into(),
    }
}

async fn asked(body: Body) -> Result<Asked, AdminError> {
    read(body).await
}

fn purpose_of(name: &str) -> Result<Purpose, AdminError> {
    Purpose::parse(&name.replace('-', "_"))
        .filter(|purpose| crate::key_sets::PURPOSES.contains(purpose))
        .ok_or_else(|| {
            let text = format!("{name:?} is no purpose; write issuer, refresh-mac or page-seal");
            AdminError::Query(text)
        })
}

async fn set_of(app: &App, purpose: Purpose) -> Result<KeySet, AdminError> {
    app.keys.seen_since(app.clock.now()).await?;
    let set = app.keys.sets().into_iter().find(|set| set.purpose() == purpose);
    set.ok_or_else(|| AdminError::Unknown(format!("{purpose} key set")))
}

/// The set that has or had the key.
pub(super) async fn find(app: &App, key: &str) -> Result<(KeySet, KeyId), AdminError> {
    app.keys.seen_since(app.clock.now()).await?;
    let unknown = || AdminError::Unknown(format!("key {key}; vestibule keys list shows them"));
    let key = KeyId::parse(key).map_err(|_| unknown())?;
    let has = |set: &KeySet| set.records().iter().any(|record| record.id == key);
    let set = app.keys.sets().into_iter().find(has).ok_or_else(unknown)?;
    Ok((set, key))
}
