//! How many calls are at work at this moment, and how one gives way to the others: calls that are
//! decided one after the other go out together, and their readers are woken once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::yield_now;

/// The calls at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd(Arc<AtomicUsize>);

/// A call's place among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Crowd);

impl Crowd {
    /// Takes a place.
    pub(crate) fn enter(&self) -> Place {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// Lets whatever else is ready go first; a call that is alone goes on at once.
    pub(crate) async fn give_way(&self) {
        if self.0.load(Ordering::Relaxed) > 1 {
            yield_now().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_call_gives_way_only_where_another_one_is_at_work() {
        let crowd = Crowd::default();
        let _own = crowd.enter();
        assert!(crowd.give_way().now_or_never().is_some(), "it is alone");
        let other = crowd.enter();
        assert!(crowd.give_way().now_or_never().is_none(), "another one is at work");
        drop(other);
        assert!(crowd.give_way().now_or_never().is_some(), "it is alone again");
    }
}
