//! Calls under way, so that a legacy client without a session can cancel its own
//! (MCP basic, cancellation).

use std::{
    future::poll_fn,
    hash::BuildHasher,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use foldhash::quality::RandomState;
use futures_util::task::AtomicWaker;
use hashbrown::HashTable;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::claims::Digest32;

/// The calls under way, by credential and request id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inflight(Arc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    hasher: RandomState,
    /// Several of one name stand side by side.
    held: Mutex<HashTable<Held>>,
}

#[derive(Debug)]
struct Held {
    call: Cancelled,
    hash: u64,
}

/// A call under way; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Underway {
    calls: Inflight,
    pub(crate) cancelled: Cancelled,
    hash: u64,
}

/// Whether a call is cancelled. One task at a time waits for it: the one that answers the call.
#[derive(Clone, Debug)]
pub(crate) struct Cancelled(Arc<Flag>);

#[derive(Debug)]
struct Flag {
    credential: Digest32,
    id: Id,
    is_set: AtomicBool,
    waiting: AtomicWaker,
}

/// A request's id as it came; what clients count with needs no memory of its own.
#[derive(Debug)]
enum Id {
    Long(Box<str>),
    /// So many bytes of these.
    Short(u8, [u8; SHORT]),
}

const SHORT: usize = 22;

impl Inflight {
    /// Notes a call.
    pub(crate) fn begin(&self, credential: Digest32, id: &RawValue) -> Underway {
        let hash = self.0.hash(&credential, id.get());
        let cancelled = Cancelled(Arc::new(Flag {
            credential,
            id: Id::of(id.get()),
            is_set: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
        }));
        let held = Held { call: cancelled.clone(), hash };
        self.0.lock().insert_unique(hash, held, |held| held.hash);
        Underway { calls: self.clone(), cancelled, hash }
    }

    /// Cancels the call that a `notifications/cancelled` names. Several clients may share a
    /// credential and count their ids alike, so a name that fits several calls cancels none.
    pub(crate) fn cancel(&self, credential: Digest32, body: &[u8]) {
        let Ok(Cancellation { params }) = serde_json::from_slice(body) else { return };
        let id = params.request_id.get();
        let hash = self.0.hash(&credential, id);
        let calls = self.0.lock();
        let mut named = calls.iter_hash(hash).filter(|held| held.call.0.is(&credential, id));
        if let (Some(only), None) = (named.next(), named.next()) {
            only.call.cancel();
        }
    }
}

impl Calls {
    fn hash(&self, credential: &Digest32, id: &str) -> u64 {
        self.hasher.hash_one((credential, id))
    }

    fn lock(&self) -> MutexGuard<'_, HashTable<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flag {
    fn is(&self, credential: &Digest32, id: &str) -> bool {
        self.credential == *credential && self.id.bytes() == id.as_bytes()
    }
}

impl Id {
    fn of(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(part), Ok(length)) => {
                part.copy_from_slice(text.as_bytes());
                Self::Short(length, bytes)
            }
            _ => Self::Long(text.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Long(text) => text.as_bytes(),
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
        }
    }
}

impl Cancelled {
    /// What the future comes to, or nothing if the call is cancelled before.
    pub(crate) async fn or<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            self.0.waiting.register(cx.waker());
            if self.is_cancelled() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn cancel(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.waiting.wake();
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let own = |held: &Held| Arc::ptr_eq(&held.call.0, &self.cancelled.0);
        if let Ok(held) = self.calls.0.lock().find_entry(self.hash, own) {
            held.remove();
        }
    }
}

#[derive(Deserialize)]
struct Cancellation<'a> {
    #[serde(borrow)]
    params: CancelledParams<'a>,
}

#[derive(Deserialize)]
struct CancelledParams<'a> {
    #[serde(borrow, rename = "requestId")]
    request_id: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    const CANCEL: &[u8] =
        br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;

    #[test]
    fn a_credential_cancels_its_own_call_only() {
        let calls = Inflight::default();
        let own = calls.begin([1; 32], &id("7"));
        let other = calls.begin([2; 32], &id("7"));
        calls.cancel([1; 32], CANCEL);
        assert!(own.cancelled.is_cancelled() && !other.cancelled.is_cancelled());
        drop((own, other));
        assert!(calls.0.lock().is_empty());
    }

    #[test]
    fn a_name_that_fits_two_calls_cancels_neither() {
        let calls = Inflight::default();
        let one = calls.begin([1; 32], &id("7"));
        let two = calls.begin([1; 32], &id("7"));
        calls.cancel([1; 32], CANCEL);
        assert!(!one.cancelled.is_cancelled() && !two.cancelled.is_cancelled());
        drop(two);
        calls.cancel([1; 32], CANCEL);
        assert!(one.cancelled.is_cancelled());
    }

    #[test]
    fn ids_of_every_length_name_their_call_alone() {
        let (calls, credential) = (Inflight::default(), [1; 32]);
        let ids: Vec<_> = (1..60).map(|length| format!("\"{}\"", "7".repeat(length))).collect();
        let held: Vec<_> = ids.iter().map(|one| calls.begin(credential, &id(one))).collect();
        for (at, one) in ids.iter().enumerate() {
            let body = format!("{{\"params\":{{\"requestId\":{one}}}}}");
            calls.cancel(credential, body.as_bytes());
            let cancelled = held.iter().filter(|call| call.cancelled.is_cancelled()).count();
            assert!(held[at].cancelled.is_cancelled() && cancelled == at + 1, "{one}");
        }
        drop(held);
        assert!(calls.0.lock().is_empty());
    }
}
