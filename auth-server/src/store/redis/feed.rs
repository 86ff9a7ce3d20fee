//! The feed in Redis.

use async_trait::async_trait;
use shared::{internal::Event, time::Timestamp};
use store::{Reply, Script};

use super::RedisStore;
use crate::store::{
    EVENT_LIFE, EventFeed, FEED_PAGE, Feed, Standing, StoreError,
    record::{decode, encode},
};

static APPEND_EVENT: Script = Script::new("append_event", include_str!("append_event.lua"));
static FEED: Script = Script::new("feed", include_str!("feed.lua"));

#[async_trait]
impl EventFeed for RedisStore {
    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        let value = encode(event)?;
        let forget = now.plus(EVENT_LIFE).millis().to_string();
        let now = now.millis().to_string();
        let arguments = [value.as_slice(), forget.as_bytes(), now.as_bytes()];
        self.run_lasting(&APPEND_EVENT, &["{feed}:last", "{feed}:events"], &arguments).await?;
        Ok(())
    }

    async fn note_standing(&self, _: Standing, _: Timestamp) -> Result<(), StoreError> {
        // The guard of this store has the log.
        Ok(())
    }

    fn logged_keys(&self, _: Timestamp) -> Result<Vec<Standing>, StoreError> {
        Ok(Vec::new())
    }

    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError> {
        let after = after.unwrap_or(0).to_string();
        let keys = ["{feed}:last", "{feed}:events", "{feed}:epoch"];
        let arguments = [after.as_bytes(), self.epoch.as_bytes()];
        let parts = self.redis.run(&FEED, &keys, &arguments).await?.into_array()?;
        let corrupt = || StoreError::Corrupt("the feed".to_owned());
        let epoch =
            parts.first().and_then(|reply| reply.as_str().ok()).ok_or_else(corrupt)?.to_owned();
        let last =
            parts.get(1).and_then(|reply| reply.as_str().ok()).and_then(|text| text.parse().ok());
        let entries =
            parts.into_iter().nth(2).map(Reply::into_array).transpose()?.unwrap_or_default();
        let mut last: u64 = last.ok_or_else(corrupt)?;
        let mut events = Vec::with_capacity(entries.len());
        for entry in &entries {
            let mut parts = entry.as_str()?.splitn(3, ' ');
            let seq = parts.next().and_then(|seq| seq.parse().ok()).ok_or_else(corrupt)?;
            events.push(decode(parts.nth(1).ok_or_else(corrupt)?.as_bytes())?);
            // A full page ends where it ends; the reader goes on from there.
            if events.len() == FEED_PAGE {
                last = seq;
            }
        }
        Ok(Feed { epoch, events, last })
    }
}
