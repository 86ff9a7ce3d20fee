//! Spares a backend that fails: after several failures in a row nothing is sent for a while, and
//! then one request alone finds out whether it works again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often a pause is doubled at most while probes fail.
const MOST_DOUBLINGS: u32 = 3;

/// When a backend is spared, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BreakerLimits {
    /// How many failures in a row; zero: it never is.
    pub(crate) failures: u32,
    /// How long at first.
    pub(crate) pause: Duration,
}

/// Whether a backend is spared.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: BreakerLimits,
    /// Nothing failed since the last success: no lock is needed.
    sound: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<Open>,
    why: &'static str,
}

#[derive(Debug)]
struct Open {
    doublings: u32,
    probing: bool,
    until: Instant,
}

/// How a backend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It is asked, and its last requests failed, or none did.
    Asked { failures: u32 },
    /// It is not asked before that time has passed.
    Spared { left: Duration, why: &'static str },
    /// One request is finding out.
    Probed { why: &'static str },
}

/// A backend is spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spared {
    pub(crate) left: Duration,
    pub(crate) why: &'static str,
}

/// A request that was let through; what becomes of it is to be said.
#[derive(Debug)]
pub(crate) struct Attempt<'b> {
    breaker: &'b Breaker,
    is_probe: bool,
}

impl Breaker {
    /// Nothing has failed yet.
    pub(crate) fn new(limits: BreakerLimits) -> Self {
        Self { limits, sound: AtomicBool::new(true), state: Mutex::default() }
    }

    /// Lets a request through, or says when to come back.
    pub(crate) fn admit(&self, now: Instant) -> Result<Attempt<'_>, Spared> {
        let mut is_probe = false;
        if !self.sound.load(Ordering::Acquire) {
            let mut state = self.lock();
            let why = state.why;
            if let Some(open) = &mut state.open {
                if now < open.until {
                    return Err(Spared { left: open.until - now, why });
                }
                if open.probing {
                    return Err(Spared { left: Duration::from_secs(1), why });
                }
                open.probing = true;
                is_probe = true;
            }
        }
        Ok(Attempt { breaker: self, is_probe })
    }

    /// How the backend stands.
    pub(crate) fn health(&self, now: Instant) -> Health {
        let state = self.lock();
        let why = state.why;
        match &state.open {
            None => Health::Asked { failures: state.failures },
            Some(open) if now < open.until => Health::Spared { left: open.until - now, why },
            Some(_) => Health::Probed { why },
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The backend answered.
    pub(crate) fn worked(mut self) {
        let probed = std::mem::take(&mut self.is_probe);
        if self.breaker.sound.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.breaker.lock();
        // What began before the pause says nothing about the time after it.
        if state.open.is_none() || probed {
            *state = State::default();
            self.breaker.sound.store(true, Ordering::Release);
        }
    }

    /// The backend did not answer, or only that it cannot.
    pub(crate) fn failed(mut self, why: &'static str, now: Instant) {
        let probed = std::mem::take(&mut self.is_probe);
        let limits = self.breaker.limits;
        if limits.failures == 0 {
            return;
        }
        let mut state = self.breaker.lock();
        self.breaker.sound.store(false, Ordering::Release);
        if let Some(open) = &mut state.open {
            if probed {
                open.doublings = (open.doublings + 1).min(MOST_DOUBLINGS);
                open.until = now + limits.pause * (1 << open.doublings);
                open.probing = false;
                state.why = why;
            }
            return;
        }
        state.failures = state.failures.saturating_add(1);
        state.why = why;
        if state.failures >= limits.failures {
            state.open = Some(Open { doublings: 0, probing: false, until: now + limits.pause });
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // Given up on without a verdict: the next request may find out.
        if self.is_probe
            && let Some(open) = &mut self.breaker.lock().open
        {
            open.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn breaker() -> Breaker {
        Breaker::new(BreakerLimits { failures: 3, pause: PAUSE })
    }

    fn fail(breaker: &Breaker, now: Instant) {
        breaker.admit(now).unwrap().failed("it did not answer", now);
    }

    #[test]
    fn failures_in_a_row_spare_a_backend_and_one_success_forgets_them() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, now);
        fail(&breaker, now);
        assert_eq!(breaker.health(now), Health::Asked { failures: 2 });
        breaker.admit(now).unwrap().worked();
        (0..2).for_each(|_| fail(&breaker, now));
        assert!(breaker.admit(now).is_ok());
        fail(&breaker, now);
        let spared = breaker.admit(now + Duration::from_secs(2)).unwrap_err();
        assert_eq!(spared, Spared { left: Duration::from_secs(3), why: "it did not answer" });
    }

    #[test]
    fn after_the_pause_one_request_alone_finds_out() {
        let (breaker, now) = (breaker(), Instant::now());
        (0..3).for_each(|_| fail(&breaker, now));
        let later = now + PAUSE;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err(), "the others wait");
        assert_eq!(breaker.health(later), Health::Probed { why: "it did not answer" });
        probe.failed("it still does not", later);
        let spared = breaker.admit(later).unwrap_err();
        assert_eq!(spared, Spared { left: PAUSE * 2, why: "it still does not" });
        let last = later + PAUSE * 2;
        breaker.admit(last).unwrap().worked();
        assert_eq!(breaker.health(last), Health::Asked { failures: 0 });
        assert!(breaker.admit(last).is_ok() && breaker.admit(last).is_ok());
    }

    #[test]
    fn a_probe_that_nobody_waits_for_any_longer_leaves_its_place_to_the_next() {
        let (breaker, now) = (breaker(), Instant::now());
        (0..3).for_each(|_| fail(&breaker, now));
        drop(breaker.admit(now + PAUSE).unwrap());
        assert!(breaker.admit(now + PAUSE).is_ok());
    }

    #[test]
    fn what_began_before_the_pause_changes_nothing() {
        let (breaker, now) = (breaker(), Instant::now());
        let (slow, other) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
        (0..3).for_each(|_| fail(&breaker, now));
        slow.worked();
        other.failed("late", now);
        let spared = breaker.admit(now).unwrap_err();
        assert_eq!(spared, Spared { left: PAUSE, why: "it did not answer" });
    }

    #[test]
    fn without_a_number_of_failures_no_backend_is_spared() {
        let breaker = Breaker::new(BreakerLimits { failures: 0, pause: PAUSE });
        let now = Instant::now();
        (0..100).for_each(|_| fail(&breaker, now));
        assert!(breaker.admit(now).is_ok());
    }
}
