//! `vestibule keys renew`: a deployment whose key-encryption key is lost goes on with new keys.

use auth_server::maintenance::{self, MaintenanceError};
use serde_json::json;
use shared::time::Clock;

use super::{
    Failure, Place,
    store::{refused, unused},
    table,
};
use crate::{
    deployment_file::{File, RawEngine},
    gateway_keys, key_encryption_key, stores,
};

/// Renews what cannot be opened in the stores that the deployment file names.
pub(super) async fn run(place: &Place) -> Result<(), Failure> {
    let file = unused(place)?;
    let read = key_encryption_key::read(&file.keys, &place.data_dir).map_err(Failure::Misuse)?;
    let mut renewed = 0;
    let mut refusal = None;
    if has(&file, place, stores::STORE) && !file.listen.auth.is_empty() {
        let config = file.auth().map_err(Failure::Misuse)?;
        let engine = stores::engine(&file, &place.data_dir).await.map_err(Failure::Unavailable)?;
        match maintenance::renew_keys(&engine, &config, &read.keys, &Clock::System).await {
            Ok(count) => renewed += count,
            // The gateway's keys may be lost all the same.
            Err(error @ MaintenanceError::Opens) => refusal = Some(refused(&error)),
            Err(error) => return Err(refused(&error)),
        }
    }
    if has(&file, place, stores::GATEWAY_STORE) && !file.listen.gateway.is_empty() {
        let store = stores::gateway(&file, &place.data_dir).await.map_err(Failure::Unavailable)?;
        let count = gateway_keys::renew(&store, &read.keys, Clock::System.now()).await;
        renewed += count.map_err(Failure::Unavailable)?;
    }
    match refusal {
        Some(refusal) if renewed == 0 => Err(refusal),
        _ => {
            table::one(place, &json!({ "renewed": renewed }));
            Ok(())
        }
    }
}

/// Whether there is such a store: a file that does not exist has nothing that was lost.
fn has(file: &File, place: &Place, name: &str) -> bool {
    match file.store.engine {
        RawEngine::Embedded => place.data_dir.join(name).exists(),
        RawEngine::Redis => true,
    }
}
