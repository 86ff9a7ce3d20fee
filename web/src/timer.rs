//! A timer for what is waited for often and seldom long: it is set again only when it goes off
//! too early, so that most waits cost no place in the runtime's list of timers.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for many waits, one after the other.
#[derive(Debug)]
pub struct LazyTimer {
    /// When it is set to go off: later than due is never, earlier is looked at again.
    armed: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl LazyTimer {
    /// A timer whose first wait is likely to be due then.
    #[must_use]
    pub fn new(due: Instant) -> Self {
        Self { armed: due, sleep: Box::pin(sleep_until(due)) }
    }

    /// Waits until then; may be asked for another time at each poll.
    pub fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.armed > due {
                self.arm(due);
            }
            ready!(self.sleep.as_mut().poll(cx));
            if self.armed >= due {
                return Poll::Ready(());
            }
            self.arm(due);
        }
    }

    fn arm(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.armed = at;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn no_wait_ends_before_it_is_due_whatever_was_waited_for_before() {
        let start = Instant::now();
        let mut timer = LazyTimer::new(start + Duration::from_millis(5));
        // Later than it was made for, the same, past already, and later again.
        for due in [8, 8, 3, 20].map(|due| start + Duration::from_millis(due)) {
            poll_fn(|cx| timer.poll_due(due, cx)).await;
            assert!(Instant::now() >= due);
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_due_sooner_than_the_timer_was_set_for_does_not_wait_for_it() {
        let mut timer = LazyTimer::new(Instant::now() + Duration::from_hours(1));
        let soon = Instant::now() + Duration::from_millis(5);
        let waited = poll_fn(|cx| timer.poll_due(soon, cx));
        assert!(timeout(Duration::from_mins(1), waited).await.is_ok());
    }
}
