//! The issuer's keys: kept, fetched again for an unknown key id, by one request at a time and not
//! too often. An older or empty set is ignored, and a revoked id never comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use keys::{VerifyingKey, VerifyingKeys};
use moka::sync::Cache;
use shared::ids::KeyId;
use tokio::sync::Mutex;

use crate::authority::Authority;

/// How many unknown key ids are remembered.
const MOST_UNKNOWN: u64 = 1000;

/// The keys in use.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    current: ArcSwapOption<VerifyingKeys>,
    /// The shortest time between two fetches that callers cause.
    floor: Duration,
    /// When the last fetch began; held while one is under way.
    last: Mutex<Option<Instant>>,
    /// Ids that a fetch just failed to find.
    unknown: Cache<KeyId, ()>,
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
    pub(crate) fn new(floor: Duration) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            floor,
            last: Mutex::new(None),
            unknown: Cache::builder().max_capacity(MOST_UNKNOWN).time_to_live(floor).build(),
        }
    }

    /// The key with this id, fetched if need be.
    pub(crate) async fn find(
        &self,
        authority: &dyn Authority,
        kid: &KeyId,
    ) -> Result<VerifyingKey, NoKey> {
        if let Some(found) = self.held(kid) {
            return found;
        }
        if self.unknown.contains_key(kid) {
            return Err(NoKey::Unknown);
        }
        let mut last = self.last.lock().await;
        // Whoever held the lock before may have brought it.
        if let Some(found) = self.held(kid) {
            return found;
        }
        if last.is_some_and(|at| at.elapsed() < self.floor) {
            return Err(if self.is_loaded() { NoKey::Unknown } else { NoKey::Unavailable });
        }
        *last = Some(Instant::now());
        if !self.fetch(authority).await {
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
        *last = Some(Instant::now());
        self.fetch(authority).await
    }

    /// Never again accepts what this key signed.
    pub(crate) fn revoke(&self, kid: &KeyId) {
        self.current.rcu(|held| {
            let mut next = held.as_ref().map(|keys| VerifyingKeys::clone(keys))?;
            next.revoke(kid);
            Some(Arc::new(next))
        });
    }

    /// Whether tokens signed with this key are still good.
    pub(crate) fn holds(&self, kid: &KeyId) -> bool {
        self.current.load().as_ref().is_some_and(|keys| keys.find(kid).is_some())
    }

    /// Whether there is any key to verify with.
    pub(crate) fn is_loaded(&self) -> bool {
        self.current.load().is_some()
    }

    /// The version of the set in use.
    pub(crate) fn version(&self) -> u64 {
        self.current.load().as_ref().map_or(0, |keys| keys.version())
    }

    fn held(&self, kid: &KeyId) -> Option<Result<VerifyingKey, NoKey>> {
        let current = self.current.load();
        let keys = current.as_ref()?;
        if keys.is_revoked(kid) {
            return Some(Err(NoKey::Unknown));
        }
        keys.find(kid).map(|key| Ok(key.clone()))
    }

    async fn fetch(&self, authority: &dyn Authority) -> bool {
        let fetched = match authority.jwks().await {
            Ok(bytes) => VerifyingKeys::parse(&bytes),
            Err(error) => {
                tracing::warn!(%error, "the issuer's keys could not be fetched");
                return false;
            }
        };
        let next = fetched.and_then(|next| match self.current.load().as_ref() {
            Some(held) => held.followed_by(next),
            None if next.is_empty() => Err(keys::KeyError::EmptySet),
            None => Ok(next),
        });
        match next {
            Ok(next) => {
                self.current.store(Some(Arc::new(next)));
                true
            }
            Err(error) => {
                tracing::error!(%error, "a set of issuer keys was ignored");
                self.is_loaded()
            }
        }
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
        let keys = IssuerKeys::new(Duration::from_mins(1));
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
        let keys = IssuerKeys::new(Duration::from_mins(1));
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
        let keys = IssuerKeys::new(Duration::from_millis(1));
        let kid = first.signing().unwrap().id().clone();
        assert!(keys.refresh(&authority).await && keys.holds(&kid));
        *authority.set.lock().unwrap() = Some(br#"{"keys":[],"version":99}"#.to_vec());
        assert!(keys.refresh(&authority).await && keys.holds(&kid));
        keys.revoke(&kid);
        *authority.set.lock().unwrap() = Some(first.jwks());
        assert!(keys.refresh(&authority).await);
        assert!(!keys.holds(&kid));
        assert_eq!(keys.find(&authority, &kid).await.unwrap_err(), NoKey::Unknown);
    }
}
