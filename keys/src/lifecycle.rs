//! The life of keys: announce, activate, retire, revoke. Each verb gives a new set with the next
//! version, or says when it will be allowed.

use std::time::Duration;

use shared::{ids::KeyId, time::Timestamp};

use crate::{
    error::KeyError,
    jwks::{JWKS_MAX_AGE, JWKS_STALE},
    ring::{Algorithm, KeyRecord, KeySet, KeyState, Material},
};

/// How far apart two machines' clocks may be.
pub const MAX_SKEW: Duration = Duration::from_secs(30);

/// How old the view of a key set may be that somebody signs with.
pub const MAX_VIEW_AGE: Duration = Duration::from_secs(30);

/// How long a key must have been in a state before it may leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dwell {
    /// PENDING: until every verifier holds the key.
    pub pending: Duration,
    /// RETIRING: until nothing it signed is still valid.
    pub retiring: Duration,
}

impl Dwell {
    /// The dwell times that follow from how long a published JWKS may be cached, stale answers
    /// included, and from the longest life of anything the keys sign, authenticate or seal.
    pub fn for_lifetime(longest: Duration) -> Self {
        let margin = MAX_SKEW.saturating_add(MAX_VIEW_AGE);
        Self {
            pending: JWKS_MAX_AGE.saturating_add(JWKS_STALE).saturating_add(margin),
            retiring: longest.saturating_add(margin),
        }
    }
}

/// Whether a change waits for the dwell time of the key that becomes ACTIVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// At once; verifiers that do not hold the key yet refuse until they fetch it.
    Emergency,
    /// Only when every verifier holds the key.
    Orderly,
}

impl KeySet {
    /// Publishes a new PENDING key.
    pub fn announce(&self, now: Timestamp) -> Result<Self, KeyError> {
        let mut next = self.successor();
        next.add(now)?;
        next.checked()
    }

    /// Lets the PENDING key sign. The key that signed retires and loses its private half; when
    /// no standby is left, one is announced.
    pub fn activate(
        &self,
        id: &KeyId,
        now: Timestamp,
        dwell: &Dwell,
        urgency: Urgency,
    ) -> Result<Self, KeyError> {
        let key = self.in_state(id, &[KeyState::Pending], "activated")?;
        if urgency == Urgency::Orderly {
            wait(key, key.published_at.plus(dwell.pending), now, "activated")?;
        }
        let mut next = self.successor();
        for key in &mut next.keys {
            if key.state == KeyState::Active {
                key.retiring(now);
            } else if key.id == *id {
                key.active(now);
            }
        }
        next.with_standby(now)
    }

    /// Takes a RETIRING key out of the published set and wipes what is left of it.
    pub fn retire(&self, id: &KeyId, now: Timestamp, dwell: &Dwell) -> Result<Self, KeyError> {
        let key = self.in_state(id, &[KeyState::Retiring], "retired")?;
        let since = key.retiring_at.unwrap_or(key.published_at);
        wait(key, since.plus(dwell.retiring), now, "retired")?;
        let mut next = self.successor();
        for key in next.keys.iter_mut().filter(|key| key.id == *id) {
            key.state = KeyState::Retired;
            key.retired_at = Some(now);
            key.material = None;
        }
        next.checked()
    }

    /// Refuses the key everywhere and for ever. If it was ACTIVE, the standby that has been
    /// published longest signs from now on.
    pub fn revoke(
        &self,
        id: &KeyId,
        now: Timestamp,
        dwell: &Dwell,
        urgency: Urgency,
    ) -> Result<Self, KeyError> {
        use KeyState::{Active, Pending, Retired, Retiring};
        let key = self.in_state(id, &[Pending, Active, Retiring, Retired], "revoked")?;
        let was_active = key.state == Active;
        let standby = self.standby();
        if let (true, Urgency::Orderly, Some(standby)) = (was_active, urgency, standby) {
            wait(standby, standby.published_at.plus(dwell.pending), now, "activated")?;
        }
        let mut next = self.successor();
        for key in next.keys.iter_mut().filter(|key| key.id == *id) {
            key.state = KeyState::Revoked;
            key.revoked_at = Some(now);
            key.material = None;
        }
        let heir = next.standby().map(|key| key.id.clone());
        for key in next.keys.iter_mut().filter(|key| was_active && Some(&key.id) == heir.as_ref()) {
            key.active(now);
        }
        next.with_standby(now)
    }

    /// The PENDING key that has been published longest.
    pub fn standby(&self) -> Option<&KeyRecord> {
        let pending = self.keys.iter().filter(|key| key.state == KeyState::Pending);
        pending.min_by_key(|key| key.published_at)
    }

    fn successor(&self) -> Self {
        let mut next = self.clone();
        next.version = next.version.saturating_add(1);
        next
    }

    fn with_standby(mut self, now: Timestamp) -> Result<Self, KeyError> {
        if self.standby().is_none() {
            self.add(now)?;
        }
        self.checked()
    }

    fn in_state(
        &self,
        id: &KeyId,
        allowed: &[KeyState],
        verb: &'static str,
    ) -> Result<&KeyRecord, KeyError> {
        let key = self.keys.iter().find(|key| key.id == *id);
        let key = key.ok_or_else(|| KeyError::Unknown(id.to_string()))?;
        if allowed.contains(&key.state) {
            return Ok(key);
        }
        Err(KeyError::State { id: id.clone(), state: key.state, verb })
    }
}

impl KeyRecord {
    fn active(&mut self, now: Timestamp) {
        self.state = KeyState::Active;
        self.activated_at = Some(now);
    }

    /// Leaves ACTIVE. Secrets have no public half: what they made is read with the secret itself,
    /// so they are kept until they retire.
    fn retiring(&mut self, now: Timestamp) {
        self.state = KeyState::Retiring;
        self.retiring_at = Some(now);
        if self.algorithm == Algorithm::Es256 {
            self.material = self.verifying().map(Material::Public);
        }
    }
}

fn wait(
    key: &KeyRecord,
    allowed_at: Timestamp,
    now: Timestamp,
    verb: &'static str,
) -> Result<(), KeyError> {
    if now >= allowed_at {
        return Ok(());
    }
    let wait_seconds = allowed_at.since(now).as_millis().div_ceil(1000);
    let wait_seconds = u64::try_from(wait_seconds).unwrap_or(u64::MAX);
    Err(KeyError::TooSoon { allowed_at, id: key.id.clone(), verb, wait_seconds })
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
