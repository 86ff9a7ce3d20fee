//! Records that every refresh asks for, remembered for a second: what another process changed is
//! seen that much later, what this one changed at once.

use std::{fmt, time::Duration};

use bytes::Bytes;
use moka::sync::Cache;

use crate::store::Kind;

const LIFE: Duration = Duration::from_secs(1);
const MOST: u64 = 10_000;

/// Recent records by their keys.
#[derive(Clone)]
pub(super) struct Recent(Cache<String, Bytes>);

impl Recent {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(LIFE).build())
    }

    /// A record as it was within the last second.
    pub(super) fn find(&self, kind: Kind, key: &str) -> Option<Bytes> {
        if kind.may_lag() { self.0.get(key) } else { None }
    }

    /// Remembers a record. One that does not exist is asked for again: it may be created at any
    /// moment elsewhere, and whoever created it may come here next.
    pub(super) fn keep(&self, kind: Kind, key: &str, value: &[u8]) {
        if kind.may_lag() {
            self.0.insert(key.to_owned(), Bytes::copy_from_slice(value));
        }
    }

    pub(super) fn forget(&self, kind: Kind, key: &str) {
        if kind.may_lag() {
            self.0.invalidate(key);
        }
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("entries", &self.0.entry_count()).finish()
    }
}
