//! Time: a timestamp, and the clock that is the only reader of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A moment by its milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A moment by its whole seconds since the epoch, as in JWT claims.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment later by the span.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment earlier by the span, not before the epoch.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where the time comes from: the system, or a test's hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// A clock that moves only when it is told to; for tests.
    Manual(Arc<AtomicU64>),
    /// The machine's clock.
    System,
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(start.millis())))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
            Self::System => system_now(),
        }
    }

    /// The present moment in nanoseconds since the epoch, for what is finer than a [`Timestamp`].
    pub fn nanos(&self) -> u64 {
        match self {
            Self::Manual(_) => self.now().0.saturating_mul(1_000_000),
            Self::System => u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Moves a manual clock forward; a system clock goes by itself.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(at) = self {
            let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            at.fetch_add(span, Ordering::SeqCst);
        }
    }
}

fn system_now() -> Timestamp {
    Timestamp(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
