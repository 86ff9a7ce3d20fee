//! Credentials that came lately, each in the one place that its digest gives it: found again for
//! less than in a cache that must know which ones are used least.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use super::{Admitted, Digest32, LONGEST};

/// How many credentials there is a place for.
const PLACES: usize = 1024;

/// The credentials.
#[derive(Default)]
pub(super) struct Lately {
    /// Made for the first one.
    places: OnceLock<Box<[Mutex<Option<Held>>]>>,
}

struct Held {
    admitted: Arc<Admitted>,
    /// Whether it was asked for since another one wanted its place.
    is_wanted: bool,
}

impl Lately {
    /// The entry of this credential.
    pub(super) fn find(&self, digest: &Digest32, now: Instant) -> Option<Arc<Admitted>> {
        let mut place = place(self.places.get()?, digest)?;
        let held = place.as_mut().filter(|held| held.admitted.digest == *digest)?;
        if now.saturating_duration_since(held.admitted.kept) >= LONGEST {
            return None;
        }
        held.is_wanted = true;
        Some(Arc::clone(&held.admitted))
    }

    /// Keeps an entry, unless its place belongs to one that is asked for.
    pub(super) fn keep(&self, admitted: &Arc<Admitted>) {
        let places = self.places.get_or_init(|| (0..PLACES).map(|_| Mutex::default()).collect());
        let Some(mut place) = place(places, &admitted.digest) else { return };
        if let Some(other) = place.as_mut().filter(|held| held.admitted.digest != admitted.digest)
            && std::mem::take(&mut other.is_wanted)
        {
            return;
        }
        *place = Some(Held { admitted: Arc::clone(admitted), is_wanted: false });
    }

    /// Forgets a credential.
    pub(super) fn forget(&self, digest: &Digest32) {
        let place = self.places.get().and_then(|places| place(places, digest));
        if let Some(mut place) = place
            && place.as_ref().is_some_and(|held| held.admitted.digest == *digest)
        {
            *place = None;
        }
    }
}

impl fmt::Debug for Lately {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lately").finish_non_exhaustive()
    }
}

fn place<'p>(
    places: &'p [Mutex<Option<Held>>],
    digest: &Digest32,
) -> Option<MutexGuard<'p, Option<Held>>> {
    let at = usize::from(u16::from_be_bytes(*digest.first_chunk()?)) % PLACES;
    Some(places.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        claims::{ClaimsCache, digest},
        rules::caller::tests::caller,
    };

    fn admitted(number: usize) -> Arc<Admitted> {
        let digest = digest(&number.to_string());
        ClaimsCache::new().keep(caller("contacts:read", &["a"]), digest, 0)
    }

    #[test]
    fn a_credential_is_known_again_until_it_is_forgotten_or_must_be_verified_anew() {
        let (lately, admitted) = (Lately::default(), admitted(1));
        let (digest, now) = (admitted.digest, admitted.kept);
        assert!(lately.find(&digest, now).is_none());
        lately.keep(&admitted);
        assert!(Arc::ptr_eq(&lately.find(&digest, now).unwrap(), &admitted));
        for at in 0..digest.len() {
            let mut other = digest;
            other[at] ^= 1;
            assert!(lately.find(&other, now).is_none(), "{at}");
            lately.forget(&other);
        }
        let last = now + LONGEST;
        let before = last.checked_sub(Duration::from_nanos(1)).unwrap();
        assert!(lately.find(&digest, before).is_some());
        assert!(lately.find(&digest, last).is_none());
        lately.forget(&digest);
        assert!(lately.find(&digest, now).is_none());
    }

    #[test]
    fn an_entry_that_is_replaced_is_not_found_again() {
        let cache = ClaimsCache::new();
        let keep =
            |generation| cache.keep(caller("contacts:read", &["a"]), digest("token"), generation);
        let first = keep(1);
        let find = || cache.find(&first.digest, first.kept).unwrap().generation;
        assert_eq!((find(), find()), (1, 1));
        keep(2);
        assert_eq!((find(), find()), (2, 2));
    }

    #[test]
    fn credentials_are_kept_to_a_bound_and_one_that_is_asked_for_stays() {
        let (lately, first) = (Lately::default(), admitted(0));
        lately.keep(&first);
        let all: Vec<_> = (1..4 * PLACES).map(admitted).collect();
        for one in &all {
            assert!(lately.find(&first.digest, first.kept).is_some());
            lately.keep(one);
        }
        assert_eq!(lately.places.get().unwrap().len(), PLACES);
        let known = |one: &&Arc<Admitted>| lately.find(&one.digest, one.kept).is_some();
        let known = all.iter().filter(known).count();
        assert!((PLACES / 2..PLACES).contains(&known), "{known}");
    }
}
