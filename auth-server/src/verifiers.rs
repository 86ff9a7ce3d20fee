//! Which gateways there are, and which keys each of them would accept: as they report it, for
//! whoever moves keys.

use std::time::Duration;

use shared::{
    ids::KeyId,
    internal::{SeenKey, Usage, Verifier},
};

use crate::{
    App,
    store::{Kind, Store, StoreError},
};

/// How often a report that says nothing new is written down.
const STEP: Duration = Duration::from_secs(10);
/// How long a gateway that reports no more is remembered.
const KEPT: Duration = Duration::from_mins(10);
/// More gateways than this are not listed.
const MOST: usize = 1000;
/// Longer names, and more keys, than any honest gateway has.
const LONGEST_NAME: usize = 64;
const MOST_KEYS: usize = 64;

impl App {
    /// The gateways that reported lately, in the order of their names.
    pub async fn verifiers(&self) -> Result<Vec<Verifier>, StoreError> {
        let now = self.clock.now();
        let known = self.store.verifiers().await?;
        Ok(known.into_iter().filter(|verifier| verifier.at.plus(KEPT) > now).collect())
    }

    /// Notes what a gateway verifies with.
    pub(crate) async fn note_verifier(&self, usage: &Usage) -> Result<(), StoreError> {
        let name = usage.verifier.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
            return Ok(());
        }
        let now = self.clock.now();
        let held = self.store.verifier(name).await?;
        let kids = || usage.kids.iter().take(MOST_KEYS);
        let is_news = held.as_ref().is_none_or(|held| {
            held.at.plus(STEP) <= now
                || held.key_set_version != usage.key_set_version
                || !held.keys.iter().map(|seen| &seen.kid).eq(kids())
        });
        if !is_news {
            return Ok(());
        }
        let since = |kid: &KeyId| {
            let before = held.iter().flat_map(|held| &held.keys).find(|seen| seen.kid == *kid);
            before.map_or(now, |seen| seen.since)
        };
        let keys = kids().map(|kid| SeenKey { kid: kid.clone(), since: since(kid) }).collect();
        let key_set_version = usage.key_set_version;
        let verifier = Verifier { at: now, key_set_version, keys, name: name.to_owned() };
        self.store.put_verifier(&verifier).await
    }
}

impl dyn Store + '_ {
    async fn verifier(&self, name: &str) -> Result<Option<Verifier>, StoreError> {
        self.read(Kind::Verifier, name).await
    }

    async fn verifiers(&self) -> Result<Vec<Verifier>, StoreError> {
        let all = self.list(Kind::Verifier, "", None, MOST).await?;
        Ok(all.into_iter().map(|(_, verifier)| verifier).collect())
    }

    async fn put_verifier(&self, verifier: &Verifier) -> Result<(), StoreError> {
        let expires = verifier.at.plus(KEPT);
        self.write(Kind::Verifier, &verifier.name, verifier, Some(expires)).await
    }
}
