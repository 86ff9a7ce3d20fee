//! Everything that is kept: for copies of a whole store, never for a request.

use std::collections::HashSet;

use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::{
    Redis, Script,
    fault::{fault, silent},
};
use crate::StoreError;

/// How many keys one answer of the server is about.
const PAGE: usize = 1000;

static NOTHING: Script = Script::new("nothing", "return redis.call('EXISTS', KEYS[1])");

impl Redis {
    /// Every key, sorted. One that comes or goes meanwhile may be missing.
    pub async fn keys_kept(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for place in self.0.server.places().await? {
            let mut connection = self.0.server.own(&place).await?;
            let mut cursor = 0;
            loop {
                let (next, page) = self.page(&mut connection, cursor).await?;
                found.extend(page);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        // A server may name a key twice.
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Waits until what was written so far under these keys cannot be lost.
    pub async fn settle(&self, keys: &[String]) -> Result<(), StoreError> {
        let mut settled = HashSet::new();
        for key in keys {
            let stored = [self.0.prefix.as_str(), key].concat();
            let place = self.0.server.place(Some(&stored)).await?;
            if settled.insert(place.name()) {
                self.run_durable(&NOTHING, &[key], &[]).await?;
            }
        }
        Ok(())
    }

    async fn page(
        &self,
        connection: &mut MultiplexedConnection,
        cursor: u64,
    ) -> Result<(u64, Vec<String>), StoreError> {
        let (prefix, limit) = (&self.0.prefix, self.0.server.response_timeout());
        let mut question = redis::cmd("SCAN");
        question.arg(cursor).arg("MATCH").arg(pattern(prefix)).arg("COUNT").arg(PAGE);
        let (next, page): (u64, Vec<String>) = timeout(limit, question.query_async(connection))
            .await
            .map_err(|_| silent(limit))?
            .map_err(|error| fault(&error))?;
        let own = |key: String| key.strip_prefix(prefix.as_str()).map(str::to_owned);
        Ok((next, page.into_iter().filter_map(own).collect()))
    }
}

/// What matches the keys that begin with the prefix.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::new();
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('*');
    pattern
}
