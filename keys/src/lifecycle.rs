//! The life of keys: announce, activate, retire, revoke. Each verb gives a new set with the next
//! version, or says when it will be allowed.

use std::time::Duration;

use shared::{ids::KeyId, time::Timestamp};

use crate::{
    error::KeyError,
    pace::Dwell,
    ring::{Algorithm, KeyRecord, KeySet, KeyState, Material},
};

/// How far apart two machines' clocks may be.
pub const MAX_SKEW: Duration = Duration::from_secs(30);

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
            wait(key, key.activable_at(dwell), now, "activated")?;
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
    pub fn retire(
        &self,
        id: &KeyId,
        now: Timestamp,
        dwell: &Dwell,
        urgency: Urgency,
    ) -> Result<Self, KeyError> {
        let key = self.in_state(id, &[KeyState::Retiring], "retired")?;
        if urgency == Urgency::Orderly {
            wait(key, key.retirable_at(dwell), now, "retired")?;
        }
        self.without(id, now)
    }

    /// Publishes a key without a private half: nobody can ever sign with it. It shows who reads
    /// the published set.
    pub fn probe(&self, now: Timestamp) -> Result<(Self, KeyId), KeyError> {
        let mut next = self.successor();
        let mut key = KeyRecord::generate(self.purpose, now)?;
        key.state = KeyState::Probe;
        key.material = key.verifying().map(Material::Public);
        if key.material.is_none() {
            return Err(KeyError::NotPublished(self.purpose));
        }
        let id = key.id.clone();
        next.keys.push(key);
        Ok((next.checked()?, id))
    }

    /// Takes a probe back.
    pub fn withdraw(&self, id: &KeyId, now: Timestamp) -> Result<Self, KeyError> {
        self.in_state(id, &[KeyState::Probe], "withdrawn")?;
        self.without(id, now)
    }

    /// The set with what is known of its keys' last signatures; they never go back.
    #[must_use]
    pub fn noting(&self, signatures: &[(KeyId, Timestamp)]) -> Self {
        let mut next = self.clone();
        for key in &mut next.keys {
            let last = signatures.iter().filter(|(id, _)| *id == key.id).map(|(_, at)| *at).max();
            key.last_signed_at = key.last_signed_at.max(last);
        }
        next
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
            wait(standby, standby.activable_at(dwell), now, "activated")?;
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

    /// The set as it must be where what was stored is older than what once was: the ids stay
    /// revoked, and the version goes on from the highest that anybody has seen. Nothing, if the
    /// set is of that moment.
    pub fn reinstated(
        &self,
        revoked: &[KeyId],
        highest: u64,
        now: Timestamp,
    ) -> Result<Option<Self>, KeyError> {
        let is_back = |key: &KeyRecord| {
            let is_over = matches!(key.state, KeyState::Probe | KeyState::Revoked);
            !is_over && revoked.contains(&key.id)
        };
        if self.version >= highest && !self.keys.iter().any(is_back) {
            return Ok(None);
        }
        let mut next = self.successor();
        next.version = next.version.max(highest.saturating_add(1));
        for key in next.keys.iter_mut().filter(|key| is_back(key)) {
            key.state = KeyState::Revoked;
            key.revoked_at = Some(now);
            key.material = None;
        }
        if next.active().is_none() {
            if next.standby().is_none() {
                next.add(now)?;
            }
            let heir = next.standby().map(|key| key.id.clone());
            for key in next.keys.iter_mut().filter(|key| Some(&key.id) == heir.as_ref()) {
                key.active(now);
            }
        }
        next.with_standby(now).map(Some)
    }

    /// The PENDING key that has been published longest.
    pub fn standby(&self) -> Option<&KeyRecord> {
        let pending = self.keys.iter().filter(|key| key.state == KeyState::Pending);
        pending.min_by_key(|key| key.published_at)
    }

    /// Another version without what is left of a key.
    fn without(&self, id: &KeyId, now: Timestamp) -> Result<Self, KeyError> {
        let mut next = self.successor();
        for key in next.keys.iter_mut().filter(|key| key.id == *id) {
            key.state = KeyState::Retired;
            key.retired_at = Some(now);
            key.material = None;
        }
        next.checked()
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
