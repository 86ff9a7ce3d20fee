//! Records in the file.

use async_trait::async_trait;
use shared::time::Timestamp;
use store::Writer;

use super::{
    EmbeddedStore,
    keys::{count_key, number, record_key},
};
use crate::store::{Expected, Kind, Records, StoreError};

#[async_trait]
impl Records for EmbeddedStore {
    async fn record(&self, kind: Kind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = record_key(kind, key);
        Ok(self.engine.read(|reader| reader.get(key.as_bytes()))?)
    }

    async fn replace_record(
        &self,
        kind: Kind,
        key: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let key = record_key(kind, key);
        let expected = match expected {
            Expected::Absent => Some(None),
            Expected::Anything => None,
            Expected::Same(bytes) => Some(Some(bytes.to_vec())),
        };
        let (value, expires) = (value.map(<[u8]>::to_vec), expires.map(Timestamp::millis));
        let counter = kind.is_counted().then(|| count_key(kind));
        let work = move |writer: &mut Writer<'_>| {
            if let Some(expected) = expected
                && writer.get(key.as_bytes())? != expected
            {
                return Ok(false);
            }
            if let Some(counter) = &counter {
                let (was, is) = (writer.get(key.as_bytes())?.is_some(), value.is_some());
                let count = writer.get(counter.as_bytes())?.map_or(0, |bytes| number(&bytes));
                let count = (count + u64::from(is)).saturating_sub(u64::from(was));
                writer.put(counter.as_bytes(), &count.to_be_bytes(), None)?;
            }
            match value {
                Some(value) => writer.put(key.as_bytes(), &value, expires)?,
                None => {
                    writer.delete(key.as_bytes())?;
                }
            }
            Ok(true)
        };
        Ok(self.engine.write(work).await?)
    }

    async fn records(
        &self,
        kind: Kind,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let start = record_key(kind, "");
        let (prefix, after) = (record_key(kind, prefix), after.map(|key| record_key(kind, key)));
        let entries = self.engine.read(|reader| match &after {
            Some(after) => reader.scan_after(prefix.as_bytes(), after.as_bytes(), limit),
            None => reader.scan(prefix.as_bytes(), limit),
        })?;
        let named = |(key, value): (Vec<u8>, Vec<u8>)| {
            let key = String::from_utf8(key).ok()?;
            Some((key.strip_prefix(&start)?.to_owned(), value))
        };
        Ok(entries.into_iter().filter_map(named).collect())
    }
    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let counter = count_key(kind);
        let count = self.engine.read(|reader| reader.get(counter.as_bytes()))?;
        Ok(count.map_or(0, |bytes| number(&bytes)))
    }
}
