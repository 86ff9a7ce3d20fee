//! The drill: a key that can never sign is published, and everybody who verifies is seen to have
//! it.

use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use keys::{KeyRecord, KeySet, KeyState, Purpose};
use serde::Serialize;
use shared::{ids::KeyId, time::Timestamp};

use super::{answer, error::AdminError, keys::find, moment};
use crate::{App, audit::Actor};

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
