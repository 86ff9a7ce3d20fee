//! What keeps strangers from making this server dial much: one fetch of a URL at a time, a short
//! memory of what failed, and budgets by person, by host and in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use shared::{ids::UserId, time::Timestamp};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use web::limits::{Budget, Limited, Limiter};

use crate::rules::violation::UntrustedRedirect;

const ALL: Budget = Budget { name: "outbound", burst: 600, per_minute: 600 };
const BY_HOST: Budget = Budget { name: "outbound host", burst: 30, per_minute: 30 };
const BY_PERSON: Budget = Budget { name: "outbound person", burst: 20, per_minute: 10 };
/// How many hosts and people have budgets of their own; beyond, the others share one.
const MOST_KEYS: usize = 10_000;
/// How many outcomes are remembered: the budgets let no more happen while one is.
const MOST_REMEMBERED: usize = 10_000;

/// Restraint of all fetches of a process.
#[derive(Debug)]
pub(super) struct Restraint {
    all: Limiter<()>,
    by_host: Limiter<String>,
    by_person: Limiter<UserId>,
    flights: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
    remembered: Mutex<HashMap<String, Outcome>>,
}

/// How the last fetch of a URL ended.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// Nothing if it was good.
    pub(super) fault: Option<UntrustedRedirect>,
    /// No other fetch before this moment.
    pub(super) until: Timestamp,
}

impl Restraint {
    pub(super) fn new() -> Self {
        Self {
            all: Limiter::new(ALL, 1),
            by_host: Limiter::new(BY_HOST, MOST_KEYS),
            by_person: Limiter::new(BY_PERSON, MOST_KEYS),
            flights: Mutex::default(),
            remembered: Mutex::default(),
        }
    }

    /// Waits until nobody else fetches the URL.
    pub(super) async fn alone(&self, url: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.strong_count() > 0);
            let known = flights.get(url).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(AsyncMutex::new(()));
                flights.insert(url.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    /// How the last fetch ended, while that still counts.
    pub(super) fn last(&self, url: &str, now: Timestamp) -> Option<Outcome> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(url).filter(|outcome| now < outcome.until).cloned()
    }

    /// Remembers how a fetch ended.
    pub(super) fn remember(&self, url: &str, outcome: Outcome, now: Timestamp) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.retain(|_, outcome| now < outcome.until);
        }
        if remembered.len() < MOST_REMEMBERED {
            remembered.insert(url.to_owned(), outcome);
        }
    }

    /// Charges a fetch for a person, or for nobody. The narrow budgets first, so that one person
    /// or one host cannot spend what is everybody's.
    pub(super) fn charge(&self, person: Option<&UserId>, host: &str) -> Result<(), Limited> {
        if let Some(person) = person {
            self.by_person.check(person)?;
        }
        self.by_host.check(&host.to_owned())?;
        self.all.check(&())
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.by_host.sweep();
        self.by_person.sweep();
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, outcome| now < outcome.until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(restraint: &Restraint, charge: impl Fn(&Restraint, u32) -> bool) -> usize {
        (0..1000).filter(|number| charge(restraint, *number)).count()
    }

    #[test]
    fn a_thousand_urls_on_one_host_or_of_one_person_are_few_fetches() {
        let person = UserId::parse("usr_one").unwrap();
        let restraint = Restraint::new();
        let of_one_person = passed(&restraint, |restraint, number| {
            restraint.charge(Some(&person), &format!("h{number}.example")).is_ok()
        });
        assert!((20..=25).contains(&of_one_person), "{of_one_person}");
        let on_one_host =
            passed(&restraint, |restraint, _| restraint.charge(None, "one.example").is_ok());
        assert!((30..=35).contains(&on_one_host), "{on_one_host}");
        let on_many = passed(&restraint, |restraint, number| {
            restraint.charge(None, &format!("many{number}.example")).is_ok()
        });
        assert!((500..=620).contains(&on_many), "{on_many}");
    }

    #[test]
    fn an_outcome_counts_for_its_time_and_memory_is_bounded() {
        let restraint = Restraint::new();
        let now = Timestamp::from_secs(100);
        let until = Timestamp::from_secs(160);
        for number in 0..MOST_REMEMBERED + 10 {
            let outcome = Outcome { fault: Some(UntrustedRedirect::DocumentUnread), until };
            restraint.remember(&format!("u{number}"), outcome, now);
        }
        assert_eq!(restraint.remembered.lock().unwrap().len(), MOST_REMEMBERED);
        assert!(restraint.last("u1", now).is_some());
        assert!(restraint.last("u1", until).is_none());
        restraint.sweep(until);
        assert!(restraint.remembered.lock().unwrap().is_empty());
    }
}
