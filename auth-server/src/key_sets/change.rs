//! Changes of key sets: read, decided by the rules of the `keys` crate, written only over what
//! was read.

use keys::{KeyError, KeySet, Purpose, Urgency};
use shared::{ids::KeyId, internal, time::Timestamp};

use super::{KeySets, PURPOSES, RecordName};
use crate::{
    App,
    audit::{Actor, Event},
    store::StoreError,
};

/// How often a change is tried against others that change the same set.
const TRIES: usize = 20;

/// Why keys are not changed, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyChangeError {
    #[error("others change the {0} keys all the time")]
    Contended(Purpose),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the store has no {0} keys any more; restore it from a back-up")]
    Missing(Purpose),
    #[error(
        "the server {server} cannot open keys sealed under key-encryption key {kek}; start it with \
         that key first"
    )]
    OtherKek { kek: String, server: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeySets {
    /// Changes a set: `act` gives the next one. This server follows at once, others when they
    /// look.
    pub(crate) async fn change(
        &self,
        purpose: Purpose,
        act: impl Fn(&KeySet, Timestamp) -> Result<KeySet, KeyError> + Send + Sync,
    ) -> Result<KeySet, KeyChangeError> {
        let name = purpose.record_name();
        let signatures = self.signatures_of_all().await?;
        for _ in 0..TRIES {
            let record = self.store.key_set(name).await?;
            let record = record.ok_or(KeyChangeError::Missing(purpose))?;
            // Other servers may not know the new key-encryption key yet.
            let kek = self.kek.of_record(&record);
            let set = KeySet::open(&record, purpose, kek)?.noting(&signatures);
            let now = self.clock.now();
            set.check_clock(now, self.policy.pace.skew)?;
            let next = act(&set, now)?;
            if self.store.replace_key_set(name, Some(&record), &next.seal(kek)?).await? {
                let _one = self.looking.lock().await;
                self.look().await?;
                return Ok(next);
            }
        }
        Err(KeyChangeError::Contended(purpose))
    }

    /// Seals every set under the current key-encryption key; answers how many were not. Refused
    /// while a server runs that could not open them.
    pub(crate) async fn reseal(&self) -> Result<usize, KeyChangeError> {
        let current = self.kek.current();
        let servers = self.servers().await?;
        if let Some(behind) = servers.running.iter().find(|one| !one.opens(current.id())) {
            let (kek, server) = (current.id().to_owned(), behind.name.clone());
            return Err(KeyChangeError::OtherKek { kek, server });
        }
        let mut resealed = 0;
        for purpose in PURPOSES {
            let name = purpose.record_name();
            let record = self.store.key_set(name).await?;
            let record = record.ok_or(KeyChangeError::Missing(purpose))?;
            let kek = self.kek.of_record(&record);
            let set = KeySet::open(&record, purpose, kek)?;
            if kek.id() == current.id() {
                continue;
            }
            if !self.store.replace_key_set(name, Some(&record), &set.seal(current)?).await? {
                return Err(KeyChangeError::Contended(purpose));
            }
            resealed += 1;
        }
        let _one = self.looking.lock().await;
        self.look().await?;
        Ok(resealed)
    }
}

impl App {
    /// Changes a set on somebody's behalf, and writes down who it was.
    pub(crate) async fn change_keys(
        &self,
        purpose: Purpose,
        done: (&'static str, &Actor),
        act: impl Fn(&KeySet, Timestamp) -> Result<KeySet, KeyError> + Send + Sync,
    ) -> Result<KeySet, KeyChangeError> {
        let next = self.keys.change(purpose, act).await?;
        let (act, actor) = done;
        let version = next.version;
        self.audit(&Event::KeysChanged { act, actor, purpose: purpose.as_str(), version });
        Ok(next)
    }

    /// Refuses a key everywhere and for ever. Gateways are told before this is answered.
    pub(crate) async fn revoke_key(
        &self,
        purpose: Purpose,
        key: &KeyId,
        urgency: Urgency,
        actor: &Actor,
    ) -> Result<KeySet, KeyChangeError> {
        let dwell = self.keys.policy.dwell(purpose);
        let act = |set: &KeySet, now| {
            // Whoever asks again wants gateways to be told for certain.
            if set.revoked().any(|revoked| revoked == key) {
                return Ok(set.clone());
            }
            set.revoke(key, now, &dwell, urgency)
        };
        let next = self.change_keys(purpose, ("revoke", actor), act).await?;
        self.keys.log_revoked(purpose, key).await?;
        if purpose == Purpose::Issuer {
            self.tell_revoked(std::slice::from_ref(key)).await?;
        }
        Ok(next)
    }

    /// Puts revoked keys on the feed, durably.
    pub(crate) async fn tell_revoked(&self, keys: &[KeyId]) -> Result<(), StoreError> {
        for key in keys {
            let event = internal::Event::Key { key: key.clone() };
            self.store.append_event(&event, self.clock.now()).await?;
        }
        Ok(())
    }
}
