//! How fast a key set becomes known, and how long its keys must therefore stay in a state.

use std::time::Duration;

use crate::lifecycle::MAX_SKEW;

/// The `Cache-Control` of a published set at the usual [`Pace`].
pub const JWKS_CACHE_CONTROL: &str = "public, max-age=300, stale-while-revalidate=300";

/// How fast a change of a key set reaches everybody who verifies or signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a published set may be cached.
    pub max_age: Duration,
    /// How far two machines' clocks may be apart.
    pub skew: Duration,
    /// How long a cached set may be served while a newer one is fetched.
    pub stale: Duration,
    /// How old the view of a key set may be that somebody signs with.
    pub view: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            max_age: Duration::from_mins(5),
            skew: MAX_SKEW,
            stale: Duration::from_mins(5),
            view: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// The `Cache-Control` of a published set; dwell times follow from the same numbers.
    pub fn cache_control(&self) -> String {
        let (max_age, stale) = (self.max_age.as_secs(), self.stale.as_secs());
        format!("public, max-age={max_age}, stale-while-revalidate={stale}")
    }

    /// How often whoever signs looks at the store: two looks may fail before the view is too old.
    pub fn refresh(&self) -> Duration {
        self.view / 3
    }

    /// The dwell times of keys whose tokens or MACs live for `longest` at most.
    pub fn dwell(&self, longest: Duration) -> Dwell {
        let margin = self.skew.saturating_add(self.view);
        Dwell {
            pending: self.max_age.saturating_add(self.stale).saturating_add(margin),
            retiring: longest.saturating_add(margin),
        }
    }
}

/// How long a key must have been in a state before it may leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dwell {
    /// PENDING: until every verifier holds the key.
    pub pending: Duration,
    /// RETIRING: until nothing it signed is still valid.
    pub retiring: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dwell_times_cover_caches_views_skew_and_the_longest_token() {
        let pace = Pace::default();
        let dwell = pace.dwell(Duration::from_mins(5));
        assert_eq!(dwell.pending, Duration::from_mins(11));
        assert_eq!(dwell.retiring, Duration::from_mins(6));
        assert_eq!(pace.cache_control(), JWKS_CACHE_CONTROL);
        assert!(pace.refresh() * 3 <= pace.view);
    }
}
