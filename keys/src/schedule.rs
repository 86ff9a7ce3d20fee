//! What is due in the life of a key set by itself, and what an emergency costs.

use std::{fmt, time::Duration};

use shared::{ids::KeyId, time::Timestamp};

use crate::{
    error::KeyError,
    lifecycle::Urgency,
    pace::Dwell,
    ring::{KeyRecord, KeySet, KeyState, Purpose},
};

/// How long a forgotten probe stays published.
const PROBE_LIFE: Duration = Duration::from_hours(1);

/// What happens next by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The standby begins to sign, and another is announced.
    Activate(KeyId),
    /// Nothing that the key made is valid any more.
    Retire(KeyId),
    /// Nobody took the probe back.
    Withdraw(KeyId),
}

/// What an operator does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Activate,
    Retire,
    Revoke,
}

/// What it costs to do something at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How long some verifiers may not hold the key that signs then.
    pub learning: Duration,
    /// Whether valid things that the key made are refused from then on.
    pub losing: bool,
    purpose: Purpose,
}

impl KeySet {
    /// The step that is due, if the ACTIVE key is replaced `every` so often, or by the operator
    /// alone.
    pub fn due(&self, now: Timestamp, dwell: &Dwell, every: Option<Duration>) -> Option<Step> {
        let in_state = |state| self.keys.iter().filter(move |key| key.state == state);
        let probe = in_state(KeyState::Probe)
            .find(|key| now >= key.published_at.plus(PROBE_LIFE))
            .map(|key| Step::Withdraw(key.id.clone()));
        let done = || {
            let done = |key: &&KeyRecord| now >= key.retirable_at(dwell);
            in_state(KeyState::Retiring).find(done).map(|key| Step::Retire(key.id.clone()))
        };
        let aged = |algorithm| {
            let standby = self.standby_of(algorithm)?;
            let is_old = match self.active_of(algorithm) {
                Some(active) => {
                    now >= active.activated_at.unwrap_or(active.published_at).plus(every?)
                }
                // Of a new algorithm.
                None => true,
            };
            let is_due = is_old && now >= standby.activable_at(dwell);
            is_due.then(|| Step::Activate(standby.id.clone()))
        };
        probe.or_else(done).or_else(|| self.algorithms().into_iter().find_map(aged))
    }

    /// When the next step is due, if nobody acts before.
    pub fn next_due(&self, dwell: &Dwell, every: Option<Duration>) -> Option<Timestamp> {
        let moment = |key: &KeyRecord| match key.state {
            KeyState::Active => {
                let old = key.activated_at.unwrap_or(key.published_at).plus(every?);
                Some(old.max(self.standby_of(key.algorithm)?.activable_at(dwell)))
            }
            KeyState::Pending if self.active_of(key.algorithm).is_none() => {
                Some(key.activable_at(dwell))
            }
            KeyState::Probe => Some(key.published_at.plus(PROBE_LIFE)),
            KeyState::Retiring => Some(key.retirable_at(dwell)),
            KeyState::Pending | KeyState::Retired | KeyState::Revoked => None,
        };
        self.keys.iter().filter_map(moment).min()
    }

    /// Takes a step that was due.
    pub fn take(&self, step: &Step, now: Timestamp, dwell: &Dwell) -> Result<Self, KeyError> {
        match step {
            Step::Activate(id) => self.activate(id, now, dwell, Urgency::Orderly),
            Step::Retire(id) => self.retire(id, now, dwell, Urgency::Orderly),
            Step::Withdraw(id) => self.withdraw(id, now),
        }
    }

    /// What it costs to do this to a key at this moment.
    pub fn cost(&self, act: Act, id: &KeyId, now: Timestamp, dwell: &Dwell) -> Cost {
        let key = self.keys.iter().find(|key| key.id == *id);
        let is_active = key.is_some_and(|key| key.state == KeyState::Active);
        let heir = match act {
            Act::Activate => key,
            Act::Revoke if is_active => key.and_then(|key| self.standby_of(key.algorithm)),
            Act::Retire | Act::Revoke => None,
        };
        let is_used = |key: &KeyRecord| {
            let is_retiring = key.state == KeyState::Retiring && now < key.retirable_at(dwell);
            key.state == KeyState::Active || is_retiring
        };
        let losing = act != Act::Activate && key.is_some_and(is_used);
        let learning = heir.map(|key| key.activable_at(dwell).since(now)).unwrap_or_default();
        Cost { learning, losing, purpose: self.purpose }
    }

    /// Refuses a clock that is behind what already happened.
    pub fn check_clock(&self, now: Timestamp, skew: Duration) -> Result<(), KeyError> {
        let moments = self.keys.iter().flat_map(|key| {
            let later = [key.activated_at, key.retiring_at, key.retired_at, key.revoked_at];
            later.into_iter().flatten().chain([key.published_at])
        });
        let behind = moments.max().unwrap_or_default().since(now);
        if behind <= skew {
            return Ok(());
        }
        Err(KeyError::ClockBehind { seconds: behind.as_secs() })
    }

    /// The term of the last leader that changed it by itself.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The set under a leader's term: a leader that was followed by another changes nothing.
    pub fn led_by(&self, term: u64) -> Result<Self, KeyError> {
        if term < self.term {
            return Err(KeyError::OtherLeader { held: self.term, offered: term });
        }
        Ok(Self { term, ..self.clone() })
    }
}

impl KeyRecord {
    /// When every verifier holds the key.
    pub fn activable_at(&self, dwell: &Dwell) -> Timestamp {
        self.published_at.plus(dwell.pending)
    }

    /// When nothing that the key made is valid any more: from its last signature, if that was
    /// after it should have been.
    pub fn retirable_at(&self, dwell: &Dwell) -> Timestamp {
        let left = self.retiring_at.unwrap_or(self.published_at);
        left.max(self.last_signed_at.unwrap_or(left)).plus(dwell.retiring)
    }
}

impl Cost {
    /// Whether nobody notices.
    pub fn is_nothing(&self) -> bool {
        !self.losing && self.learning.is_zero()
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return f.write_str("it costs nothing: every verifier holds the key that signs");
        }
        let mut costs = Vec::new();
        if !self.learning.is_zero() {
            let seconds = self.learning.as_millis().div_ceil(1000);
            costs.push(format!(
                "for up to {seconds} s verifiers that have not fetched the key set refuse what is \
                 new"
            ));
        }
        if self.losing {
            costs.push(
                match self.purpose {
                    Purpose::GatewayIdentity => "identities on their way to backends are refused",
                    Purpose::Issuer => {
                        "access tokens that the key signed are refused, and clients refresh them"
                    }
                    Purpose::PageSeal => "open pages and known browsers begin anew",
                    Purpose::RefreshMac => {
                        "refresh tokens that the key made are refused, and those people sign in \
                         again"
                    }
                }
                .to_owned(),
            );
        }
        f.write_str(&costs.join("; "))
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
