//! The store on Redis as one process uses it: it journals every revocation it makes or hears of,
//! and serves nothing from a server that may have lost some before they are there again.

mod verbs;

use std::{
    fmt::{self, Debug},
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use shared::{
    internal::{Cursor, Event},
    time::{Clock, Timestamp},
};
use store::ServerIdentity;
use tokio::sync::Mutex;

use super::{
    EVENT_LIFE, EventFeed, FEED_PAGE, Journal, RedisStore, Store, StoreError,
    journal::Logged,
    reassert::{Due, FEED},
};

/// How long a look at the servers is good for. A single server cannot change without a fault of
/// the connection, which is noticed at once; the nodes of a Cluster can.
const LOOK: Duration = Duration::from_millis(250);

/// How long a start waits for other servers whose logs may hold more, and how often it looks.
const OTHERS: Duration = Duration::from_mins(2);
const LOOK_FOR_OTHERS: Duration = Duration::from_millis(500);

/// How long a refresh waits for a failover.
const FAILOVER: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);
/// How soon a broken connection shows; a silent server takes longer.
const QUICK: Duration = Duration::from_secs(1);

/// auth-server's store in Redis, with its journal.
pub(crate) struct GuardedStore {
    clock: Clock,
    inner: RedisStore,
    journal: Journal,
    looking: Mutex<Followed>,
    seen: RwLock<Option<Seen>>,
}

/// The last look at the servers.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    faults: u64,
}

/// The servers that hold every revocation we know, and how far the feed was followed.
#[derive(Debug, Default)]
struct Followed {
    feed: Option<Cursor>,
    servers: Vec<ServerIdentity>,
    /// Whether an older copy was put back and other logs may hold more than it has.
    waits: bool,
}

impl GuardedStore {
    /// Brings the servers up to the log, and waits for others that must do so too.
    pub(crate) async fn open(
        inner: RedisStore,
        journal: Journal,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let store =
            Self { clock, inner, journal, looking: Mutex::default(), seen: RwLock::default() };
        let since = Instant::now();
        loop {
            match store.admit().await {
                Err(StoreError::OthersHoldMore(logs)) if since.elapsed() < OTHERS => {
                    tracing::warn!(?logs, "waiting for the servers that have these logs");
                    tokio::time::sleep(LOOK_FOR_OTHERS).await;
                }
                done => return done.map(|()| store),
            }
        }
    }

    /// Returns when the servers are known to hold every revocation of the journal.
    async fn admit(&self) -> Result<(), StoreError> {
        if self.is_recent() {
            return Ok(());
        }
        let mut followed = self.looking.lock().await;
        if self.is_recent() {
            return Ok(());
        }
        // Asked first: a fault while looking makes the look worthless.
        let (at, faults) = (Instant::now(), self.inner.engine().faults());
        let servers = self.inner.engine().identities().await?;
        let now = self.clock.now();
        if servers == followed.servers && self.journal.is_followed(now, EVENT_LIFE) {
            followed.feed = Some(self.follow(followed.feed.take(), now).await?);
        } else {
            let feed = self.replay(now).await?;
            *followed = Followed { feed: Some(feed), servers, waits: true };
        }
        if followed.waits {
            let inner: &dyn Store = &self.inner;
            let others = inner.marks().await?.not_compared();
            if !others.is_empty() {
                return Err(StoreError::OthersHoldMore(others.into_iter().collect()));
            }
            followed.waits = false;
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(Seen { at, faults });
        Ok(())
    }

    fn is_recent(&self) -> bool {
        let faults = self.inner.engine().faults();
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().is_some_and(|seen| seen.faults == faults && seen.at.elapsed() < LOOK)
    }

    /// Whether nothing happened to the connection since the last look: an answer that was
    /// already given by another server is not used.
    fn still_admitted(&self) -> Result<(), StoreError> {
        let faults = self.inner.engine().faults();
        match &*self.seen.read().unwrap_or_else(PoisonError::into_inner) {
            Some(seen) if seen.faults == faults => Ok(()),
            _ => Err(StoreError::Engine(store::StoreError::Unavailable(
                "the connection was made anew meanwhile".to_owned(),
            ))),
        }
    }

    /// Applies every revocation of the journal again; what is there already stays as it is.
    async fn replay(&self, now: Timestamp) -> Result<Cursor, StoreError> {
        // What others revoked goes into the log before the log is asked how far it reaches.
        let (cursor, present) = self.read(None).await?;
        self.journal.write(present.clone(), now).await?;
        // The log keeps them and they are applied after the next failover too.
        let again = self.inner.without_waiting();
        let due = Due::of(&again, &self.journal, now, FEED).await?;
        due.apply(&again, now).await?;
        for entry in &due.entries {
            if let Logged::Event(Event::Family { family }) = entry.what {
                again.revoke_again(family).await?;
            }
        }
        let missing = due.events(&present, now)?;
        let lost = missing.len();
        for event in missing {
            again.append_event(&event, now).await?;
        }
        due.done(&again, &self.journal, now).await?;
        if lost > 0 {
            tracing::warn!(lost, "revocations that Redis had lost are in force again");
        }
        Ok(cursor)
    }

    /// Journals what others revoked.
    async fn follow(&self, feed: Option<Cursor>, now: Timestamp) -> Result<Cursor, StoreError> {
        let (cursor, events) = self.read(feed).await?;
        self.journal.write(events, now).await?;
        self.journal.beat(now)?;
        Ok(cursor)
    }

    /// The feed from a place on, or all of it.
    async fn read(&self, from: Option<Cursor>) -> Result<(Cursor, Vec<Event>), StoreError> {
        let mut events = Vec::new();
        let mut after = from.as_ref().map(|cursor| cursor.seq);
        loop {
            let page = self.inner.feed(after).await?;
            if from.as_ref().is_some_and(|cursor| cursor.epoch != page.epoch) && after.is_some() {
                // Another feed, which has to be read from its beginning.
                return Box::pin(self.read(None)).await;
            }
            let full = page.events.len() >= FEED_PAGE;
            events.extend(page.events);
            if !full {
                return Ok((Cursor { epoch: page.epoch, seq: page.last }, events));
            }
            after = Some(page.last);
        }
    }
}

/// A verb that is safe to repeat, where the servers hold what was revoked: once more if the
/// connection turned out to be broken.
macro_rules! repeated {
    ($guard:expr, $verb:expr) => {{
        let mut again = Again::new();
        loop {
            let done = match $guard.admit().await {
                Ok(()) => $verb.await,
                Err(error) => Err(error),
            };
            if !again.is_due(&done) {
                break done;
            }
        }
    }};
}
use repeated;

/// A verb whose answer counts only if the servers were the same before and after it.
macro_rules! admitted {
    ($guard:expr, $verb:expr) => {
        async {
            $guard.admit().await?;
            let done = $verb.await?;
            $guard.still_admitted()?;
            Ok::<_, StoreError>(done)
        }
    };
}
use admitted;

/// A call that is safe to repeat, for as long as a failover may take.
macro_rules! patient {
    ($call:expr) => {{
        let patience = Patience::new();
        loop {
            let done = $call.await;
            match patience.pause(&done) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break done,
            }
        }
    }};
}
use patient;

/// Whether a call on a connection that was broken, which the first use of it shows, was made
/// once more. A server that is silent is not asked again: that would double the wait.
struct Again {
    once: bool,
    since: Instant,
}

impl Again {
    fn new() -> Self {
        Self { once: false, since: Instant::now() }
    }

    fn is_due<T>(&mut self, done: &Result<T, StoreError>) -> bool {
        let broken = matches!(done, Err(StoreError::Engine(store::StoreError::Unavailable(_))));
        let due = broken && !self.once && self.since.elapsed() < QUICK;
        self.once = true;
        due
    }
}

/// How long a caller has waited for a failover.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Self(Instant::now())
    }

    /// Whether a call is to be made again, after a pause. It must be safe to repeat.
    fn pause<T>(&self, done: &Result<T, StoreError>) -> Option<Duration> {
        let passes = matches!(done, Err(StoreError::Engine(error)) if error.is_transient());
        (passes && self.0.elapsed() + PAUSE < FAILOVER).then_some(PAUSE)
    }
}

impl Debug for GuardedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}
