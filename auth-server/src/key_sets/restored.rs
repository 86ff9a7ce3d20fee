//! What became of keys is also in the log of revocations, outside the store and its back-ups: a
//! key set that was put back goes on from the newest version, and what was revoked since stays
//! revoked.

use keys::{Algorithm, KeyEncryptionKeys, KeyError, KeySet, Purpose};
use shared::{ids::KeyId, time::Timestamp};

use super::{Held, KeyChangeError, KeySets, Keys, RACES, RecordName};
use crate::{
    error::log,
    store::{Standing, Store, StoreError},
};

/// The set as it must be after everything that the log has of it, with keys of every algorithm
/// that is asked for.
pub(super) async fn brought_up(
    store: &dyn Store,
    algorithms: &[Algorithm],
    mut held: Held,
    (kek, now): (&KeyEncryptionKeys, Timestamp),
) -> Result<Held, KeyChangeError> {
    let purpose = held.set.purpose();
    let (revoked, highest) = logged(store, purpose, now)?;
    for _ in 0..RACES {
        let next = match held.set.reinstated(&revoked, highest, now)? {
            Some(set) => {
                let version = set.version;
                tracing::warn!(%purpose, version, "an older key set was put back; it is brought up");
                Some(set)
            }
            None => match held.set.with_algorithms(algorithms, now) {
                Err(error @ KeyError::Full) => {
                    tracing::warn!(%purpose, %error, "a key of a new algorithm waits for a start");
                    return Ok(held);
                }
                next => next?,
            },
        };
        let Some(set) = next else { return Ok(held) };
        let record = set.seal(kek.of_record(&held.record))?;
        let name = purpose.record_name();
        if store.replace_key_set(name, Some(&held.record), &record).await? {
            let version = set.version;
            store.note_standing(Standing::KeySet { purpose, version }, now).await?;
            held = Held { record, set };
            continue;
        }
        // Another server that starts was faster.
        let record = store.key_set(name).await?.ok_or(KeyChangeError::Missing(purpose))?;
        let set = KeySet::open(&record, purpose, kek.of_record(&record))?;
        held = Held { record, set };
    }
    Err(KeyChangeError::Contended(purpose))
}

fn logged(
    store: &dyn Store,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(Vec<KeyId>, u64), StoreError> {
    let (mut revoked, mut highest) = (Vec::new(), 0);
    for standing in store.logged_keys(now)? {
        match standing {
            Standing::KeyGone { key, purpose: of } if of == purpose => revoked.push(key),
            Standing::KeySet { purpose: of, version } if of == purpose => {
                highest = highest.max(version);
            }
            _ => {}
        }
    }
    Ok((revoked, highest))
}

impl KeySets {
    /// Notes that a key is refused for ever, durably.
    pub(super) async fn log_revoked(
        &self,
        purpose: Purpose,
        key: &KeyId,
    ) -> Result<(), StoreError> {
        let gone = Standing::KeyGone { key: key.clone(), purpose };
        self.store.note_standing(gone, self.clock.now()).await
    }

    /// Notes what differs from the sets before, whoever changed it.
    pub(super) async fn log_changes(&self, before: &Keys) {
        for now in self.sets() {
            let held = before.sets.iter().find(|held| held.set.purpose() == now.purpose());
            if held.is_some_and(|held| held.set.version >= now.version) {
                continue;
            }
            let known =
                |key: &KeyId| held.is_some_and(|held| held.set.revoked().any(|id| id == key));
            let (purpose, version) = (now.purpose(), now.version);
            let mut notes = vec![Standing::KeySet { purpose, version }];
            let gone = now.revoked().filter(|key| !known(key)).cloned();
            notes.extend(gone.map(|key| Standing::KeyGone { key, purpose }));
            for note in notes {
                if let Err(error) = self.store.note_standing(note, self.clock.now()).await {
                    log(&error);
                }
            }
        }
    }
}
