//! The gateway's own keys, in the gateway's own store: those that sign identities for backends,
//! and the secrets that seal session ids. Made at the first start, read afterwards.

use std::{path::Path, sync::Arc};

use gateway::IdentityKeys;
use keys::{KeyEncryptionKeys, KeySet, Purpose, SecretRing};
use shared::{problem::chain, time::Timestamp};
use store::{Embedded, Redis, Script};

/// Where the gateway keeps its key sets.
#[derive(Clone, Debug)]
pub(crate) enum GatewayStore {
    Embedded(Embedded),
    Redis(Redis),
}

static GET: Script = Script::new("get", "return redis.call('GET', KEYS[1])");
static CREATE: Script =
    Script::new("create", "return redis.call('SET', KEYS[1], ARGV[1], 'NX') and 1 or 0");

/// Reads both key sets.
pub(crate) async fn open(
    store: &GatewayStore,
    key: &KeyEncryptionKeys,
    now: Timestamp,
) -> Result<(Arc<IdentityKeys>, SecretRing), String> {
    let identity =
        key_set(store, "keys/gateway-identity", Purpose::GatewayIdentity, key, now).await?;
    let sessions = key_set(store, "keys/sessions", Purpose::PageSeal, key, now).await?;
    let identity = IdentityKeys::of(&identity).map_err(|error| chain(&error))?;
    Ok((Arc::new(identity), sessions.secrets()))
}

/// Copies both key sets to a store that has none.
pub(crate) async fn copy(from: &GatewayStore, to: &GatewayStore) -> Result<(), String> {
    for name in ["keys/gateway-identity", "keys/sessions"] {
        if let Some(set) = read(from, name).await? {
            create(to, name, set).await?;
        }
    }
    Ok(())
}

async fn key_set(
    store: &GatewayStore,
    name: &str,
    purpose: Purpose,
    key: &KeyEncryptionKeys,
    now: Timestamp,
) -> Result<KeySet, String> {
    let problem = |error: keys::KeyError| chain(&error);
    // Two gateways that start together may both make a set; one of them is kept.
    for _ in 0..2 {
        if let Some(bytes) = read(store, name).await? {
            return KeySet::open(&bytes, purpose, key.of_record(&bytes)).map_err(problem);
        }
        let set = KeySet::first(purpose, now).map_err(problem)?;
        if create(store, name, set.seal(key.current()).map_err(problem)?).await? {
            return Ok(set);
        }
    }
    Err(format!("the key set {name} comes and goes"))
}

async fn read(store: &GatewayStore, name: &str) -> Result<Option<Vec<u8>>, String> {
    let answer = match store {
        GatewayStore::Embedded(engine) => engine.read(|reader| reader.get(name.as_bytes())),
        GatewayStore::Redis(redis) => redis
            .run(&GET, &[name], &[])
            .await
            .and_then(|reply| if reply.is_nil() { Ok(None) } else { reply.into_bytes().map(Some) }),
    };
    answer.map_err(|error| chain(&error))
}

async fn create(store: &GatewayStore, name: &str, set: Vec<u8>) -> Result<bool, String> {
    let answer = match store {
        GatewayStore::Embedded(engine) => {
            let name = name.to_owned();
            let work = move |writer: &mut store::Writer<'_>| {
                if writer.get(name.as_bytes())?.is_some() {
                    return Ok(false);
                }
                writer.put(name.as_bytes(), &set, None)?;
                Ok(true)
            };
            engine.write(work).await
        }
        GatewayStore::Redis(redis) => redis
            .run_durable(&CREATE, &[name], &[&set])
            .await
            .and_then(|reply| Ok(reply.as_int()? == 1)),
    };
    answer.map_err(|error| chain(&error))
}

/// Opens the gateway's embedded store.
pub(crate) fn embedded(path: &Path) -> Result<GatewayStore, String> {
    Embedded::open(path)
        .map(GatewayStore::Embedded)
        .map_err(|error| format!("{}: {error}", path.display()))
}
