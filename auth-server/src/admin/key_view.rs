//! A key set as operators read it, wherever the set is kept.

use std::time::Duration;

use keys::{Algorithm, Dwell, KeyError, KeyRecord, KeySet, KeyState};
use serde::Serialize;
use shared::ids::KeyId;

use super::moment;

/// A key and when what may happen to it.
#[derive(Debug, Serialize)]
pub struct KeyShown {
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

/// What was done to a set.
#[derive(Debug, Serialize)]
pub struct KeysChanged {
    purpose: &'static str,
    algorithm: &'static str,
    version: u64,
    /// None while the first key of a new algorithm waits.
    signing: Option<KeyId>,
    standby: Option<KeyId>,
    /// What it cost, where somebody said emergency.
    cost: Option<String>,
}

impl KeyShown {
    /// A key of a set whose keys stay in their states for so long, and sign for `every`.
    pub fn of(set: &KeySet, key: &KeyRecord, dwell: &Dwell, every: Option<Duration>) -> Self {
        let next = match key.state {
            KeyState::Pending => Some(("may be activated", key.activable_at(dwell))),
            KeyState::Retiring => Some(("may be retired", key.retirable_at(dwell))),
            KeyState::Active => every.map(|every| {
                ("is replaced", key.activated_at.unwrap_or(key.published_at).plus(every))
            }),
            KeyState::Probe | KeyState::Retired | KeyState::Revoked => None,
        };
        Self {
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
}

impl KeysChanged {
    /// What a set is after a change of its keys of an algorithm.
    pub fn of(next: &KeySet, algorithm: Algorithm, cost: Option<String>) -> Self {
        Self {
            purpose: next.purpose().as_str(),
            algorithm: algorithm.as_str(),
            version: next.version,
            signing: next.active_of(algorithm).map(|key| key.id.clone()),
            standby: next.standby_of(algorithm).map(|key| key.id.clone()),
            cost,
        }
    }
}

/// The refusal of what comes before its time: the moment from which it is allowed, and what an
/// emergency would cost. Nothing for another error.
pub fn too_soon(error: &KeyError, cost: &str) -> Option<String> {
    let KeyError::TooSoon { allowed_at, .. } = error else { return None };
    let at = moment::text(*allowed_at);
    Some(format!("{error}, at {at}; --emergency does it now: {cost}"))
}
