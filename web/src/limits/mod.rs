//! Request limits: budgets per key, and a registry of budgets per client address (a single IPv4
//! address, an IPv6 /64).

mod addresses;
mod arrivals;

use std::{
    num::NonZeroU32,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use governor::middleware::StateSnapshot;
use http::StatusCode;

use self::arrivals::{Arrivals, Rate};
pub use self::{addresses::AddressLimits, arrivals::Lookup};
use crate::problem::{Problem, TEMPORARILY_UNAVAILABLE};

/// How often a limiter that is full looks for keys it may forget.
const ROOM: Duration = Duration::from_secs(1);

/// How much a key may spend: a steady rate, and a reserve for bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub burst: u32,
    pub name: &'static str,
    pub per_minute: u32,
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many requests may come at once when it is full.
    pub limit: u32,
    /// How many may come at once now.
    pub remaining: u32,
    /// Whole seconds until it is full again.
    pub reset: u64,
}

/// What a charge has left of a budget, for whoever asks.
#[derive(Clone, Debug)]
pub struct Left {
    budget: Budget,
    measured: StateSnapshot,
    /// Of one request.
    weight: NonZeroU32,
}

impl Budget {
    /// The standing with so much left.
    pub fn standing(&self, remaining: u32) -> Standing {
        let limit = self.burst.max(1);
        let remaining = remaining.min(limit);
        let spent = u64::from(limit - remaining);
        let reset = (spent * 60).div_ceil(u64::from(self.per_minute.max(1)));
        Standing { limit, remaining, reset }
    }
}

impl Left {
    /// The standing, for requests of the weight that was charged.
    pub fn standing(&self) -> Standing {
        let standing = self.budget.standing(self.measured.remaining_burst_capacity());
        Standing { remaining: standing.remaining / self.weight, ..standing }
    }
}

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests: the {budget} budget is spent")]
pub struct Limited {
    pub budget: &'static str,
    /// Whole seconds until a request would pass again, at least one.
    pub retry_after: u64,
}

impl From<Limited> for Problem {
    fn from(limited: Limited) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, TEMPORARILY_UNAVAILABLE, &limited.to_string())
            .with_retry_after(limited.retry_after)
    }
}

/// One budget for each key.
#[derive(Debug)]
pub struct Limiter<K> {
    arrivals: Arrivals<K>,
    began: Instant,
    budget: Budget,
    /// Whether there was no room for a key.
    full: AtomicBool,
    /// When it last looked for keys it may forget.
    looked: Mutex<Instant>,
    rate: Rate,
}

impl<K: Lookup<K>> Limiter<K> {
    /// A limiter that remembers at most `max_keys` keys whose budget is not full; beyond, new keys
    /// share one budget.
    pub fn new(budget: Budget, max_keys: usize) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let now = Instant::now();
        Self {
            arrivals: Arrivals::new(max_keys),
            began: now,
            budget,
            full: AtomicBool::new(false),
            looked: Mutex::new(now),
            rate: Rate::new(at_least_one(budget.per_minute), at_least_one(budget.burst)),
        }
    }

    /// Charges the key one request.
    pub fn check(&self, key: &K) -> Result<(), Limited> {
        self.charge(key, Instant::now()).map(drop)
    }

    /// Charges the key one request that came at this moment.
    pub fn charge(&self, key: &impl Lookup<K>, at: Instant) -> Result<Left, Limited> {
        self.take(key, NonZeroU32::MIN, at)
    }

    /// Charges the key a request that weighs several, at most the whole budget.
    pub fn charge_share(
        &self,
        key: &impl Lookup<K>,
        weight: NonZeroU32,
        at: Instant,
    ) -> Result<Left, Limited> {
        let most = NonZeroU32::new(self.budget.burst).unwrap_or(NonZeroU32::MIN);
        self.take(key, weight.min(most), at)
    }

    /// The budget of each key.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Charges the key a request that weighs several; what weighs more than the burst never
    /// passes.
    pub fn check_weighted(&self, key: &K, weight: NonZeroU32) -> Result<(), Limited> {
        self.take(key, weight, Instant::now()).map(drop)
    }

    /// Forgets the keys whose budget is full again. Call it every minute.
    pub fn sweep(&self) {
        self.forget(Instant::now());
        self.arrivals.shrink();
    }

    fn take(&self, key: &impl Lookup<K>, weight: NonZeroU32, at: Instant) -> Result<Left, Limited> {
        self.make_room();
        let moment = self.moment(at);
        let (outcome, has_room) =
            self.arrivals.with(key, |arrival| self.rate.check(arrival, weight, moment));
        if !has_room {
            self.full.store(true, Ordering::Relaxed);
        }
        let budget = self.budget;
        match outcome {
            Some(Ok(measured)) => Ok(Left { budget, measured, weight }),
            Some(Err(wait)) => {
                Err(Limited { budget: budget.name, retry_after: whole_seconds(wait) })
            }
            None => Err(Limited { budget: budget.name, retry_after: 60 }),
        }
    }

    /// Where many keys come at once, those whose budget is full again give way sooner.
    fn make_room(&self) {
        if !self.full.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(mut looked) = self.looked.try_lock()
            && looked.elapsed() >= ROOM
        {
            self.full.store(false, Ordering::Relaxed);
            *looked = Instant::now();
            self.forget(*looked);
        }
    }

    fn forget(&self, now: Instant) {
        self.arrivals.forget_until(self.rate.full_before(self.moment(now)));
    }

    /// In nanoseconds since the limiter began.
    fn moment(&self, at: Instant) -> u64 {
        let span = at.saturating_duration_since(self.began);
        u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0).max(u64::from(wait.is_zero()))
}

#[cfg(test)]
mod tests;
