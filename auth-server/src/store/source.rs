//! What was last read at a stranger's URL: a client's document, or its keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{secret::SecretHash, time::Timestamp};

use super::{Kind, Store, StoreError};

/// How long a source that does not answer is believed.
const STALE: Duration = Duration::from_hours(7 * 24);
/// A source that answers with something else so much later has really changed.
const REMOVED_AFTER: Duration = Duration::from_hours(1);

/// What a source said, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// What it said last that could be used.
    pub(crate) body: String,
    /// When it last said or confirmed that.
    pub(crate) confirmed: Timestamp,
    pub(crate) etag: Option<String>,
    pub(crate) fresh_until: Timestamp,
    /// Since when it answers with something that cannot be used.
    pub(crate) invalid_since: Option<Timestamp>,
    pub(crate) removed: bool,
}

impl Source {
    /// Whether it need not be asked again yet.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.is_usable(now) && now < self.fresh_until
    }

    /// Whether what it said still counts.
    pub(crate) fn is_usable(&self, now: Timestamp) -> bool {
        !self.removed && now < self.confirmed.plus(STALE)
    }

    /// The same source, having answered with something that cannot be used: once may be a
    /// mishap, twice an hour apart is not.
    #[must_use]
    pub(crate) fn having_failed(self, now: Timestamp) -> Self {
        let since = self.invalid_since.unwrap_or(now);
        let removed = self.removed || now.since(since) >= REMOVED_AFTER;
        Self { invalid_since: Some(since), removed, ..self }
    }
}

impl dyn Store + '_ {
    /// What was read at a URL.
    pub(crate) async fn source(&self, url: &str) -> Result<Option<Source>, StoreError> {
        self.read(Kind::Source, key(url).as_str()).await
    }

    /// Keeps what was read at a URL.
    pub(crate) async fn put_source(&self, url: &str, source: &Source) -> Result<(), StoreError> {
        let expires = source.confirmed.plus(STALE);
        self.write(Kind::Source, key(url).as_str(), source, Some(expires)).await
    }
}

/// URLs are long, and keys are not.
fn key(url: &str) -> SecretHash {
    SecretHash::of(url.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_believed_for_a_week_and_removed_when_invalid_for_an_hour() {
        let at = |hours: u64| Timestamp::from_secs(hours * 3600);
        let source = Source {
            body: "{}".to_owned(),
            confirmed: at(0),
            etag: None,
            fresh_until: at(1),
            invalid_since: None,
            removed: false,
        };
        assert!(source.is_fresh(at(0)) && !source.is_fresh(at(1)));
        assert!(source.is_usable(at(167)) && !source.is_usable(at(168)));
        let once = source.having_failed(at(2));
        assert!(once.is_usable(at(2)));
        let soon = once.clone().having_failed(at(2).plus(Duration::from_mins(59)));
        assert!(soon.is_usable(at(3)));
        assert!(!once.having_failed(at(3)).is_usable(at(3)));
    }
}
