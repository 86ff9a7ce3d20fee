//! The feed of auth-server: what was revoked, within a second. While it is silent for longer,
//! nobody's rights are known, and callers are told to come back (never 401).

mod revoked;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use shared::{
    internal::{Cursor, Event, Receipt, Usage},
    time::Timestamp,
};

use crate::{rules::caller::Caller, state::App};
use revoked::Revoked;

/// How often the feed is asked.
const POLL: Duration = Duration::from_millis(200);
/// How long it may be silent.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often receipts are reported.
const REPORT: Duration = Duration::from_secs(1);
/// How far the two clocks may lie apart.
const SKEW: Duration = Duration::from_mins(1);
/// Receipts that wait; more are not worth their memory, since every refresh brings new ones.
const MOST_RECEIPTS: usize = 100_000;

/// What the feed has said.
#[derive(Debug)]
pub(crate) struct Feed {
    began: Instant,
    /// When it was last heard, in milliseconds after `began`, plus one; 0: never.
    heard: AtomicU64,
    /// How long an entry can matter.
    life: Duration,
    receipts: Mutex<HashSet<Receipt>>,
    revoked: ArcSwap<Revoked>,
}

impl Feed {
    /// A feed that has said nothing; `life` is that of the longest access token.
    pub(crate) fn new(life: Duration) -> Self {
        Self {
            began: Instant::now(),
            heard: AtomicU64::new(0),
            life: life + SKEW,
            receipts: Mutex::default(),
            revoked: ArcSwap::default(),
        }
    }

    /// Whether what it says is current.
    pub(crate) fn is_current(&self) -> bool {
        let heard = self.heard.load(Ordering::Acquire);
        heard != 0 && self.elapsed().saturating_sub(heard) <= millis(LOST_AFTER)
    }

    /// Whether the caller's credential was taken back.
    pub(crate) fn has_revoked(&self, caller: &Caller) -> bool {
        self.revoked.load().covers(caller)
    }

    /// Notes that a client received this generation.
    pub(crate) fn saw(&self, caller: &Caller) {
        let (Some(family), Some(generation)) = (caller.family, caller.generation) else { return };
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        if receipts.len() < MOST_RECEIPTS {
            receipts.insert(Receipt { family, generation });
        }
    }

    fn apply(&self, snapshot: bool, events: Vec<Event>, now: Timestamp) {
        if snapshot || !events.is_empty() {
            let mut next =
                if snapshot { Revoked::default() } else { Revoked::clone(&self.revoked.load()) };
            for event in events {
                next.add(event, now);
            }
            next.forget_before(now.minus(self.life));
            self.revoked.store(Arc::new(next));
        }
        self.heard.store(self.elapsed().saturating_add(1), Ordering::Release);
    }

    fn elapsed(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

/// Follows the feed until the shutdown.
pub(crate) async fn follow(app: App) {
    let mut cursor: Option<Cursor> = None;
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while app.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let asked = app.authority.events(cursor.clone());
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the feed is silent");
                continue;
            }
            Err(_) => {
                tracing::warn!("the feed did not answer in time");
                continue;
            }
        };
        let follows = cursor
            .as_ref()
            .is_some_and(|held| held.epoch == answer.cursor.epoch && answer.cursor.seq >= held.seq);
        if !answer.snapshot && !follows {
            // Another epoch without a snapshot is a gap: ask for everything.
            cursor = None;
            continue;
        }
        let revoked_keys: Vec<_> = answer.events.iter().filter_map(key_of).collect();
        app.feed.apply(answer.snapshot, answer.events, app.clock.now());
        cursor = Some(answer.cursor);
        if !revoked_keys.is_empty() {
            for key in &revoked_keys {
                app.keys.revoke(key);
            }
            if !answer.snapshot {
                app.keys.refresh(&*app.authority).await;
            }
        }
    }
}

/// Reports receipts, and the version of the keys whenever it changed, until the shutdown.
pub(crate) async fn report(app: App) {
    let mut ticks = tokio::time::interval(REPORT);
    let mut told = None;
    while app.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let receipts =
            std::mem::take(&mut *app.feed.receipts.lock().unwrap_or_else(PoisonError::into_inner));
        let keys = app.api_keys.take_uses();
        let key_set_version = app.keys.version();
        if receipts.is_empty() && keys.is_empty() && told == Some(key_set_version) {
            continue;
        }
        let receipts_sent = receipts.iter().copied().collect();
        let usage = Usage { receipts: receipts_sent, keys: keys.clone(), key_set_version };
        match app.authority.report(usage).await {
            Ok(()) => told = Some(key_set_version),
            Err(error) => {
                tracing::warn!(%error, "receipts wait for the next report");
                app.feed.receipts.lock().unwrap_or_else(PoisonError::into_inner).extend(receipts);
                app.api_keys.put_uses(keys);
            }
        }
    }
}

fn key_of(event: &Event) -> Option<shared::ids::KeyId> {
    match event {
        Event::Key { key } => Some(key.clone()),
        Event::ApiKey { .. }
        | Event::Client { .. }
        | Event::Family { .. }
        | Event::Membership { .. }
        | Event::Person { .. }
        | Event::Token { .. } => None,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_never_spoke_is_not_current_and_one_that_just_did_is() {
        let feed = Feed::new(Duration::from_mins(5));
        assert!(!feed.is_current());
        feed.apply(true, Vec::new(), Timestamp::from_secs(1));
        assert!(feed.is_current());
    }
}
