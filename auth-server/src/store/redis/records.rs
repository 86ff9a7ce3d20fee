//! Records in Redis: a string each, and for listed kinds a sorted set of their keys. One server
//! writes both in one script; in a Cluster the set is written before a record. Whoever lists mends
//! what has expired since.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use shared::time::Timestamp;
use store::{Reply, Script};

use super::{
    RedisStore,
    keys::{list_key, record_key},
};
use crate::store::{Expected, Kind, NewRecord, Records, StoreError};

static LIST: Script = Script::new("list", include_str!("list.lua"));
static NOTE: Script = Script::new(
    "note",
    "for _, key in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 0, key) end return 1",
);
static PUT_RECORDS: Script =
    Script::new("put_records", include_str!("put_records.lua")).across_slots();
static REPLACE: Script = Script::new("replace", include_str!("replace.lua"));
/// The same with the note.
static REPLACE_NOTED: Script =
    Script::new("replace_noted", include_str!("replace.lua")).across_slots();
static UNNOTE: Script = Script::new(
    "unnote",
    "for _, key in ipairs(ARGV) do redis.call('ZREM', KEYS[1], key) end return 1",
);

static UNNOTE_GONE: Script = Script::new(
    "unnote_gone",
    "return redis.call('EXISTS', KEYS[2]) == 0 and redis.call('ZREM', KEYS[1], ARGV[1])",
)
.across_slots();

#[async_trait]
impl Records for RedisStore {
    async fn record(&self, kind: Kind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = record_key(kind, key);
        if let Some(recent) = self.recent.find(kind, &key) {
            return Ok(Some(recent.to_vec()));
        }
        let reply = self.redis.get(&key).await?;
        if reply.is_nil() {
            return Ok(None);
        }
        let value = reply.into_bytes()?;
        self.recent.keep(kind, &key, &value);
        Ok(Some(value))
    }

    async fn records_at(&self, at: &[(Kind, &str)]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if !self.redis.is_one_server() {
            return try_join_all(at.iter().map(|(kind, key)| self.record(*kind, key))).await;
        }
        let keys: Vec<String> = at.iter().map(|(kind, key)| record_key(*kind, key)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let values = self.redis.get_all(&keys).await?.into_iter();
        let value =
            |reply: Reply| if reply.is_nil() { Ok(None) } else { reply.into_bytes().map(Some) };
        Ok(values.map(value).collect::<Result<_, _>>()?)
    }

    async fn replace_record(
        &self,
        kind: Kind,
        key: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        if !kind.is_listed() || self.redis.is_one_server() {
            return self.replace((kind, key), expected, value, expires).await;
        }
        if value.is_some() {
            self.redis.run(&NOTE, &[&list_key(kind)], &[key.as_bytes()]).await?;
        }
        let replaced = self.replace((kind, key), expected, value, expires).await?;
        if replaced {
            // Again, because a reader that came in between took the note for one of a record
            // that has expired.
            let script = if value.is_some() { &NOTE } else { &UNNOTE };
            self.redis.run(script, &[&list_key(kind)], &[key.as_bytes()]).await?;
        }
        Ok(replaced)
    }

    async fn put_records(
        &self,
        kind: Kind,
        new: &[NewRecord],
        gone: &[String],
    ) -> Result<(), StoreError> {
        if kind.is_listed() && self.redis.is_one_server() {
            return self.put_at_once(kind, new, gone).await;
        }
        let noted = list_key(kind);
        let names: Vec<&[u8]> = new.iter().map(|record| record.key.as_bytes()).collect();
        let note = async || -> Result<(), StoreError> {
            if kind.is_listed() && !names.is_empty() {
                self.redis.run(&NOTE, &[&noted], &names).await?;
            }
            Ok(())
        };
        note().await?;
        let any = Expected::Anything;
        let written = new.iter().map(|NewRecord { expires, key, value }| {
            self.replace((kind, key), any, Some(value), *expires)
        });
        let deleted = gone.iter().map(|key| self.replace((kind, key), any, None, None));
        try_join_all(written.chain(deleted)).await?;
        // For the reason that a single record is noted again.
        note().await?;
        if kind.is_listed() && !gone.is_empty() {
            let names: Vec<&[u8]> = gone.iter().map(String::as_bytes).collect();
            self.redis.run(&UNNOTE, &[&noted], &names).await?;
        }
        Ok(())
    }

    async fn records(
        &self,
        kind: Kind,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let noted = list_key(kind);
        let mut found = Vec::new();
        let mut after = after.map(str::to_owned);
        while found.len() < limit {
            let most = (limit - found.len()).to_string();
            let from = after.as_deref().unwrap_or_default();
            let arguments = [prefix.as_bytes(), from.as_bytes(), most.as_bytes()];
            let keys = self.redis.run(&LIST, &[&noted], &arguments).await?.into_array()?;
            let Some(last) = keys.last() else { break };
            after = Some(last.as_str()?.to_owned());
            for key in &keys {
                let key = key.as_str()?;
                match self.record(kind, key).await? {
                    Some(value) => found.push((key.to_owned(), value)),
                    // Expired, or never written.
                    None => self.unnote(kind, key).await?,
                }
            }
        }
        Ok(found)
    }
    async fn count(&self, kind: Kind) -> Result<u64, StoreError> {
        let count = self.redis.count(&list_key(kind)).await?.as_int()?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

impl RedisStore {
    /// Writes or deletes a record; its note in the list where one server has both.
    async fn replace(
        &self,
        (kind, key): (Kind, &str),
        expected: Expected<'_>,
        value: Option<&[u8]>,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let at = record_key(kind, key);
        let (mode, held): (&[u8], &[u8]) = match expected {
            Expected::Absent => (b"absent", b""),
            Expected::Anything => (b"anything", b""),
            Expected::Same(bytes) => (b"same", bytes),
        };
        let (action, new): (&[u8], &[u8]) = match value {
            Some(value) => (b"set", value),
            None => (b"delete", b""),
        };
        let expires = expires.map_or(0, Timestamp::millis).to_string();
        let arguments = [mode, held, action, new, expires.as_bytes(), key.as_bytes()];
        let noted = list_key(kind);
        let keys = [at.as_str(), &noted];
        let (script, keys) = if kind.is_listed() && self.redis.is_one_server() {
            (&REPLACE_NOTED, keys.as_slice())
        } else {
            (&REPLACE, &keys[..1])
        };
        let reply = if kind.is_durable() {
            self.run_lasting(script, keys, &arguments).await
        } else {
            self.redis.run(script, keys, &arguments).await
        };
        // Whatever came of it: who reads next must see it, or what another process wrote.
        self.recent.forget(kind, &at);
        Ok(reply?.as_int()? == 1)
    }

    /// Takes back the note of a record that was not found: one server looks again, for it may
    /// have been written meanwhile.
    async fn unnote(&self, kind: Kind, key: &str) -> Result<(), StoreError> {
        let (noted, at) = (list_key(kind), record_key(kind, key));
        let keys = [noted.as_str(), &at];
        let (script, keys) = if self.redis.is_one_server() {
            (&UNNOTE_GONE, keys.as_slice())
        } else {
            (&UNNOTE, &keys[..1])
        };
        self.redis.run(script, keys, &[key.as_bytes()]).await?;
        Ok(())
    }

    /// Writes and deletes records with their notes, in one script.
    async fn put_at_once(
        &self,
        kind: Kind,
        new: &[NewRecord],
        gone: &[String],
    ) -> Result<(), StoreError> {
        let names = new.iter().map(|record| &record.key).chain(gone);
        let keys: Vec<String> =
            std::iter::once(list_key(kind)).chain(names.map(|key| record_key(kind, key))).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let count = new.len().to_string();
        let expiries: Vec<String> = new
            .iter()
            .map(|record| record.expires.map_or(0, Timestamp::millis).to_string())
            .collect();
        let mut arguments = vec![count.as_bytes()];
        for (record, expires) in new.iter().zip(&expiries) {
            arguments.extend([record.key.as_bytes(), record.value.as_slice(), expires.as_bytes()]);
        }
        arguments.extend(gone.iter().map(String::as_bytes));
        let done = if kind.is_durable() {
            self.run_lasting(&PUT_RECORDS, &keys, &arguments).await
        } else {
            self.redis.run(&PUT_RECORDS, &keys, &arguments).await
        };
        // Whatever came of it, as for a single record.
        for at in keys.iter().skip(1) {
            self.recent.forget(kind, at);
        }
        done?;
        Ok(())
    }
}
