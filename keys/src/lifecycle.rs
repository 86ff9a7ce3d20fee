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
    /// Publishes a new PENDING key of an algorithm.
    pub fn announce(&self, algorithm: Algorithm, now: Timestamp) -> Result<Self, KeyError> {
        let mut next = self.successor();
        next.add(algorithm, now)?;
        next.checked()?.after(self)
    }

    /// The set with a PENDING key of each algorithm that it has none of; nothing if it has all.
    /// It signs when every verifier holds it.
    pub fn with_algorithms(
        &self,
        algorithms: &[Algorithm],
        now: Timestamp,
    ) -> Result<Option<Self>, KeyError> {
        let known = self.algorithms();
        let mut next = self.successor();
        for algorithm in algorithms.iter().filter(|algorithm| !known.contains(algorithm)) {
            next.add(*algorithm, now)?;
        }
        if next.keys.len() == self.keys.len() {
            return Ok(None);
        }
        next.checked()?.after(self).map(Some)
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
        let algorithm = key.algorithm;
        let mut next = self.successor();
        for key in next.keys.iter_mut().filter(|key| key.algorithm == algorithm) {
            if key.state == KeyState::Active {
                key.retiring(now);
            } else if key.id == *id {
                key.active(now);
            }
        }
        next.with_standby(now)?.after(self)
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
        let usual = self.active().map_or(Algorithm::Secret, |key| key.algorithm);
        let mut key = KeyRecord::generate(usual, now)?;
        key.state = KeyState::Probe;
        key.material = key.verifying().map(Material::Public);
        if key.material.is_none() {
            return Err(KeyError::NotPublished(self.purpose));
        }
        let id = key.id.clone();
        next.keys.push(key);
        Ok((next.checked()?.after(self)?, id))
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
        let (was_active, algorithm) = (key.state == Active, key.algorithm);
        let standby = self.standby_of(algorithm);
        if let (true, Urgency::Orderly, Some(standby)) = (was_active, urgency, standby) {
            wait(standby, standby.activable_at(dwell), now, "activated")?;
        }
        let mut next = self.successor();
        for key in next.keys.iter_mut().filter(|key| key.id == *id) {
            key.state = KeyState::Revoked;
            key.revoked_at = Some(now);
            key.material = None;
        }
        if was_active {
            next.promote(algorithm, now);
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
        for algorithm in self.algorithms() {
            let was_active = self.active_of(algorithm).is_some();
            if was_active && next.active_of(algorithm).is_none() {
                if next.standby_of(algorithm).is_none() {
                    next.add(algorithm, now)?;
                }
                next.promote(algorithm, now);
            }
        }
        next.with_standby(now).map(Some)
    }

    /// The PENDING key of the set's first algorithm that has been published longest.
    pub fn standby(&self) -> Option<&KeyRecord> {
        self.standby_of(self.active()?.algorithm)
    }

    /// The PENDING key of an algorithm that has been published longest.
    pub fn standby_of(&self, algorithm: Algorithm) -> Option<&KeyRecord> {
        let own = self.keys.iter().filter(|key| key.algorithm == algorithm);
        own.filter(|key| key.state == KeyState::Pending).min_by_key(|key| key.published_at)
    }

    /// Lets the standby of an algorithm sign.
    fn promote(&mut self, algorithm: Algorithm, now: Timestamp) {
        let heir = self.standby_of(algorithm).map(|key| key.id.clone());
        for key in self.keys.iter_mut().filter(|key| Some(&key.id) == heir.as_ref()) {
            key.active(now);
        }
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
        for algorithm in self.algorithms() {
            if self.standby_of(algorithm).is_none() {
                self.add(algorithm, now)?;
            }
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
        if self.algorithm != Algorithm::Secret {
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
