//! Wakes that say nothing new: taking a piece of a body wakes whoever brought it, also where that
//! is the very task that takes it and there is nothing left to bring.

use std::{
    cell::Cell,
    sync::Arc,
    task::{Wake, Waker},
};

use futures_util::task::AtomicWaker;

thread_local! {
    static HEARD: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Wakes a task, but for what this thread does in [`quietly`].
#[derive(Debug, Default)]
pub struct QuietWaker(AtomicWaker);

impl QuietWaker {
    /// The waker to poll with, once it is told whom to wake.
    #[must_use]
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Wakes this task from now on.
    pub fn wakes(&self, task: &Waker) {
        self.0.register(task);
    }
}

impl Wake for QuietWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        HEARD.with(|heard| match heard.get() {
            None => self.0.wake(),
            Some(_) => heard.set(Some(true)),
        });
    }
}

/// Does something of which no [`QuietWaker`] wakes anybody, and says whether one would have.
pub fn quietly<T>(act: impl FnOnce() -> T) -> (T, bool) {
    let _loud_again = Loud(HEARD.replace(Some(false)));
    let done = act();
    (done, HEARD.get() == Some(true))
}

/// As it was before, also after a panic.
struct Loud(Option<bool>);

impl Drop for Loud {
    fn drop(&mut self) {
        HEARD.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn nobody_is_woken_by_what_is_done_quietly_on_this_thread() {
        let count = Arc::new(Count::default());
        let woken = || count.0.load(Ordering::Relaxed);
        let quiet = Arc::new(QuietWaker::default());
        let handed_out = quiet.waker();
        quiet.wakes(&Waker::from(Arc::clone(&count)));
        let ((), heard) = quietly(|| handed_out.wake_by_ref());
        assert_eq!((heard, woken()), (true, 0));
        assert!(!quietly(|| ()).1);
        let elsewhere = handed_out.clone();
        quietly(|| std::thread::spawn(move || elsewhere.wake()).join().unwrap());
        assert_eq!(woken(), 1, "what another thread says is news");
        quiet.wakes(&Waker::from(Arc::clone(&count)));
        let _panicked = std::panic::catch_unwind(|| quietly(|| panic!("as it may")));
        handed_out.wake();
        assert_eq!(woken(), 2);
    }
}
