//! What a gateway has taken of one key's shared budget and not yet spent, so that a call does not
//! need a round trip.
//!
//! A batch grows with the demand, and what is not spent within its life is lost: a gateway never
//! holds back more than a twentieth of a second's rate.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use web::limits::{Budget, Limited, Standing};

use super::bank::Charged;

/// How long a batch may be spent.
const LIFE: Duration = Duration::from_secs(1);

/// The largest batch of a budget: a twentieth of a second, and little of the burst.
pub(super) fn largest_batch(budget: Budget) -> u32 {
    (budget.per_minute / 60 / 20).min(budget.burst / 64).max(1)
}

/// One key's lease.
#[derive(Debug)]
pub(super) struct Lease {
    /// Held by whoever asks Redis.
    pub(super) asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    batch: u32,
    /// Whether the next batch is being fetched already.
    ahead: bool,
    /// Requests that may be made without asking.
    left: u32,
    /// Until when nobody is given one.
    refused_until: Option<Instant>,
    /// What Redis had left for all when it was last asked.
    shared: u32,
    since: Instant,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Redis must be asked.
    Empty,
    /// It may go on; `is_low`: the next batch should be fetched meanwhile, by this caller.
    One {
        is_low: bool,
        standing: Standing,
    },
    Refused(Limited),
}

impl Lease {
    pub(super) fn new(now: Instant) -> Self {
        let state =
            State { ahead: false, batch: 0, left: 0, refused_until: None, shared: 0, since: now };
        Self { asking: tokio::sync::Mutex::new(()), state: Mutex::new(state) }
    }

    /// Spends one request of the lease.
    pub(super) fn take(&self, budget: Budget, now: Instant) -> Taken {
        let mut state = self.lock();
        if let Some(until) = state.refused_until {
            if now < until {
                let wait = until - now;
                let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                return Taken::Refused(Limited { budget: budget.name, retry_after });
            }
            state.refused_until = None;
        }
        if state.left == 0 || now.duration_since(state.since) > LIFE {
            state.left = 0;
            return Taken::Empty;
        }
        state.left -= 1;
        let is_low = state.batch >= 4 && state.left <= state.batch / 2 && !state.ahead;
        state.ahead |= is_low;
        let remaining = state.shared.saturating_add(state.left);
        Taken::One { is_low, standing: budget.standing(remaining) }
    }

    /// How many to ask for: twice as many as before if those went fast, else as many as were
    /// spent.
    pub(super) fn wanted(&self, most: u32, now: Instant) -> u32 {
        let state = self.lock();
        let spent = state.batch.saturating_sub(state.left);
        let fast = now.duration_since(state.since) < LIFE / 2;
        let wanted = if fast { state.batch.saturating_mul(2) } else { spent };
        wanted.clamp(1, most)
    }

    /// Notes what Redis gave.
    pub(super) fn put(&self, charged: Charged, now: Instant) {
        let mut state = self.lock();
        state.ahead = false;
        if now.duration_since(state.since) > LIFE {
            state.left = 0;
        }
        state.left = state.left.saturating_add(charged.taken);
        state.batch = state.left;
        state.shared = charged.left;
        state.since = now;
        if charged.taken == 0 && state.left == 0 {
            state.refused_until = Some(now + charged.wait);
        }
    }

    /// Redis could not be asked.
    pub(super) fn give_up(&self) {
        self.lock().ahead = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { burst: 10_000, name: "workspace", per_minute: 60_000 };

    fn charged(taken: u32, left: u32) -> Charged {
        Charged { left, taken, wait: Duration::from_millis(1500) }
    }

    fn takes(lease: &Lease, now: Instant) -> bool {
        matches!(lease.take(BUDGET, now), Taken::One { .. })
    }

    #[test]
    fn a_small_budget_is_never_held_back() {
        for (per_minute, burst, most) in
            [(600, 600, 1), (60_000, 10_000, 50), (60_000, 3, 1), (1_200_000, 100_000, 1000)]
        {
            let budget = Budget { burst, name: "workspace", per_minute };
            assert_eq!(largest_batch(budget), most, "{per_minute} {burst}");
        }
    }

    #[test]
    fn batches_grow_with_the_demand_and_shrink_with_it() {
        let (lease, now) = (Lease::new(Instant::now()), Instant::now());
        let mut sizes = Vec::new();
        for _ in 0..6 {
            assert_eq!(lease.take(BUDGET, now), Taken::Empty);
            let wanted = lease.wanted(20, now);
            sizes.push(wanted);
            lease.put(charged(wanted, 9000), now);
            (0..wanted).for_each(|_| assert!(takes(&lease, now)));
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 20]);
        lease.put(charged(20, 9000), now);
        assert!(takes(&lease, now));
        let later = now + LIFE + Duration::from_millis(1);
        assert_eq!(lease.take(BUDGET, later), Taken::Empty, "what was not spent is lost");
        lease.put(charged(1, 9000), later);
        assert!(takes(&lease, later));
        assert_eq!(lease.wanted(20, later + LIFE), 1, "as many as were spent");
    }

    #[test]
    fn one_caller_fetches_the_next_batch_before_this_one_ends() {
        let (lease, now) = (Lease::new(Instant::now()), Instant::now());
        lease.put(charged(8, 100), now);
        let low = |lease: &Lease| match lease.take(BUDGET, now) {
            Taken::One { is_low, standing } => (is_low, standing.remaining),
            other => panic!("{other:?}"),
        };
        let seen: Vec<_> = (0..6).map(|_| low(&lease)).collect();
        assert_eq!(
            seen,
            [(false, 107), (false, 106), (false, 105), (true, 104), (false, 103), (false, 102)]
        );
    }

    #[test]
    fn who_was_refused_is_not_asked_about_again_before_the_time() {
        let (lease, now) = (Lease::new(Instant::now()), Instant::now());
        lease.put(charged(0, 0), now);
        let refused = Taken::Refused(Limited { budget: "workspace", retry_after: 2 });
        assert_eq!(lease.take(BUDGET, now), refused);
        assert_eq!(lease.take(BUDGET, now + Duration::from_millis(1500)), Taken::Empty);
    }
}
