//! The issuer's keys: kept, fetched again for an unknown key id, by one request at a time and not
//! too often. An older or empty set is ignored, a revoked id never comes back, and what cannot be
//! fetched again is used for a bounded time only.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use keys::{KeyError, VerifyingKey, VerifyingKeys};
use moka::sync::Cache;
use shared::ids::KeyId;
use tokio::sync::Mutex;

use crate::authority::Authority;

/// How many unknown key ids are remembered.
const MOST_UNKNOWN: u64 = 1000;

/// The keys in use.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    current: ArcSwapOption<Held>,
    /// The shortest time between two fetches that callers cause.
    floor: Duration,
    /// The last fetch; locked while one is under way.
    last: Mutex<Option<Fetch>>,
    /// How long a set is used that cannot be fetched again.
    stale: Duration,
    /// Ids that a fetch just failed to find.
    unknown: Cache<KeyId, ()>,
}

/// A set of keys as it was published.
#[derive(Clone, Debug)]
struct Held {
    /// When it was asked for.
    at: Instant,
    /// Grows whenever a key is taken away or is another under its id.
    generation: u64,
    keys: VerifyingKeys,
}

#[derive(Clone, Copy, Debug)]
struct Fetch {
    at: Instant,
    worked: bool,
}

/// A key, with the generation it was found in: what it verified is good for that one only.
#[derive(Clone, Debug)]
pub(crate) struct FoundKey {
    pub(crate) generation: u64,
    pub(crate) key: VerifyingKey,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It cannot be known now.
    Unavailable,
    /// The issuer does not publish it, or it was revoked.
    Unknown,
}

impl IssuerKeys {
    /// No keys yet.
    pub(crate) fn new(floor: Duration, stale: Duration) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            floor,
            last: Mutex::new(None),
            stale,
            unknown: Cache::builder().max_capacity(MOST_UNKNOWN).time_to_live(floor).build(),
        }
    }

    /// The key with this id, fetched if need be.
    pub(crate) async fn find(
        &self,
        authority: &dyn Authority,
        kid: &KeyId,
    ) -> Result<FoundKey, NoKey> {
        if let Some(found) = self.held(kid) {
            return found;
        }
        if self.is_loaded() && self.unknown.contains_key(kid) {
            return Err(NoKey::Unknown);
        }
        let mut last = self.last.lock().await;
        // Whoever held the lock before may have brought it.
        if let Some(found) = self.held(kid) {
            return found;
        }
        if let Some(fetch) = last.filter(|fetch| fetch.at.elapsed() < self.floor) {
            // A fetch that failed says nothing about the key.
            let is_known = fetch.worked && self.is_loaded();
            return Err(if is_known { NoKey::Unknown } else { NoKey::Unavailable });
        }
        if !self.fetch(authority, &mut last).await {
            return Err(NoKey::Unavailable);
        }
        self.held(kid).unwrap_or_else(|| {
            self.unknown.insert(kid.clone(), ());
            Err(NoKey::Unknown)
        })
    }

    /// Fetches the keys regardless of when it last happened; answers whether that worked.
    pub(crate) async fn refresh(&self, authority: &dyn Authority) -> bool {
        let mut last = self.last.lock().await;
        self.fetch(authority, &mut last).await
    }

    /// Never again accepts what this key signed.
    pub(crate) fn revoke(&self, kid: &KeyId) {
        self.current.rcu(|held| {
            let mut next = Held::clone(held.as_ref()?);
            if !next.keys.is_revoked(kid) {
                next.keys.revoke(kid);
                next.generation += 1;
            }
            Some(Arc::new(next))
        });
    }

    /// Whether what was verified in this generation is still good.
    pub(crate) fn is_good(&self, generation: u64, now: Instant) -> bool {
        let current = self.current.load();
        let is_held = |held: &&Arc<Held>| held.generation == generation;
        current.as_ref().filter(is_held).is_some_and(|held| self.is_fresh(held, now))
    }

    /// Whether there is any key to verify with.
    pub(crate) fn is_loaded(&self) -> bool {
        self.current.load().as_ref().is_some_and(|held| self.is_fresh(held, Instant::now()))
    }

    /// How old the set in use is.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.current.load().as_ref().map(|held| held.at.elapsed())
    }

    /// The version of the set in use.
    pub(crate) fn version(&self) -> u64 {
        self.current.load().as_ref().map_or(0, |held| held.keys.version())
    }

    /// The ids of the keys in use, in order.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        let current = self.current.load();
        current.as_ref().map(|held| held.keys.ids().cloned().collect()).unwrap_or_default()
    }

    fn is_fresh(&self, held: &Held, now: Instant) -> bool {
        now.saturating_duration_since(held.at) <= self.stale
    }

    fn held(&self, kid: &KeyId) -> Option<Result<FoundKey, NoKey>> {
        let current = self.current.load();
        let held = current.as_ref().filter(|held| self.is_fresh(held, Instant::now()))?;
        if held.keys.is_revoked(kid) {
            return Some(Err(NoKey::Unknown));
        }
        let found = |key: &VerifyingKey| FoundKey { generation: held.generation, key: key.clone() };
        held.keys.find(kid).map(|key| Ok(found(key)))
    }

    async fn fetch(&self, authority: &dyn Authority, last: &mut Option<Fetch>) -> bool {
        let at = Instant::now();
        *last = Some(Fetch { at, worked: false });
        let fetched = match authority.jwks().await {
            Ok(bytes) => VerifyingKeys::parse(&bytes),
            Err(error) => {
                tracing::warn!(%error, "the issuer's keys could not be fetched");
                return false;
            }
        };
        if let Err(error) = fetched.and_then(|next| self.take(&next, at)) {
            tracing::error!(%error, "a set of issuer keys was ignored");
            return false;
        }
        *last = Some(Fetch { at, worked: true });
        true
    }

    /// Uses a set from now on, unless it is older or empty. A key that is revoked meanwhile stays
    /// revoked.
    fn take(&self, next: &VerifyingKeys, at: Instant) -> Result<(), KeyError> {
        let mut refused = Ok(());
        self.current.rcu(|held| {
            refused = Ok(());
            let Some(held) = held else {
                if next.is_empty() {
                    refused = Err(KeyError::EmptySet);
                    return None;
                }
                return Some(Arc::new(Held { at, generation: 0, keys: next.clone() }));
            };
            let keys = match held.keys.followed_by(next.clone()) {
                Ok(keys) => keys,
                Err(error) => {
                    refused = Err(error);
                    return Some(Arc::clone(held));
                }
            };
            let still = |kid| keys.find(kid).is_some_and(|key| held.keys.find(kid) == Some(key));
            let lost = u64::from(!held.keys.ids().all(still));
            Some(Arc::new(Held { at, generation: held.generation + lost, keys }))
        });
        refused
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering},
    };

    use keys::{KeySet, Purpose};
    use shared::{
        internal::{Cursor, Events, Principal, PrincipalQuery, Usage},
        time::Timestamp,
    };

    use super::*;
    use crate::authority::{Answer, AuthorityError};

    #[derive(Debug, Default)]
    struct Fixed {
        asked: AtomicUsize,
        set: StdMutex<Option<Vec<u8>>>,
    }

    impl Authority for Fixed {
        fn events(&self, _: Option<Cursor>) -> Answer<'_, Events> {
            Box::pin(async { Err(AuthorityError::Unavailable(String::new())) })
        }
        fn jwks(&self) -> Answer<'_, Vec<u8>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let set = self.set.lock().unwrap().clone();
            Box::pin(async { set.ok_or(AuthorityError::Unavailable("down".to_owned())) })
        }
        fn metadata(&self) -> Answer<'_, Vec<u8>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn principal(&self, _: PrincipalQuery) -> Answer<'_, Option<Principal>> {
            Box::pin(async { Ok(None) })
        }
        fn report(&self, _: Usage) -> Answer<'_, ()> {
            Box::pin(async { Ok(()) })
        }
    }

    fn set() -> KeySet {
        KeySet::first(Purpose::Issuer, Timestamp::from_secs(1)).unwrap()
    }

    #[tokio::test]
    async fn an_unknown_key_id_causes_one_fetch_and_no_more() {
        let authority = Fixed::default();
        let first = set();
        *authority.set.lock().unwrap() = Some(first.jwks());
        let keys = IssuerKeys::new(Duration::from_mins(1), Duration::from_hours(1));
        let kid = first.signing().unwrap().id().clone();
        assert!(keys.find(&authority, &kid).await.is_ok());
        for stranger in ["x", "y", "x"] {
            let stranger = KeyId::parse(stranger).unwrap();
            assert_eq!(keys.find(&authority, &stranger).await.unwrap_err(), NoKey::Unknown);
        }
        assert_eq!(authority.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn without_keys_nothing_can_be_known() {
        let authority = Fixed::default();
        let keys = IssuerKeys::new(Duration::from_mins(1), Duration::from_hours(1));
        let kid = KeyId::parse("k").unwrap();
        for _ in 0..2 {
            assert_eq!(keys.find(&authority, &kid).await.unwrap_err(), NoKey::Unavailable);
        }
        assert!(!keys.is_loaded());
    }

    #[tokio::test]
    async fn a_revoked_key_does_not_come_back_and_an_empty_set_is_ignored() {
        let authority = Fixed::default();
        let first = set();
        *authority.set.lock().unwrap() = Some(first.jwks());
        let keys = IssuerKeys::new(Duration::from_millis(1), Duration::from_hours(1));
        let kid = first.signing().unwrap().id().clone();
        assert!(keys.refresh(&authority).await);
        *authority.set.lock().unwrap() = Some(br#"{"keys":[],"version":99}"#.to_vec());
        assert!(!keys.refresh(&authority).await);
        let good = keys.find(&authority, &kid).await.unwrap().generation;
        assert!(keys.is_good(good, Instant::now()));
        keys.revoke(&kid);
        assert!(!keys.is_good(good, Instant::now()));
        *authority.set.lock().unwrap() = Some(first.jwks());
        assert!(keys.refresh(&authority).await);
        assert_eq!(keys.find(&authority, &kid).await.unwrap_err(), NoKey::Unknown);
    }

    #[tokio::test]
    async fn a_fetch_that_failed_makes_no_key_unknown() {
        let authority = Fixed::default();
        *authority.set.lock().unwrap() = Some(set().jwks());
        let keys = IssuerKeys::new(Duration::from_mins(1), Duration::from_hours(1));
        assert!(keys.refresh(&authority).await);
        *authority.set.lock().unwrap() = None;
        assert!(!keys.refresh(&authority).await);
        let kid = KeyId::parse("new").unwrap();
        for _ in 0..2 {
            assert_eq!(keys.find(&authority, &kid).await.unwrap_err(), NoKey::Unavailable);
        }
    }

    #[tokio::test]
    async fn many_callers_with_one_unknown_key_cause_one_fetch() {
        let authority = Fixed::default();
        let first = set();
        *authority.set.lock().unwrap() = Some(first.jwks());
        let keys = IssuerKeys::new(Duration::from_mins(1), Duration::from_hours(1));
        let kid = first.signing().unwrap().id().clone();
        let all = (0..32).map(|_| keys.find(&authority, &kid));
        assert!(futures_util::future::join_all(all).await.iter().all(Result::is_ok));
        assert_eq!(authority.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn keys_that_cannot_be_fetched_again_are_used_for_a_bounded_time() {
        let authority = Fixed::default();
        let first = set();
        *authority.set.lock().unwrap() = Some(first.jwks());
        let keys = IssuerKeys::new(Duration::ZERO, Duration::ZERO);
        assert!(keys.refresh(&authority).await);
        *authority.set.lock().unwrap() = None;
        let kid = first.signing().unwrap().id().clone();
        assert_eq!(keys.find(&authority, &kid).await.unwrap_err(), NoKey::Unavailable);
        assert!(!keys.is_loaded() && !keys.is_good(0, Instant::now()));
    }

    #[tokio::test]
    async fn what_a_key_verified_ends_when_the_key_is_taken_away_or_replaced() {
        let authority = Fixed::default();
        let (first, second) = (set(), set());
        let own = |set: &KeySet| -> serde_json::Value {
            serde_json::from_slice::<serde_json::Value>(&set.jwks()).unwrap()["keys"][0].clone()
        };
        let publish = |keys: &[serde_json::Value]| {
            let set = serde_json::json!({ "keys": keys, "version": 1 });
            *authority.set.lock().unwrap() = Some(set.to_string().into_bytes());
        };
        let keys = IssuerKeys::new(Duration::ZERO, Duration::from_hours(1));
        publish(&[own(&first)]);
        assert!(keys.refresh(&authority).await && keys.is_good(0, Instant::now()));
        publish(&[own(&first), own(&second)]);
        assert!(
            keys.refresh(&authority).await && keys.is_good(0, Instant::now()),
            "another key does no harm"
        );
        let mut stranger = own(&set());
        stranger["kid"] = own(&first)["kid"].clone();
        publish(&[stranger, own(&second)]);
        assert!(
            keys.refresh(&authority).await && !keys.is_good(0, Instant::now()),
            "another key under its id"
        );
        assert!(keys.is_good(1, Instant::now()));
        publish(&[own(&second)]);
        assert!(
            keys.refresh(&authority).await && !keys.is_good(1, Instant::now()),
            "no key under its id"
        );
    }
}
