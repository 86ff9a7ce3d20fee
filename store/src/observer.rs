//! Who is told how long the store takes.

use std::{
    fmt::{self, Debug},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Is told the name of what was asked, how long it took, and whether it was done.
pub type Observer = Arc<dyn Fn(&'static str, Duration, bool) + Send + Sync>;

/// The observer of a store, once there is one.
#[derive(Default)]
pub(crate) struct Observed(OnceLock<Observer>);

impl Observed {
    /// The first observer stays.
    pub(crate) fn by(&self, observer: Observer) {
        let _kept = self.0.set(observer);
    }

    /// Tells of what began then.
    pub(crate) fn tell(&self, name: &'static str, began: Instant, done: bool) {
        if let Some(observer) = self.0.get() {
            observer(name, began.elapsed(), done);
        }
    }
}

impl Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observed({})", self.0.get().is_some())
    }
}
