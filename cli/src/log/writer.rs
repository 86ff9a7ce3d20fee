//! Log lines on their way to stderr. Those that come with every request wait a moment and go
//! together, so that no request waits for whoever reads the log; warnings and security events are
//! written at once, after everything that was said before them.

use std::{
    io::{self, Stderr, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait for others.
const PAUSE: Duration = Duration::from_millis(10);
/// How many bytes may wait; lines beyond are dropped and counted.
const MOST_WAITING: usize = 4 << 20;
/// How much memory is kept for the next lines.
const KEPT: usize = 256 << 10;
/// The target of security events, which do not wait.
const AUDIT: &str = "audit";

/// Where lines go. Clones share it.
#[derive(Debug)]
pub(super) struct Lines<W: Write = Stderr>(Arc<Shared<W>>);

#[derive(Debug)]
struct Shared<W: Write> {
    dropped: AtomicU64,
    some: Condvar,
    /// Taken before `waiting`, and kept while lines are written, so that none overtakes another.
    to: Mutex<W>,
    waiting: Mutex<Vec<u8>>,
}

impl<W: Write> Clone for Lines<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write + Send + 'static> Lines<W> {
    pub(super) fn new(to: W) -> Self {
        Self(Arc::new(Shared {
            dropped: AtomicU64::new(0),
            some: Condvar::new(),
            to: Mutex::new(to),
            waiting: Mutex::default(),
        }))
    }

    /// Writes what waits, now and then, for as long as the process runs. Without such a thread,
    /// which a machine may refuse, lines wait for the next one that does not.
    pub(super) fn write_in_background(&self) -> io::Result<()> {
        let lines = self.clone();
        let run = move || loop {
            lines.await_some();
            thread::sleep(PAUSE);
            lines.flush();
            let dropped = lines.0.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::warn!(dropped, "log lines came faster than they could be written");
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(run).map(drop)
    }

    /// Writes what waits.
    pub(super) fn flush(&self) {
        let mut to = lock(&self.0.to);
        let mut waiting = lock(&self.0.waiting);
        let lines = std::mem::take(&mut *waiting);
        drop(waiting);
        // There is nobody to tell that nobody can be told.
        let _unwritten = to.write_all(&lines).and_then(|()| to.flush());
        drop(to);
        let mut waiting = lock(&self.0.waiting);
        if waiting.capacity() == 0 && lines.capacity() <= KEPT {
            *waiting = lines;
            waiting.clear();
        }
    }

    /// Takes a line that comes as a whole, and writes it now unless it may wait.
    pub(super) fn take(&self, about: &Metadata<'_>, line: &[u8]) {
        self.say(line, may_wait(about));
    }

    fn say(&self, line: &[u8], may_wait: bool) {
        self.add(line, may_wait);
        if !may_wait {
            self.flush();
        }
    }

    fn await_some(&self) {
        let mut waiting = lock(&self.0.waiting);
        while waiting.is_empty() {
            waiting = self.0.some.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn add(&self, line: &[u8], may_be_dropped: bool) {
        let mut waiting = lock(&self.0.waiting);
        if may_be_dropped && waiting.len() + line.len() > MOST_WAITING {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.some.notify_one();
        }
    }
}

impl<'a, W: Write + Send + 'static> MakeWriter<'a> for Lines<W> {
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Line<W> {
        Line { lines: self.clone(), waits: false }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<W> {
        Line { lines: self.clone(), waits: may_wait(of) }
    }
}

/// The way of one line, which comes as a whole.
#[derive(Debug)]
pub(super) struct Line<W: Write + Send + 'static> {
    lines: Lines<W>,
    waits: bool,
}

impl<W: Write + Send + 'static> Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.say(line, self.waits);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn may_wait(about: &Metadata<'_>) -> bool {
    *about.level() > Level::WARN && about.target() != AUDIT
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// A place that keeps what was written.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(lines: &Lines<Kept>, log: impl FnOnce()) {
        let format = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(format), log);
    }

    #[test]
    fn requests_wait_and_what_must_not_wait_takes_them_along_in_order() {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        logged(&lines, || tracing::info!(target: "vestibule::request", "one"));
        assert_eq!(kept.text(), "");
        logged(&lines, || tracing::info!(target: "audit", "two"));
        logged(&lines, || tracing::info!("three"));
        logged(&lines, || tracing::warn!("four"));
        let text = kept.text();
        let at = ["one", "two", "three", "four"].map(|word| text.find(word).unwrap());
        assert!(at.is_sorted() && text.lines().count() == 4, "{text}");
    }

    #[test]
    fn what_waits_is_written_soon_and_at_the_end() {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        lines.write_in_background().unwrap();
        logged(&lines, || tracing::info!("soon"));
        let began = std::time::Instant::now();
        while !kept.text().contains("soon") {
            assert!(began.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        logged(&lines, || tracing::info!("at the end"));
        lines.flush();
        assert!(kept.text().contains("at the end"));
    }

    #[test]
    fn beyond_the_bound_lines_are_dropped_and_counted() {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        let line = [b'x'; 1024];
        for _ in 0..MOST_WAITING / line.len() + 3 {
            lines.add(&line, true);
        }
        assert_eq!(lines.0.dropped.load(Ordering::Relaxed), 3);
        lines.flush();
        assert_eq!(kept.text().len(), MOST_WAITING);
        lines.add(&line, true);
        assert_eq!(lines.0.dropped.load(Ordering::Relaxed), 3);
    }
}
