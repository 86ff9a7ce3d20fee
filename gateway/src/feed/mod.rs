//! The feed of auth-server: what was revoked, within a second. While it is silent for longer, the
//! policy of `rules::silence` says what goes on; callers are told to come back (never 401).

mod report;
mod revoked;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use shared::{
    internal::{Cursor, Event, Events, Receipt},
    time::Timestamp,
};

use crate::{
    authority::AuthorityError,
    gateway::Gateway,
    rules::{
        caller::Caller,
        silence::{self, Standing},
    },
};
pub(crate) use report::report;
use revoked::Revoked;

/// How often the feed is asked.
const POLL: Duration = Duration::from_millis(200);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often keys are fetched because auth-server has newer ones.
const NEWER_KEYS: Duration = Duration::from_secs(1);
/// How far the two clocks may lie apart.
const SKEW: Duration = Duration::from_mins(1);
/// Receipts that wait; more are not worth their memory, since every refresh brings new ones.
const MOST_RECEIPTS: usize = 100_000;
/// Revocations that are kept one by one.
const MOST_REVOKED: usize = 1_000_000;

/// What the feed has said.
#[derive(Debug)]
pub(crate) struct Feed {
    began: Instant,
    /// How long it may be silent before nothing is known, in milliseconds.
    bound: AtomicU64,
    /// When it was last heard, in milliseconds after `began`, plus one; 0: never.
    heard: AtomicU64,
    /// Whether auth-server answers, and does not see its store.
    is_blind: AtomicBool,
    /// Whether all that it said is understood here.
    is_understood: AtomicBool,
    /// How long an entry can matter, in milliseconds; it only grows.
    life: AtomicU64,
    receipts: Mutex<HashSet<Receipt>>,
    revoked: ArcSwap<Revoked>,
}

impl Feed {
    /// A feed that has said nothing; `life` is that of the longest access token, `bound` how long
    /// it may be silent.
    pub(crate) fn new(life: Duration, bound: Duration) -> Self {
        Self {
            began: Instant::now(),
            bound: AtomicU64::new(millis(bound)),
            heard: AtomicU64::new(0),
            is_blind: AtomicBool::new(false),
            is_understood: AtomicBool::new(true),
            life: AtomicU64::new(millis(life + SKEW)),
            receipts: Mutex::default(),
            revoked: ArcSwap::default(),
        }
    }

    /// Takes these bounds from now on. Tokens of a longer life than the new ones may be about, so
    /// what is revoked is kept no shorter than before.
    pub(crate) fn retune(&self, life: Duration, bound: Duration) {
        self.bound.store(millis(bound), Ordering::Release);
        self.life.fetch_max(millis(life + SKEW), Ordering::AcqRel);
    }

    /// What it is worth now.
    pub(crate) fn standing(&self) -> Standing {
        self.standing_at(Instant::now())
    }

    /// What it is worth at a moment that is now.
    pub(crate) fn standing_at(&self, now: Instant) -> Standing {
        let understood = self.is_understood.load(Ordering::Acquire);
        let bound = Duration::from_millis(self.bound.load(Ordering::Acquire));
        silence::standing(self.silence_at(now), bound, understood)
    }

    /// How long it has been silent; nothing if it never spoke.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.silence_at(Instant::now())
    }

    fn silence_at(&self, now: Instant) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        let elapsed = millis(now.saturating_duration_since(self.began));
        Some(Duration::from_millis(elapsed.saturating_sub(heard)))
    }

    /// Why it is not current, in words for operators; nothing if it is.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        if self.standing() == Standing::Current {
            return None;
        }
        Some(if !self.is_understood.load(Ordering::Acquire) {
            "auth-server speaks of something this version does not know"
        } else if self.is_blind.load(Ordering::Acquire) {
            "auth-server answers and does not see its store"
        } else {
            "auth-server does not answer"
        })
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

    /// Takes note of whether there was an answer, and says so when that changes.
    fn heard(&self, answer: Result<Events, AuthorityError>) -> Option<Events> {
        let error = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let is_blind = matches!(error, AuthorityError::Blind(_));
        let not_understood = matches!(error, AuthorityError::NotUnderstood(_));
        self.is_blind.store(is_blind, Ordering::Release);
        if not_understood {
            self.is_understood.store(false, Ordering::Release);
        }
        tracing::warn!(%error, silence = ?self.silence(), "the feed of revocations is silent");
        None
    }

    /// `asked` is when the question went out: what was revoked since may be missing.
    pub(crate) fn apply(&self, snapshot: bool, events: Vec<Event>, now: Timestamp, asked: Instant) {
        if snapshot || !events.is_empty() {
            // A snapshot of a store that lost something takes nothing back either.
            let mut next = Revoked::clone(&self.revoked.load());
            for event in events {
                next.add(event, now);
            }
            let life = Duration::from_millis(self.life.load(Ordering::Acquire));
            next.forget_before(now.minus(life));
            if next.bound(MOST_REVOKED, now) {
                tracing::error!("more is revoked than is kept; tokens issued until now are over");
            }
            self.revoked.store(Arc::new(next));
        }
        self.is_blind.store(false, Ordering::Release);
        self.is_understood.store(true, Ordering::Release);
        let asked = millis(asked.saturating_duration_since(self.began));
        self.heard.store(asked.saturating_add(1), Ordering::Release);
    }
}

/// Follows the feed until the shutdown.
pub(crate) async fn follow(gateway: Gateway) {
    let shutdown = gateway.current().shutdown.clone();
    let mut cursor: Option<Cursor> = None;
    let mut fetched: Option<Instant> = None;
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let app = gateway.current();
        let asked = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, app.authority.events(cursor.clone())).await;
        let in_time = answer.unwrap_or_else(|_| {
            Err(AuthorityError::Unavailable("it did not answer in time".to_owned()))
        });
        let Some(answer) = app.feed.heard(in_time) else { continue };
        let follows = cursor
            .as_ref()
            .is_some_and(|held| held.epoch == answer.cursor.epoch && answer.cursor.seq >= held.seq);
        if !answer.snapshot && !follows {
            // Another epoch without a snapshot is a gap: ask for everything.
            cursor = None;
            continue;
        }
        let revoked: Vec<_> = answer.events.iter().filter_map(key_of).collect();
        app.feed.apply(answer.snapshot, answer.events, app.clock.now(), asked);
        cursor = Some(answer.cursor);
        for key in &revoked {
            app.keys.revoke(key);
        }
        let is_behind = app.keys.version() < answer.key_set_version
            && fetched.is_none_or(|at| at.elapsed() >= NEWER_KEYS);
        if is_behind || (!revoked.is_empty() && !answer.snapshot) {
            fetched = Some(Instant::now());
            app.tracker.spawn({
                let app = app.clone();
                async move { app.keys.refresh(&*app.authority).await }
            });
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

    fn feed() -> Feed {
        Feed::new(Duration::from_mins(5), Duration::from_mins(5))
    }

    #[test]
    fn a_feed_that_never_spoke_is_not_current_and_one_that_just_did_is() {
        let feed = feed();
        assert_eq!(feed.standing(), Standing::Unknown);
        feed.apply(true, Vec::new(), Timestamp::from_secs(1), Instant::now());
        assert_eq!((feed.standing(), feed.trouble()), (Standing::Current, None));
    }

    #[test]
    fn what_is_not_understood_may_concern_anybody() {
        let feed = feed();
        feed.apply(true, Vec::new(), Timestamp::from_secs(1), Instant::now());
        for error in
            [AuthorityError::Blind(String::new()), AuthorityError::Unavailable(String::new())]
        {
            assert!(feed.heard(Err(error)).is_none());
            assert_eq!(feed.standing(), Standing::Current, "for a second");
        }
        assert!(feed.heard(Err(AuthorityError::NotUnderstood(String::new()))).is_none());
        assert_eq!(feed.standing(), Standing::Unknown);
        assert!(feed.trouble().is_some_and(|trouble| trouble.contains("does not know")));
        feed.apply(true, Vec::new(), Timestamp::from_secs(1), Instant::now());
        assert_eq!(feed.standing(), Standing::Current);
    }

    #[test]
    fn a_snapshot_of_a_store_that_lost_a_revocation_gives_nothing_back() {
        let feed = feed();
        let caller = crate::rules::caller::tests::caller("", &[]);
        let event = Event::Token { token: caller.token.clone().unwrap() };
        feed.apply(true, vec![event], caller.issued, Instant::now());
        assert!(feed.has_revoked(&caller));
        feed.apply(true, Vec::new(), caller.issued, Instant::now());
        assert!(feed.has_revoked(&caller));
    }
}
