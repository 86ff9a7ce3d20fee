//! What goes on with keys while a server runs: it looks at the store, says what it holds, and one
//! server at a time takes the steps that are due.

use std::time::{Duration, Instant};

use keys::KeyError;
use serde::{Deserialize, Serialize};
use shared::time::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{KeyChangeError, KeySets, PURPOSES};
use crate::{
    App,
    audit::Actor,
    error::log,
    store::{Expected, Kind, StoreError},
};

/// The name of the lease.
const LEASE: &str = "rotation";

/// Who leads, and until when. Every new leader has a higher term, which goes into what it writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    holder: String,
    term: u64,
    until: Timestamp,
}

/// A clock that was set while the server runs shows against the one that cannot be.
#[derive(Debug)]
struct Steady {
    began: Instant,
    at: Timestamp,
}

impl App {
    /// Says which keys this server holds; whoever moves keys asks for it.
    pub async fn report_keys(&self) -> Result<(), KeyChangeError> {
        self.keys.report().await
    }

    /// Follows the key sets until the shutdown, and moves them on when this server leads.
    pub async fn keep_keys(self, shutdown: CancellationToken) {
        let steady = Steady { began: Instant::now(), at: self.clock.now() };
        let pause = self.keys.policy.pace.refresh();
        let mut term = None;
        loop {
            if let Err(error) = self.follow_keys(&steady, &mut term).await {
                log(&error);
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        if let Err(error) = self.keys.withdraw_report().await {
            log(&error);
        }
    }

    async fn follow_keys(
        &self,
        steady: &Steady,
        term: &mut Option<u64>,
    ) -> Result<(), KeyChangeError> {
        self.keys.seen_since(self.clock.now()).await?;
        self.keys.report().await?;
        if !steady.agrees(&self.clock, self.keys.policy.pace.skew) {
            tracing::error!(
                "this machine's clock was set while the server ran; no key changes by itself \
                 until the server is started again"
            );
            return Ok(());
        }
        self.lead(term).await
    }

    /// Takes what is due, if this server leads.
    pub(super) async fn lead(&self, held: &mut Option<u64>) -> Result<(), KeyChangeError> {
        let Some(term) = self.keys.lease().await? else {
            *held = None;
            return Ok(());
        };
        if *held != Some(term) {
            // The leader before may have ended between a revocation and its announcement.
            self.tell_revoked(&self.keys.revoked()).await?;
            *held = Some(term);
        }
        let actor = Actor::Server { name: self.keys.server.clone(), term };
        for purpose in PURPOSES {
            let every = self.keys.policy.every_of(purpose);
            let dwell = self.keys.policy.dwell(purpose);
            let now = self.clock.now();
            let sets = self.keys.sets();
            let set = sets.iter().find(|set| set.purpose() == purpose);
            let Some(step) = set.and_then(|set| set.due(now, &dwell, every)) else { continue };
            let verb = match step {
                keys::Step::Activate(_) => "activate",
                keys::Step::Retire(_) => "retire",
                keys::Step::Withdraw(_) => "withdraw",
            };
            let act = |set: &keys::KeySet, now| set.led_by(term)?.take(&step, now, &dwell);
            match self.change_keys(purpose, (verb, &actor), act).await {
                Ok(_) => {}
                // Somebody else was faster, a late signature was reported, or no key may be added.
                Err(KeyChangeError::Key(
                    error @ (KeyError::Full
                    | KeyError::OtherLeader { .. }
                    | KeyError::State { .. }
                    | KeyError::TooSoon { .. }),
                )) => tracing::info!(%error, "a step was not taken"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl KeySets {
    /// The term in which this server leads, if it does. No term is lower than that of the sets,
    /// even where the store has lost the lease: the leader would never be heard again.
    async fn lease(&self) -> Result<Option<u64>, StoreError> {
        let now = self.clock.now();
        let pace = self.policy.pace;
        let until = now.plus(pace.view);
        let store = &*self.store;
        let led = self.sets().iter().map(keys::KeySet::term).max().unwrap_or_default();
        let after = |lost: &str| {
            if led > 0 {
                tracing::error!(term = led, "the lease of the keys {lost}; a new term begins");
            }
            led.saturating_add(1)
        };
        let Some(record) = store.record(Kind::KeyLease, LEASE).await? else {
            let term = after("was lost");
            let first = Lease { holder: self.server.clone(), term, until };
            let is_first = store.create(Kind::KeyLease, LEASE, &first, None).await?;
            return Ok(is_first.then_some(term));
        };
        let lease: Lease = crate::store::decoded(&record)?;
        let is_ours = lease.holder == self.server;
        if !is_ours && now < lease.until.plus(pace.skew) {
            return Ok(None);
        }
        let term = match lease.term {
            term if term < led => after("went back"),
            term if is_ours => term,
            term => term.saturating_add(1),
        };
        let next = Lease { holder: self.server.clone(), term, until };
        let next = crate::store::encoded(&next)?;
        let expected = Expected::Same(&record);
        let is_taken =
            store.replace_record(Kind::KeyLease, LEASE, expected, Some(&next), None).await?;
        Ok(is_taken.then_some(term))
    }
}

impl Steady {
    fn agrees(&self, clock: &Clock, skew: Duration) -> bool {
        if matches!(clock, Clock::Manual(_)) {
            return true;
        }
        let (by_clock, by_steady) = (clock.now().since(self.at), self.began.elapsed());
        let is_back = clock.now() < self.at && by_steady > skew;
        !is_back && by_clock.abs_diff(by_steady) <= skew.max(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_ten_minutes_on_or_back_is_noticed() {
        let now = Clock::System.now();
        let skew = Duration::from_secs(30);
        let began = Instant::now();
        let agrees = |at| Steady { began, at }.agrees(&Clock::System, skew);
        assert!(agrees(now));
        assert!(!agrees(now.minus(Duration::from_mins(10))), "set forward since");
        let began = began.checked_sub(Duration::from_mins(1)).unwrap();
        let back = Steady { began, at: now.plus(Duration::from_mins(9)) };
        assert!(!back.agrees(&Clock::System, skew), "set back since");
    }
}
