//! Keys: their states and the next moment of each, and the changes an operator makes.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use keys::{Act, Algorithm, KeyError, KeyRecord, KeySet, KeyState, Purpose, Urgency};
use serde::{Deserialize, Serialize};
use shared::ids::KeyId;

use super::{answer, error::AdminError, moment, read};
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
    keys: Vec<Shown>,
    servers: Vec<Server>,
}

/// A key and when what may happen to it.
#[derive(Debug, Serialize)]
struct Shown {
    id: KeyId,
    purpose: &'static str,
    algorithm: &'static str,
    state: &'static str,
    published: String,
    activated: Option<String>,
    last_signed: Option<String>,
    retiring: Option<String>,
    retired: Option<String>,
    revoked: Option<String>,
    /// What comes next, as a person reads it.
    next: Option<String>,
    /// When.
    next_at: Option<String>,
}

/// A server as it last reported itself.
#[derive(Debug, Serialize)]
struct Server {
    name: String,
    seen: String,
    versions: std::collections::BTreeMap<String, u64>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    purpose: &'static str,
    algorithm: &'static str,
    version: u64,
    /// None while the first key of a new algorithm waits.
    signing: Option<KeyId>,
    standby: Option<KeyId>,
    /// What it cost, where somebody said emergency.
    cost: Option<String>,
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

fn shown(app: &App, set: &KeySet, key: &KeyRecord) -> Shown {
    let dwell = app.keys.policy.dwell(set.purpose());
    let next =
        match key.state {
            KeyState::Pending => Some(("may be activated", key.activable_at(&dwell))),
            KeyState::Retiring => Some(("may be retired", key.retirable_at(&dwell))),
            KeyState::Active => app.keys.policy.every_of(set.purpose()).map(|every| {
                ("is replaced", key.activated_at.unwrap_or(key.published_at).plus(every))
            }),
            KeyState::Probe | KeyState::Retired | KeyState::Revoked => None,
        };
    Shown {
        id: key.id.clone(),
        purpose: set.purpose().as_str(),
        algorithm: key.algorithm.as_str(),
        state: key.state.as_str(),
        published: moment::text(key.published_at),
        activated: key.activated_at.map(moment::text),
        last_signed: key.last_signed_at.map(moment::text),
        retiring: key.retiring_at.map(moment::text),
        retired: key.retired_at.map(moment::text),
        revoked: key.revoked_at.map(moment::text),
        next: next.map(|(what, _)| what.to_owned()),
        next_at: next.map(|(_, at)| moment::text(at)),
    }
}

fn done(next: &KeySet, algorithm: Algorithm, cost: Option<String>) -> Response {
    let done = Done {
        purpose: next.purpose().as_str(),
        algorithm: algorithm.as_str(),
        version: next.version,
        signing: next.active_of(algorithm).map(|key| key.id.clone()),
        standby: next.standby_of(algorithm).map(|key| key.id.clone()),
        cost,
    };
    answer(StatusCode::OK, &done)
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
    let KeyChangeError::Key(KeyError::TooSoon { allowed_at, .. }) = &error else {
        return error.into();
    };
    let at = moment::text(*allowed_at);
    AdminError::NotYet(format!("{error}, at {at}; --emergency does it now: {cost}"))
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
