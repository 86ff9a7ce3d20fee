//! New key sets in the place of those that no key-encryption key opens any more.

use keys::{KeyEncryptionKeys, KeyError, KeySet};
use shared::time::Clock;

use super::{PURPOSES, RecordName};
use crate::{
    config::Config,
    engine::Engine,
    maintenance::{MaintenanceError, in_use},
};

/// Puts new key sets, sealed under the current key-encryption key, in the place of those that
/// none of these keys opens; returns how many they were. Everything else stays: accounts, clients,
/// API keys and the audit. Refused while a server uses the store, and where every set opens.
pub async fn renew_keys(
    engine: &Engine,
    config: &Config,
    kek: &KeyEncryptionKeys,
    clock: &Clock,
) -> Result<usize, MaintenanceError> {
    let now = clock.now();
    let whole = engine.whole(clock)?;
    in_use(engine, &whole, now).await?;
    let store = whole.store();
    let mut renewed = 0;
    for purpose in PURPOSES {
        let name = purpose.record_name();
        let Some(record) = store.key_set(name).await? else { continue };
        match KeySet::open(&record, purpose, kek.of_record(&record)) {
            Err(KeyError::OtherKek { .. }) => {}
            Ok(_) => continue,
            // A set that was changed by somebody is no lost key.
            Err(error) => return Err(error.into()),
        }
        let algorithms = config.keys.algorithms_of(purpose);
        let next = KeySet::in_place_of(&record, purpose, algorithms, now)?;
        if !store.replace_key_set(name, Some(&record), &next.seal(kek.current())?).await? {
            return Err(MaintenanceError::Changed);
        }
        renewed += 1;
    }
    if renewed == 0 {
        return Err(MaintenanceError::Opens);
    }
    whole.settle().await?;
    Ok(renewed)
}
