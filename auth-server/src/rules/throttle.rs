//! How long a bucket of wrong passwords makes the next one wait: a capped delay, never a lockout.

use std::time::Duration;

use shared::time::Timestamp;

/// The terms of a kind of bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// No delay is longer.
    pub(crate) cap: Duration,
    /// So many wrong passwords cost nothing.
    pub(crate) free: u32,
}

/// Wrong passwords of one bucket, which are forgiven one a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    count: u32,
    last: Timestamp,
}

/// How long it takes until one wrong password is forgiven.
const FORGIVEN_EACH: Duration = Duration::from_mins(1);
/// More than so many beyond the free ones are not counted: a bucket recovers.
const MOST_BEYOND: u32 = 10;

impl Bucket {
    /// How long the next attempt has to wait; zero if it may come now.
    pub(crate) fn wait(&self, terms: Terms, now: Timestamp) -> Duration {
        let Some(beyond) = self.count(now).checked_sub(terms.free) else { return Duration::ZERO };
        let delay = Duration::from_secs(1 << beyond.min(MOST_BEYOND)).min(terms.cap);
        self.last.plus(delay).since(now).min(terms.cap)
    }

    /// Counts an attempt, as if it were wrong.
    pub(crate) fn charge(&mut self, terms: Terms, now: Timestamp) {
        let count = self.count(now).saturating_add(1).min(terms.free.saturating_add(MOST_BEYOND));
        *self = Self { count, last: now };
    }

    /// Takes an attempt back, because it was right or was not looked at.
    pub(crate) fn forgive(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// Whether nothing is left to remember.
    pub(crate) fn is_empty(&self, now: Timestamp) -> bool {
        self.count(now) == 0
    }

    fn count(&self, now: Timestamp) -> u32 {
        let forgiven = now.since(self.last).as_secs() / FORGIVEN_EACH.as_secs();
        self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms { cap: Duration::from_secs(16), free: 5 };
    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn after(wrong: u32) -> Bucket {
        let mut bucket = Bucket::default();
        (0..wrong).for_each(|_| bucket.charge(TERMS, NOW));
        bucket
    }

    #[test]
    fn the_delay_doubles_up_to_its_cap() {
        for (wrong, seconds) in [(0, 0), (4, 0), (5, 1), (6, 2), (8, 8), (9, 16), (1000, 16)] {
            let wait = after(wrong).wait(TERMS, NOW);
            assert_eq!(wait, Duration::from_secs(seconds), "{wrong}");
        }
    }

    #[test]
    fn wrong_passwords_are_forgiven_one_a_minute() {
        let later = |minutes| NOW.plus(FORGIVEN_EACH * minutes);
        assert!(!after(1000).is_empty(later(14)));
        assert!(after(1000).is_empty(later(15)));
        let mut forgiven = after(5);
        forgiven.forgive();
        assert_eq!(forgiven.wait(TERMS, NOW), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn nobody_waits_longer_than_the_cap_whatever_others_did(
            pauses in prop::collection::vec(0_u64..200_000, 0..200),
        ) {
            let (mut bucket, mut now) = (Bucket::default(), NOW);
            for pause in pauses {
                now = now.plus(Duration::from_millis(pause));
                if bucket.wait(TERMS, now).is_zero() {
                    bucket.charge(TERMS, now);
                }
                let wait = bucket.wait(TERMS, now);
                prop_assert!(wait <= TERMS.cap);
                prop_assert_eq!(bucket.wait(TERMS, now.plus(wait)), Duration::ZERO);
            }
        }
    }
}
