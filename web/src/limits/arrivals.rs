//! What a limiter remembers of each key: one number, found and decided about under one short lock.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hash, Hasher},
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::{StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::StateStore,
};
use hashbrown::HashTable;

/// What a key is looked up by: the key, or what stands for it and costs less to make. Whatever
/// stands for one key hashes alike.
pub trait Lookup<K>: Hash {
    /// Whether it stands for the key.
    fn is(&self, key: &K) -> bool;
    /// The key, to keep.
    fn key(&self) -> K;
}

impl<K: Clone + Eq + Hash> Lookup<K> for K {
    fn is(&self, key: &K) -> bool {
        self == key
    }

    fn key(&self) -> K {
        self.clone()
    }
}

/// The keys, in parts that are locked one by one.
#[derive(Debug)]
pub(super) struct Arrivals<K> {
    count: AtomicUsize,
    hasher: RandomState,
    most: usize,
    /// Of all keys there is no room for.
    overflow: Mutex<Arrival>,
    parts: [Part<K>; PARTS],
}

/// When the next request of a key would be due if they came at the steady rate, in nanoseconds
/// since the limiter began; 0: none has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival(Cell<u64>);

/// How often requests may come, and how many at once.
#[derive(Debug)]
pub(super) struct Rate {
    governor: RateLimiter<Arrival, InKey, Handed, StateInformationMiddleware>,
    /// Between two requests at the steady rate, in nanoseconds.
    step: u64,
}

const PARTS: usize = 16;

/// Alone in its cache line, so that threads with different keys leave each other alone.
#[derive(Debug)]
#[repr(align(64))]
struct Part<K>(Mutex<HashTable<Held<K>>>);

#[derive(Debug)]
struct Held<K> {
    arrival: Arrival,
    hash: u64,
    key: K,
}

impl<K> Arrivals<K> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            hasher: RandomState::default(),
            most,
            overflow: Mutex::default(),
            parts: std::array::from_fn(|_| Part(Mutex::default())),
        }
    }

    /// Decides about a key. A new one for which there is no room shares one arrival with others of
    /// its kind; then the answer says so.
    pub(super) fn with<T>(
        &self,
        key: &impl Lookup<K>,
        decide: impl FnOnce(&Arrival) -> T,
    ) -> (T, bool) {
        let hash = self.hasher.hash_one(key);
        let Some(Part(part)) = self.parts.get(part_of(hash)) else {
            return (decide(&lock(&self.overflow)), false);
        };
        let mut part = lock(part);
        if let Some(held) = part.find(hash, |held| held.hash == hash && key.is(&held.key)) {
            return (decide(&held.arrival), true);
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.count.fetch_sub(1, Ordering::Relaxed);
            drop(part);
            return (decide(&lock(&self.overflow)), false);
        }
        let arrival = Arrival::default();
        let outcome = decide(&arrival);
        if arrival == Arrival::default() {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return (outcome, true);
        }
        part.insert_unique(hash, Held { arrival, hash, key: key.key() }, |held| held.hash);
        (outcome, true)
    }

    /// Forgets the keys whose next request was due by then.
    pub(super) fn forget_until(&self, moment: u64) {
        for Part(part) in &self.parts {
            let mut part = lock(part);
            let before = part.len();
            part.retain(|held| held.arrival.0.get() > moment);
            self.count.fetch_sub(before - part.len(), Ordering::Relaxed);
        }
    }

    /// Gives back memory that is not needed.
    pub(super) fn shrink(&self) {
        for Part(part) in &self.parts {
            lock(part).shrink_to_fit(|held| held.hash);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Rate {
    pub(super) fn new(per_minute: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        let step = u64::try_from(quota.replenish_interval().as_nanos()).unwrap_or(u64::MAX);
        MOMENT.set(0);
        Self { governor: RateLimiter::new(quota, InKey, Handed), step: step.max(1) }
    }

    /// Charges a request of a weight that came at a moment: what is left, or how long to wait;
    /// nothing for one that never passes.
    pub(super) fn check(
        &self,
        arrival: &Arrival,
        weight: NonZeroU32,
        moment: u64,
    ) -> Option<Result<StateSnapshot, Duration>> {
        MOMENT.set(moment);
        let outcome = self.governor.check_key_n(arrival, weight).ok()?;
        Some(outcome.map_err(|refusal| refusal.wait_time_from(Nanos::new(moment))))
    }

    /// The latest arrival of a key whose budget is full at a moment.
    pub(super) fn full_before(&self, moment: u64) -> u64 {
        moment.saturating_sub(self.step)
    }
}

thread_local! {
    /// When the request came that this thread decides about.
    static MOMENT: Cell<u64> = const { Cell::new(0) };
}

/// A clock that is told the time, so that all charges of a request are made at one moment, which
/// is read once.
#[derive(Debug)]
struct Handed;

impl Clock for Handed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(MOMENT.get())
    }
}

/// The state is in the key, which was found before.
#[derive(Debug)]
struct InKey;

impl StateStore for InKey {
    type Key = Arrival;

    fn measure_and_replace<T, F, E>(&self, key: &Arrival, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let held = Some(key.0.get()).filter(|held| *held != 0);
        let (outcome, next) = decide(held.map(Nanos::new))?;
        key.0.set(next.as_u64());
        Ok(outcome)
    }
}

impl Hash for Arrival {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.0.get().hash(to);
    }
}

/// By bits that the tables do not go by.
fn part_of(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or_default() % PARTS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
