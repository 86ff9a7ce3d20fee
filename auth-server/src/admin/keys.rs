//! Keys: their states and the next moment of each, the changes an operator makes, and the drill.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use keys::{Act, KeyError, KeyRecord, KeySet, KeyState, Purpose, Urgency};
use serde::{Deserialize, Serialize};
use shared::{ids::KeyId, time::Timestamp};

use super::{answer, error::AdminError, moment, read};
use crate::{App, audit::Actor, key_sets::KeyChangeError};

/// How an operator asks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
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
    version: u64,
    signing: KeyId,
    standby: Option<KeyId>,
    /// What it cost, where somebody said emergency.
    cost: Option<String>,
}

#[derive(Debug, Serialize)]
struct Resealed {
    resealed: usize,
}

/// A drill under way.
#[derive(Debug, Serialize)]
struct Drill {
    key: KeyId,
    version: u64,
    announced: String,
    verifiers: Vec<Seen>,
}

/// Whether somebody has the probe.
#[derive(Debug, Serialize)]
struct Seen {
    kind: &'static str,
    name: String,
    /// After how long it reported to have it.
    after_ms: Option<u64>,
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
) -> Result<Response, AdminError> {
    let purpose = purpose_of(&purpose)?;
    let act = |set: &KeySet, now| set.announce(now);
    let next = app.change_keys(purpose, ("announce", &actor), act).await?;
    done(&next, None)
}

/// Lets the standby that has been published longest sign.
pub(super) async fn rotate(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(purpose): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let purpose = purpose_of(&purpose)?;
    let set = set_of(&app, purpose).await?;
    let standby = set.standby().map(|key| key.id.clone());
    let standby = standby.ok_or_else(|| AdminError::Unknown("standby key".to_owned()))?;
    activate_in(&app, &set, &standby, &actor, asked(body).await?).await
}

/// Lets one standby sign.
pub(super) async fn activate(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    activate_in(&app, &set, &key, &actor, asked(body).await?).await
}

/// Takes a key that signs no more out of the published set.
pub(super) async fn retire(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    let urgency = asked(body).await?;
    let dwell = app.keys.policy.dwell(set.purpose());
    let cost = cost(&app, &set, Act::Retire, &key);
    let act = |set: &KeySet, now| set.retire(&key, now, &dwell, urgency);
    let next = app.change_keys(set.purpose(), ("retire", &actor), act).await;
    done(&next.map_err(|error| refused(error, &cost))?, said(urgency, cost))
}

/// Refuses a key everywhere and for ever.
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
    body: Body,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    let urgency = asked(body).await?;
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
    done(&next.map_err(|error| refused(error, &cost))?, Some(cost))
}

/// Seals every set under the current key-encryption key.
pub(super) async fn reseal(State(app): State<App>) -> Result<Response, AdminError> {
    Ok(answer(StatusCode::OK, &Resealed { resealed: app.keys.reseal().await? }))
}

/// Publishes a key that can never sign, to see who reads the published keys.
pub(super) async fn drill(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, AdminError> {
    if app.keys.servers().await?.running.is_empty() {
        return Err(AdminError::NotYet(
            "no auth-server runs, so nobody would publish the probe; start one and ask again"
                .to_owned(),
        ));
    }
    let act = |set: &KeySet, now| set.probe(now).map(|(next, _)| next);
    let next = app.change_keys(Purpose::Issuer, ("probe", &actor), act).await?;
    let probe = next.records().iter().rev().find(|key| key.state == KeyState::Probe);
    let probe = probe.ok_or_else(|| AdminError::Unknown("probe".to_owned()))?;
    let drill = progress(&app, &next, probe).await?;
    Ok(answer(StatusCode::CREATED, &drill))
}

/// Who has the probe, and after how long.
pub(super) async fn drilled(
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<Response, AdminError> {
    let (set, key) = find(&app, &key).await?;
    let probe = set.records().iter().find(|one| one.id == key && one.state == KeyState::Probe);
    let probe = probe.ok_or_else(|| AdminError::Unknown(format!("probe {key}")))?;
    Ok(answer(StatusCode::OK, &progress(&app, &set, probe).await?))
}

/// Takes the probe back.
pub(super) async fn withdraw(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Path(key): Path<String>,
) -> Result<StatusCode, AdminError> {
    let (set, key) = find(&app, &key).await?;
    let act = |set: &KeySet, now| set.withdraw(&key, now);
    app.change_keys(set.purpose(), ("withdraw", &actor), act).await?;
    Ok(StatusCode::NO_CONTENT)
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
    done(&next.map_err(|error| refused(error, &cost))?, said(urgency, cost))
}

async fn progress(app: &App, set: &KeySet, probe: &KeyRecord) -> Result<Drill, AdminError> {
    let after = |at: Timestamp| u64::try_from(at.since(probe.published_at).as_millis()).ok();
    let mut verifiers = Vec::new();
    for server in app.keys.servers().await?.running {
        let version = server.versions.get(Purpose::Issuer.as_str()).copied().unwrap_or_default();
        let since = server.since.filter(|_| version >= set.version);
        verifiers.push(Seen {
            kind: "auth-server",
            name: server.name,
            after_ms: since.and_then(after),
        });
    }
    for gateway in app.verifiers().await? {
        let seen = gateway.keys.iter().find(|seen| seen.kid == probe.id);
        verifiers.push(Seen {
            kind: "gateway",
            name: gateway.name,
            after_ms: seen.and_then(|seen| after(seen.since)),
        });
    }
    Ok(Drill {
        key: probe.id.clone(),
        version: set.version,
        announced: moment::text(probe.published_at),
        verifiers,
    })
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

fn done(next: &KeySet, cost: Option<String>) -> Result<Response, AdminError> {
    let signing = next.active().map(|key| key.id.clone());
    let signing = signing.ok_or_else(|| AdminError::Unknown("signing key".to_owned()))?;
    let standby = next.standby().map(|key| key.id.clone());
    let purpose = next.purpose().as_str();
    Ok(answer(StatusCode::OK, &Done { purpose, version: next.version, signing, standby, cost }))
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

async fn asked(body: Body) -> Result<Urgency, AdminError> {
    let asked: Asked = read(body).await?;
    Ok(if asked.emergency { Urgency::Emergency } else { Urgency::Orderly })
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
async fn find(app: &App, key: &str) -> Result<(KeySet, KeyId), AdminError> {
    app.keys.seen_since(app.clock.now()).await?;
    let unknown = || AdminError::Unknown(format!("key {key}; vestibule keys list shows them"));
    let key = KeyId::parse(key).map_err(|_| unknown())?;
    let has = |set: &KeySet| set.records().iter().any(|record| record.id == key);
    let set = app.keys.sets().into_iter().find(has).ok_or_else(unknown)?;
    Ok((set, key))
}
