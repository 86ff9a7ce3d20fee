//! Calls under way, so that a legacy client without a session can cancel its own
//! (MCP basic, cancellation).

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures_util::task::AtomicWaker;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::claims::Digest32;

type Key = (Digest32, Box<str>);

/// The calls under way, by credential and request id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inflight(Arc<Mutex<HashMap<Key, Vec<Cancelled>>>>);

/// A call under way; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Underway {
    calls: Inflight,
    key: Key,
    pub(crate) cancelled: Cancelled,
}

/// Whether a call is cancelled. One task at a time waits for it: the one that answers the call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancelled(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    waiting: AtomicWaker,
}

impl Inflight {
    /// Notes a call.
    pub(crate) fn begin(&self, credential: Digest32, id: &RawValue) -> Underway {
        let key = (credential, id.get().into());
        let cancelled = Cancelled::default();
        self.lock().entry(key.clone()).or_default().push(cancelled.clone());
        Underway { calls: self.clone(), key, cancelled }
    }

    /// Cancels the call that a `notifications/cancelled` names. Several clients may share a
    /// credential and count their ids alike, so a name that fits several calls cancels none.
    pub(crate) fn cancel(&self, credential: Digest32, body: &[u8]) {
        let Ok(Cancellation { params }) = serde_json::from_slice(body) else { return };
        let key = (credential, params.request_id.get().into());
        if let Some([only]) = self.lock().get(&key).map(Vec::as_slice) {
            only.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Cancelled>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        // Cancelled first, so that it is told apart from others of its name; nobody waits for it.
        self.cancelled.0.is_set.store(true, Ordering::Release);
        let mut calls = self.calls.lock();
        if let Some(held) = calls.get_mut(&self.key) {
            held.retain(|call| !call.is_cancelled());
            if held.is_empty() {
                calls.remove(&self.key);
            }
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
        assert!(calls.lock().is_empty());
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
}
