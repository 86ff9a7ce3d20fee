//! The feed in the file.

use async_trait::async_trait;
use shared::{internal::Event, time::Timestamp};
use store::Writer;

use super::{
    EmbeddedStore,
    keys::{FEED_LAST, corrupt, event_key, event_seq, number},
};
use crate::store::{
    EVENT_LIFE, EventFeed, FEED_PAGE, Feed, Standing, StoreError,
    record::{decode, encode},
};

#[async_trait]
impl EventFeed for EmbeddedStore {
    async fn append_event(&self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        self.log(event, now).await?;
        let event = event.clone();
        Ok(self.engine.write(move |writer| append(writer, &event, now)).await?)
    }

    async fn note_standing(&self, standing: Standing, now: Timestamp) -> Result<(), StoreError> {
        match &self.journal {
            Some(journal) => journal.note(standing, now).await,
            None => Ok(()),
        }
    }

    fn logged_keys(&self, now: Timestamp) -> Result<Vec<Standing>, StoreError> {
        self.journal.as_ref().map_or_else(|| Ok(Vec::new()), |journal| journal.keys(now))
    }

    async fn feed(&self, after: Option<u64>) -> Result<Feed, StoreError> {
        let (last, entries) = self.engine.read(|reader| {
            let last = reader.get(FEED_LAST)?.map_or(0, |bytes| number(&bytes));
            let from = event_key(after.unwrap_or(0));
            let none = after.is_some_and(|after| after >= last);
            let entries = if none {
                Vec::new()
            } else {
                reader.scan_after(b"event/", from.as_bytes(), FEED_PAGE)?
            };
            Ok((last, entries))
        })?;
        let events = entries.iter().map(|(_, value)| decode(value)).collect::<Result<_, _>>()?;
        // A full page ends where it ends; the reader goes on from there.
        let last = match entries.last() {
            Some((key, _)) if entries.len() == FEED_PAGE => event_seq(key).unwrap_or(last),
            _ => last,
        };
        Ok(Feed { epoch: self.epoch.clone(), events, last })
    }
}

pub(super) fn append(
    writer: &mut Writer<'_>,
    event: &Event,
    now: Timestamp,
) -> Result<(), store::StoreError> {
    put_event(writer, event, now.plus(EVENT_LIFE))
}

pub(in crate::store) fn put_event(
    writer: &mut Writer<'_>,
    event: &Event,
    expires: Timestamp,
) -> Result<(), store::StoreError> {
    let seq = writer.get(FEED_LAST)?.map_or(0, |bytes| number(&bytes)) + 1;
    writer.put(
        event_key(seq).as_bytes(),
        &encode(event).map_err(|error| corrupt(&error))?,
        Some(expires.millis()),
    )?;
    writer.put(FEED_LAST, &seq.to_be_bytes(), None)
}
