//! The store on Redis as one process uses it: it journals every revocation it makes or hears of,
//! and serves nothing from a server that may have lost some before they are there again.

mod journal;
mod verbs;

use std::{
    collections::HashSet,
    fmt::{self, Debug},
    path::Path,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use shared::{
    internal::{Cursor, Event},
    time::{Clock, Timestamp},
};
use store::ServerIdentity;
use tokio::sync::Mutex;

use self::journal::{Journal, name};
use super::{EVENT_LIFE, EventFeed, FEED_PAGE, RedisStore, StoreError};

/// How long a look at the servers is good for. A single server cannot change without a fault of
/// the connection, which is noticed at once; the nodes of a Cluster can.
const LOOK: Duration = Duration::from_millis(250);

/// How long a refresh waits for a failover.
const FAILOVER: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);

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
}

impl GuardedStore {
    /// Opens the journal and brings the servers up to it.
    pub(crate) async fn open(
        inner: RedisStore,
        path: &Path,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let journal = Journal::open(path, clock.now())?;
        let store =
            Self { clock, inner, journal, looking: Mutex::default(), seen: RwLock::default() };
        store.admit().await?;
        Ok(store)
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
        if servers == followed.servers {
            followed.feed = Some(self.follow(followed.feed.take(), now).await?);
        } else {
            let feed = self.replay(now).await?;
            *followed = Followed { feed: Some(feed), servers };
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
        let (cursor, present) = self.read(None).await?;
        self.journal.write(present.clone(), now).await?;
        let present: HashSet<String> = present.iter().map(name).collect::<Result<_, _>>()?;
        let entries = self.journal.entries(now);
        let mut lost = 0_usize;
        // The journal keeps them and applies them after the next failover too.
        let again = self.inner.without_waiting();
        for entry in &entries {
            if let Event::Family { family } = entry.event {
                again.revoke_again(family).await?;
            }
            if entry.at.plus(EVENT_LIFE) > now && !present.contains(&name(&entry.event)?) {
                again.append_event(&entry.event, now).await?;
                lost += 1;
            }
        }
        if lost > 0 {
            tracing::warn!(lost, "revocations that Redis had lost are in force again");
        }
        Ok(cursor)
    }

    /// Journals what others revoked.
    async fn follow(&self, feed: Option<Cursor>, now: Timestamp) -> Result<Cursor, StoreError> {
        let (cursor, events) = self.read(feed).await?;
        self.journal.write(events, now).await?;
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
