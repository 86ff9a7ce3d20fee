//! The feed of revocations, which gateways follow.

use async_trait::async_trait;
use shared::{internal::Event, time::Timestamp};

use super::{Standing, StoreError};

/// A part of the feed of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) epoch: String,
    pub(crate) events: Vec<Event>,
    pub(crate) last: u64,
}

/// The verbs of the feed.
#[async_trait]
pub(crate) trait EventFeed {
    /// Puts an event on the feed, durably.
    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError>;
    /// Writes to the log of revocations what a restored copy of the store would have otherwise.
    async fn note_standing(&self, standing: Standing, now: Timestamp) -> Result<(), StoreError>;
    /// What the log of revocations has of keys.
    fn logged_keys(&self, now: Timestamp) -> Result<Vec<Standing>, StoreError>;
    /// What came after `after`, or everything that is kept.
    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError>;
}
