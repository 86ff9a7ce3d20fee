//! Request limits: budgets per key, and a registry of budgets per client address (a single IPv4
//! address, an IPv6 /64).

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock, QuantaInstant},
    middleware::{StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::{
        InMemoryState, StateStore,
        direct::NotKeyed,
        keyed::{DashMapStateStore, ShrinkableKeyedStateStore},
    },
};
use http::StatusCode;

use crate::{
    client_address::v6_prefix,
    problem::{Problem, TEMPORARILY_UNAVAILABLE},
};

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
pub struct Limiter<K: Hash + Eq + Clone> {
    budget: Budget,
    /// Whether there was no room for a key.
    full: Arc<AtomicBool>,
    governor: RateLimiter<K, Capped<K>, DefaultClock, StateInformationMiddleware>,
    /// When it last looked for keys it may forget.
    looked: Mutex<Instant>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limiter that remembers at most `max_keys` keys whose budget is not full; beyond, new keys
    /// share one budget.
    pub fn new(budget: Budget, max_keys: usize) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(budget.per_minute))
            .allow_burst(at_least_one(budget.burst));
        let keys = Capped::new(max_keys);
        let full = Arc::clone(&keys.full);
        let governor = RateLimiter::<_, _, _, StateInformationMiddleware>::new(
            quota,
            keys,
            DefaultClock::default(),
        );
        Self { budget, full, governor, looked: Mutex::new(Instant::now()) }
    }

    /// Charges the key one request.
    pub fn check(&self, key: &K) -> Result<(), Limited> {
        self.charge(key).map(drop)
    }

    /// Charges the key one request and says what is left.
    pub fn charge(&self, key: &K) -> Result<Standing, Limited> {
        self.make_room();
        let charged = self.governor.check_key(key);
        charged.map(|left| self.standing(&left)).map_err(|refusal| self.limited(&refusal))
    }

    /// Charges the key a request that weighs several, at most the whole budget, and says what is
    /// left for requests of that weight.
    pub fn charge_share(&self, key: &K, weight: NonZeroU32) -> Result<Standing, Limited> {
        self.make_room();
        let weight = weight.min(NonZeroU32::new(self.budget.burst).unwrap_or(NonZeroU32::MIN));
        match self.governor.check_key_n(key, weight) {
            Ok(answer) => {
                let left = answer.map_err(|refusal| self.limited(&refusal))?;
                let standing = self.standing(&left);
                Ok(Standing { remaining: standing.remaining / weight, ..standing })
            }
            Err(_) => Err(Limited { budget: self.budget.name, retry_after: 60 }),
        }
    }

    /// The budget of each key.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Charges the key a request that weighs several; what weighs more than the burst never
    /// passes.
    pub fn check_weighted(&self, key: &K, weight: NonZeroU32) -> Result<(), Limited> {
        self.make_room();
        match self.governor.check_key_n(key, weight) {
            Ok(answer) => answer.map(drop).map_err(|refusal| self.limited(&refusal)),
            Err(_) => Err(Limited { budget: self.budget.name, retry_after: 60 }),
        }
    }

    /// Forgets the keys whose budget is full again. Call it every minute.
    pub fn sweep(&self) {
        self.governor.retain_recent();
        self.governor.shrink_to_fit();
    }

    fn standing(&self, left: &StateSnapshot) -> Standing {
        self.budget.standing(left.remaining_burst_capacity())
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
            self.governor.retain_recent();
            *looked = Instant::now();
        }
    }

    fn limited(&self, refusal: &NotUntil<QuantaInstant>) -> Limited {
        let wait = refusal.wait_time_from(self.governor.clock().now());
        Limited { budget: self.budget.name, retry_after: whole_seconds(wait) }
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// Budgets per client address, by name.
#[derive(Debug)]
pub struct AddressLimits {
    limiters: HashMap<&'static str, Limiter<Prefix>>,
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4(u32),
    V6(u128),
}

impl AddressLimits {
    /// A registry of these budgets; each remembers at most `max_keys` prefixes.
    pub fn new(budgets: &[Budget], max_keys: usize) -> Self {
        let limiter = |budget: &Budget| (budget.name, Limiter::new(*budget, max_keys));
        Self { limiters: budgets.iter().map(limiter).collect() }
    }

    /// Charges the address one request of the named budget. A budget nobody defined is spent.
    pub fn check(&self, budget: &'static str, address: IpAddr) -> Result<(), Limited> {
        let undefined = Limited { budget, retry_after: 60 };
        self.limiters.get(budget).ok_or(undefined)?.check(&Prefix::of(address))
    }

    /// Forgets addresses that have been quiet. Call it every minute.
    pub fn sweep(&self) {
        self.limiters.values().for_each(Limiter::sweep);
    }
}

impl Prefix {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.into()),
            IpAddr::V6(address) => Self::V6(v6_prefix(address, 64)),
        }
    }
}

/// A store that never holds more than its number of keys.
struct Capped<K: Hash + Eq + Clone> {
    full: Arc<AtomicBool>,
    keys: DashMapStateStore<K>,
    max_keys: usize,
    overflow: InMemoryState,
}

impl<K: Hash + Eq + Clone> Capped<K> {
    fn new(max_keys: usize) -> Self {
        let keys = DashMapStateStore::default();
        Self { full: Arc::default(), keys, max_keys, overflow: InMemoryState::default() }
    }
}

impl<K: Hash + Eq + Clone> StateStore for Capped<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if self.keys.contains_key(key) || self.keys.len() < self.max_keys {
            return self.keys.measure_and_replace(key, decide);
        }
        self.full.store(true, Ordering::Relaxed);
        self.overflow.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Capped<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.keys.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        ShrinkableKeyedStateStore::shrink_to_fit(&self.keys);
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0).max(u64::from(wait.is_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: Budget = Budget { burst: 2, name: "register", per_minute: 1 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_spent_budget_says_when_to_come_back() {
        let limits = AddressLimits::new(&[REGISTER], 10);
        let client = address("192.0.2.1");
        limits.check("register", client).unwrap();
        limits.check("register", client).unwrap();
        let limited = limits.check("register", client).unwrap_err();
        assert!((1..=60).contains(&limited.retry_after), "{limited:?}");
        assert_eq!(Problem::from(limited).status(), 429);
        assert_eq!(Problem::from(limited).error(), "temporarily_unavailable");
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_an_ipv4_client_its_address() {
        let limits = AddressLimits::new(&[REGISTER], 10);
        for client in ["2001:db8::1", "2001:db8::2", "192.0.2.1", "::ffff:192.0.2.1"] {
            limits.check("register", address(client)).unwrap();
        }
        assert!(limits.check("register", address("2001:db8::3")).is_err());
        assert!(limits.check("register", address("192.0.2.1")).is_err());
        limits.check("register", address("2001:db8:0:1::1")).unwrap();
        limits.check("register", address("192.0.2.2")).unwrap();
    }

    #[test]
    fn a_budget_nobody_defined_is_spent() {
        let limits = AddressLimits::new(&[REGISTER], 10);
        assert!(limits.check("other", address("192.0.2.1")).is_err());
    }

    #[test]
    fn the_number_of_remembered_keys_is_capped() {
        let limiter = Limiter::new(REGISTER, 3);
        let passed = (0..100).filter(|key| limiter.check(key).is_ok()).count();
        assert_eq!(passed, 3 + 2, "three keys of their own, then one budget for all others");
        assert_eq!(limiter.governor.len(), 3);
        limiter.check(&0).unwrap();
    }

    #[test]
    fn what_is_left_is_said_with_every_charge() {
        let limiter = Limiter::new(Budget { burst: 10, name: "calls", per_minute: 60 }, 3);
        let left = |limiter: &Limiter<u8>, key| limiter.charge(&key).unwrap();
        assert_eq!(left(&limiter, 0), Standing { limit: 10, remaining: 9, reset: 1 });
        assert_eq!(left(&limiter, 0), Standing { limit: 10, remaining: 8, reset: 2 });
        let third = NonZeroU32::new(3).unwrap();
        for remaining in [2, 1, 0] {
            assert_eq!(limiter.charge_share(&1, third).unwrap().remaining, remaining);
        }
        assert!(limiter.charge_share(&1, third).unwrap_err().retry_after <= 3);
        let all = NonZeroU32::new(99).unwrap();
        assert_eq!(limiter.charge_share(&2, all).unwrap().remaining, 0, "never more than all");
    }

    #[test]
    fn a_full_limiter_forgets_whose_budget_is_full_again() {
        let fast = Budget { burst: 2, name: "fast", per_minute: u32::MAX };
        let limiter = Limiter::new(fast, 3);
        for key in 0..6 {
            limiter.check(&key).unwrap();
        }
        assert_eq!(limiter.governor.len(), 3);
        *limiter.looked.lock().unwrap() = Instant::now().checked_sub(ROOM).unwrap();
        limiter.check(&6).unwrap();
        assert_eq!(limiter.governor.len(), 1);
    }

    #[test]
    fn a_call_heavier_than_the_burst_never_passes() {
        let limiter = Limiter::new(REGISTER, 3);
        assert!(limiter.check_weighted(&0, NonZeroU32::new(3).unwrap()).is_err());
        limiter.check_weighted(&0, NonZeroU32::new(2).unwrap()).unwrap();
        assert!(limiter.check(&0).is_err());
    }
}
