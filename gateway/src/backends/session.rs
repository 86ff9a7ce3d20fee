//! Sessions of legacy backends (MCP 2025-11-25, transports, session management): sealed for the
//! client where they are relayed, pooled per principal where they are not.
//!
//! Invariant: a session is used by the principal it was opened for and by nobody else.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use keys::{KeyError, SecretRing};
use moka::sync::Cache;
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};
use shared::ids::WorkspaceId;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::rules::{caller::Caller, protocol::Version};

/// Whose session it is: everything that decides what the principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner([u8; 32]);

impl Owner {
    /// The owner as bytes, for sealing.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The owner that a caller is. A refreshed token is the same owner, as long as it says the
    /// same.
    pub(crate) fn of(caller: &Caller) -> Self {
        let scope = caller.scope.to_string();
        let family = caller.family.map(|family| family.to_string()).unwrap_or_default();
        let mut parts =
            vec![&*caller.issuer, &caller.subject, caller.client.as_str(), &family, &scope];
        parts.extend(caller.workspaces.iter().map(WorkspaceId::as_str));
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

/// Seals a backend's session id for its owner; what the client sees is ours.
pub(crate) fn seal(
    ring: &SecretRing,
    owner: &Owner,
    backend: &str,
    id: &str,
) -> Result<String, KeyError> {
    ring.current().seal(&context(owner, backend), id.as_bytes())
}

/// The backend's session id, if this owner was given the sealed one for this backend.
pub(crate) fn open(
    ring: &SecretRing,
    owner: &Owner,
    backend: &str,
    sealed: &str,
) -> Option<String> {
    let id = ring.open(&context(owner, backend), sealed).ok()?;
    String::from_utf8(id).ok()
}

fn context(owner: &Owner, backend: &str) -> Vec<u8> {
    [b"mcp-session".as_slice(), &owner.0, backend.as_bytes()].concat()
}

/// A session with a backend.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Absent where the backend gave none.
    pub(crate) id: Option<HeaderValue>,
    /// What it negotiated.
    pub(crate) version: Version,
}

/// A session that nobody will use again, with whom it was opened for.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) caller: Arc<Caller>,
    pub(crate) session: Session,
}

/// Sessions that wait for the next call of their owner. Each serves one call at a time, because
/// two clients of one principal may use the same request id.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Those that nobody will use again, on their way to be ended.
    ended: Sender<Ending>,
    places: Cache<(Owner, &'static str), Arc<Place>>,
}

/// The sessions of one owner.
#[derive(Debug)]
struct Place {
    caller: Arc<Caller>,
    ended: Sender<Ending>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Nothing is kept here any longer: the owner is gone, or was quiet for too long.
    is_closed: bool,
    sessions: Vec<Session>,
}

/// A session for one call; it goes back when dropped, if the backend is done with the call.
#[derive(Debug)]
pub(crate) struct Lease {
    is_settled: bool,
    place: Arc<Place>,
    session: Option<Session>,
}

const MOST_OWNERS: u64 = 10_000;
const MOST_PER_OWNER: usize = 8;
/// How many sessions may wait for the backend to be told that they end.
const MOST_ENDINGS: usize = 1024;
const UNUSED: Duration = Duration::from_mins(10);

impl Sessions {
    /// No sessions, and where those come out that are to be ended.
    pub(crate) fn new() -> (Self, Receiver<Ending>) {
        let (ended, endings) = channel(MOST_ENDINGS);
        let places = Cache::builder()
            .max_capacity(MOST_OWNERS)
            .time_to_idle(UNUSED)
            .eviction_listener(|_, place: Arc<Place>, _| place.close())
            .build();
        (Self { ended, places }, endings)
    }

    /// A waiting session of the caller's, if there is one, and the place for a new one.
    pub(crate) fn lend(&self, caller: &Caller, version: Version) -> Lease {
        let place = self.places.get_with((Owner::of(caller), version.as_str()), || {
            let (caller, ended) = (Arc::new(caller.clone()), self.ended.clone());
            Arc::new(Place { caller, ended, waiting: Mutex::default() })
        });
        let session = place.lock().sessions.pop();
        Lease { is_settled: false, place, session }
    }

    /// Ends the sessions of callers who are shut out, and of those who were quiet for too long.
    pub(crate) fn sweep(&self, is_over: impl Fn(&Caller) -> bool) {
        for (key, place) in &self.places {
            if is_over(&place.caller) {
                self.places.invalidate(&*key);
            }
        }
        self.places.run_pending_tasks();
    }
}

impl Place {
    fn close(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        for session in waiting.sessions.drain(..) {
            self.end(session);
        }
    }

    fn end(&self, session: Session) {
        // Where more end than the backend is told of in time, it forgets them in its own.
        let caller = Arc::clone(&self.caller);
        let _untold = self.ended.try_send(Ending { caller, session });
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The session, if one was waiting or was put here.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Puts a new session in place of one that is gone. The backend has forgotten the others too,
    /// or will say so.
    pub(crate) fn put(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// Forgets a session that the backend no longer knows.
    pub(crate) fn forget(&mut self) {
        self.session = None;
    }

    /// The backend is done with the call, or never began it.
    pub(crate) fn settle(&mut self) {
        self.is_settled = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let mut waiting = self.place.lock();
        // What is still at work on one call must not meet another.
        let is_free = self.is_settled && !waiting.is_closed;
        if is_free && waiting.sessions.len() < MOST_PER_OWNER {
            waiting.sessions.push(session);
        } else {
            self.place.end(session);
        }
    }
}

/// The requests that went down to clients of relayed sessions and wait for their answers.
#[derive(Debug)]
pub(crate) struct Asked(Cache<(String, String), ()>);

const LONGEST_ANSWER: Duration = Duration::from_hours(1);
const MOST_ASKED: u64 = 20_000;

impl Asked {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST_ASKED).time_to_live(LONGEST_ANSWER).build())
    }

    /// Notes that the backend asked something in the session.
    pub(crate) fn insert(&self, session: &str, id: &RawValue) {
        self.0.insert(Self::key(session, id), ());
    }

    /// Whether the answer is awaited; it is so once.
    pub(crate) fn take(&self, session: &str, id: &RawValue) -> bool {
        self.0.remove(&Self::key(session, id)).is_some()
    }

    fn key(session: &str, id: &RawValue) -> (String, String) {
        // Written anew, so that an id escaped differently is the same.
        let id = serde_json::from_str::<Value>(id.get()).map(|id| id.to_string());
        (session.to_owned(), id.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use keys::{KeySet, Purpose};
    use shared::time::Timestamp;

    use super::*;
    use crate::rules::caller::tests::caller;

    fn owner(scope: &str, workspaces: &[&str]) -> Owner {
        Owner::of(&caller(scope, workspaces))
    }

    #[test]
    fn a_sealed_session_opens_for_its_owner_and_backend_only() {
        let ring = KeySet::first(Purpose::PageSeal, Timestamp::from_secs(1)).unwrap().secrets();
        let own = owner("a b", &["w"]);
        let sealed = seal(&ring, &own, "crm", "upstream-1").unwrap();
        assert!(!sealed.contains("upstream"));
        assert_eq!(open(&ring, &own, "crm", &sealed).as_deref(), Some("upstream-1"));
        assert_eq!(open(&ring, &own, "erp", &sealed), None);
        assert_eq!(open(&ring, &owner("a", &["w"]), "crm", &sealed), None);
        assert_eq!(open(&ring, &owner("a b", &["w", "x"]), "crm", &sealed), None);
        assert_eq!(open(&ring, &own, "crm", "upstream-1"), None);
        let other = KeySet::first(Purpose::PageSeal, Timestamp::from_secs(1)).unwrap().secrets();
        assert_eq!(open(&other, &own, "crm", &sealed), None);
    }

    fn session(id: &'static str) -> Session {
        Session { id: Some(HeaderValue::from_static(id)), version: Version::November2025 }
    }

    #[test]
    fn a_session_serves_one_call_at_a_time_and_then_the_next() {
        let (sessions, _endings) = Sessions::new();
        let own = caller("a", &[]);
        let version = Version::November2025;
        let mut first = sessions.lend(&own, version);
        assert!(first.session().is_none());
        first.put(session("s1"));
        assert!(sessions.lend(&own, version).session().is_none());
        first.settle();
        drop(first);
        assert!(sessions.lend(&caller("b", &[]), version).session().is_none());
        assert!(sessions.lend(&own, Version::June2025).session().is_none());
        let again = sessions.lend(&own, version);
        assert_eq!(again.session().unwrap().id.as_ref().unwrap(), "s1");
    }

    #[test]
    fn a_session_whose_call_was_given_up_or_whose_owner_is_shut_out_is_ended() {
        let (sessions, mut endings) = Sessions::new();
        let own = caller("a", &[]);
        let version = Version::November2025;
        let mut given_up = sessions.lend(&own, version);
        given_up.put(session("s1"));
        drop(given_up);
        assert_eq!(endings.try_recv().unwrap().session.id.unwrap(), "s1");
        let (mut waiting, mut lent) = (sessions.lend(&own, version), sessions.lend(&own, version));
        waiting.put(session("s2"));
        lent.put(session("s3"));
        lent.settle();
        waiting.settle();
        drop(waiting);
        sessions.sweep(|_| false);
        assert!(endings.try_recv().is_err());
        sessions.sweep(|caller| caller.scope.contains("a"));
        assert_eq!(endings.try_recv().unwrap().session.id.unwrap(), "s2");
        drop(lent);
        assert_eq!(endings.try_recv().unwrap().session.id.unwrap(), "s3");
        assert!(sessions.lend(&own, version).session().is_none());
    }

    #[test]
    fn a_question_is_answered_once_in_its_own_session() {
        let asked = Asked::new();
        let id = RawValue::from_string("\"q\\u0031\"".to_owned()).unwrap();
        let same = RawValue::from_string("\"q1\"".to_owned()).unwrap();
        asked.insert("s", &id);
        assert!(!asked.take("other", &same));
        assert!(asked.take("s", &same));
        assert!(!asked.take("s", &same));
    }
}
