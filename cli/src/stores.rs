//! Opening what the services keep, as the deployment file names it.

use std::path::Path;

use auth_server::{App, Engine};
use keys::SecretRing;
use shared::{problem::chain, time::Clock};

use crate::{
    deployment_file::{File, RawEngine},
    gateway_keys::{self, GatewayStore, Ring},
    key_encryption_key, redis,
};

/// The log of revocations, in the data folder.
const JOURNAL: &str = "revocations.journal";
/// auth-server's embedded store, in the data folder.
pub(crate) const STORE: &str = "auth.redb";
/// The gateway's.
pub(crate) const GATEWAY_STORE: &str = "gateway.redb";

/// Opens auth-server's store and state.
pub(crate) async fn open_auth_server(file: &File, data_dir: &Path) -> Result<App, String> {
    let engine = engine(file, data_dir).await?;
    let key = key_encryption_key::read(&file.keys, data_dir)?;
    App::open(file.auth()?, engine, Clock::System, key.keys.clone())
        .await
        .map_err(|error| key.explain(format!("auth-server cannot start: {}", chain(&error))))
}

/// Opens auth-server's engine.
pub(crate) async fn engine(file: &File, data_dir: &Path) -> Result<Engine, String> {
    match file.store.engine {
        RawEngine::Embedded => embedded_engine(&data_dir.join(STORE), data_dir),
        RawEngine::Redis => {
            Ok(Engine::Redis(redis::auth_server(&file.store).await?, data_dir.join(JOURNAL)))
        }
    }
}

/// Opens an embedded engine with the log of revocations of a data folder.
pub(crate) fn embedded_engine(path: &Path, data_dir: &Path) -> Result<Engine, String> {
    Ok(Engine::Embedded(embedded(path)?, Some(data_dir.join(JOURNAL))))
}

/// Opens the keys of the gateway of a data folder in which none runs.
pub(crate) async fn ring(file: &File, data_dir: &Path) -> Result<Ring, String> {
    let store = gateway(file, data_dir).await?;
    Ok(keys_of_gateway(file, data_dir, store).await?.0)
}

/// Opens the gateway's keys.
pub(crate) async fn keys_of_gateway(
    file: &File,
    data_dir: &Path,
    store: GatewayStore,
) -> Result<(Ring, SecretRing), String> {
    let mut problems = Vec::new();
    let speed = file.keys.speed(&mut problems);
    if !problems.is_empty() {
        return Err(file.report(&problems));
    }
    let key = key_encryption_key::read(&file.keys, data_dir)?;
    let opened = gateway_keys::open((store, data_dir), &key.keys, speed, Clock::System).await;
    opened.map_err(|error| key.explain(error))
}

/// Opens the gateway's store.
pub(crate) async fn gateway(file: &File, data_dir: &Path) -> Result<GatewayStore, String> {
    match file.store.engine {
        RawEngine::Embedded => gateway_keys::embedded(&data_dir.join(GATEWAY_STORE)),
        RawEngine::Redis => redis::gateway(&file.store).await.map(GatewayStore::Redis),
    }
}

fn embedded(path: &Path) -> Result<store::Embedded, String> {
    store::Embedded::open(path).map_err(|error| format!("{}: {error}", path.display()))
}
