//! The gateway's own keys, in the gateway's own store: those that sign identities for backends,
//! and the secrets that seal session ids. Made at the first start, read afterwards. Gateways that
//! share a Redis share both.

mod admin;
mod revoked;
mod ring;
#[cfg(test)]
mod tests;

use std::path::Path;

use auth_server::config::Speed;
use keys::{KeyEncryptionKeys, KeyError, KeySet, Purpose, SecretRing};
use shared::{
    problem::chain,
    time::{Clock, Timestamp},
};
use store::{Embedded, Redis, Script};

pub(crate) use self::{
    admin::{PATH, router},
    ring::Ring,
};
use self::{revoked::RevokedLog, ring::Kept};

/// Where the gateway keeps its key sets.
#[derive(Clone, Debug)]
pub(crate) enum GatewayStore {
    Embedded(Embedded),
    Redis(Redis),
}

static GET: Script = Script::new("get", "return redis.call('GET', KEYS[1])");
/// No key set is empty, so nothing stands for none.
static REPLACE: Script = Script::new(
    "replace",
    "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2]) return 1",
);

/// The record of the keys that sign identities.
const IDENTITY: &str = "keys/gateway-identity";
/// The record of the secrets that seal session ids.
const SESSIONS: &str = "keys/sessions";

/// Reads both key sets: the ring that signs identities, and the secrets. What was revoked stays
/// revoked, whichever copy of the store it is, as far as the data folder knows of it.
pub(crate) async fn open(
    (store, data_dir): (GatewayStore, &Path),
    key: &KeyEncryptionKeys,
    speed: Speed,
    clock: Clock,
) -> Result<(Ring, SecretRing), String> {
    let now = clock.now();
    let mut log = RevokedLog::read(data_dir)?;
    let (record, set) = reinstated(&store, key, &log, now).await?;
    log.note(&set)?;
    let (_, sessions) = key_set(&store, SESSIONS, Purpose::PageSeal, key, now).await?;
    // After the set was read: another gateway may have changed it just before.
    set.check_clock(clock.now(), speed.pace.skew).map_err(|error| chain(&error))?;
    let kept = Kept { clock, kek: key.clone(), speed, store };
    let ring = Ring::new(kept, (record, set), log).map_err(|error| chain(&error))?;
    Ok((ring, sessions.secrets()))
}

/// The ring as it must be after all that is known of it: an older copy goes on from the newest
/// version, without the keys revoked since.
async fn reinstated(
    store: &GatewayStore,
    key: &KeyEncryptionKeys,
    log: &RevokedLog,
    now: Timestamp,
) -> Result<(Vec<u8>, KeySet), String> {
    let problem = |error: KeyError| chain(&error);
    // Other gateways that start find the same, and one of them writes it.
    for _ in 0..TRIES {
        let (record, set) = key_set(store, IDENTITY, Purpose::GatewayIdentity, key, now).await?;
        let next = set.reinstated(&log.revoked, log.highest, now).map_err(problem)?;
        let Some(next) = next else { return Ok((record, set)) };
        let sealed = next.seal(key.of_record(&record)).map_err(problem)?;
        if replace(store, IDENTITY, Some(&record), sealed.clone()).await? {
            let version = next.version;
            tracing::warn!(
                target: "audit", version,
                "an older copy of the gateway's keys was put back; what was revoked stays revoked"
            );
            return Ok((sealed, next));
        }
    }
    Err("other gateways change these keys all the time".to_owned())
}

/// How often that is tried.
const TRIES: usize = 20;

/// Puts new key sets in the place of those that no key-encryption key at hand opens; answers how
/// many they were.
pub(crate) async fn renew(
    store: &GatewayStore,
    key: &KeyEncryptionKeys,
    now: Timestamp,
) -> Result<usize, String> {
    let mut renewed = 0;
    for (name, purpose) in [(IDENTITY, Purpose::GatewayIdentity), (SESSIONS, Purpose::PageSeal)] {
        let Some(record) = read(store, name).await? else { continue };
        match KeySet::open(&record, purpose, key.of_record(&record)) {
            Err(KeyError::OtherKek { .. }) => {}
            Ok(_) => continue,
            Err(error) => return Err(chain(&error)),
        }
        let next = KeySet::in_place_of(&record, purpose, purpose.algorithms(), now);
        let next = next.and_then(|next| next.seal(key.current())).map_err(|error| chain(&error))?;
        if !replace(store, name, Some(&record), next).await? {
            return Err("somebody changed the gateway's keys; stop every gateway first".to_owned());
        }
        renewed += 1;
    }
    Ok(renewed)
}

/// Copies both key sets to a store that has none.
pub(crate) async fn copy(from: &GatewayStore, to: &GatewayStore) -> Result<(), String> {
    for name in [IDENTITY, SESSIONS] {
        if let Some(set) = read(from, name).await? {
            replace(to, name, None, set).await?;
        }
    }
    Ok(())
}

async fn key_set(
    store: &GatewayStore,
    name: &'static str,
    purpose: Purpose,
    key: &KeyEncryptionKeys,
    now: Timestamp,
) -> Result<(Vec<u8>, KeySet), String> {
    let problem = |error: KeyError| chain(&error);
    // Two gateways that start together may both make a set; one of them is kept.
    for _ in 0..2 {
        if let Some(record) = read(store, name).await? {
            let set = KeySet::open(&record, purpose, key.of_record(&record)).map_err(problem)?;
            return Ok((record, set));
        }
        let set = KeySet::first(purpose, now).map_err(problem)?;
        let record = set.seal(key.current()).map_err(problem)?;
        if replace(store, name, None, record.clone()).await? {
            return Ok((record, set));
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

/// Writes a key set over what was read, and tells whether it was that still.
async fn replace(
    store: &GatewayStore,
    name: &'static str,
    expected: Option<&[u8]>,
    next: Vec<u8>,
) -> Result<bool, String> {
    let answer = match store {
        GatewayStore::Embedded(engine) => {
            let expected = expected.map(<[u8]>::to_vec);
            let work = move |writer: &mut store::Writer<'_>| {
                if writer.get(name.as_bytes())? != expected {
                    return Ok(false);
                }
                writer.put(name.as_bytes(), &next, None)?;
                Ok(true)
            };
            engine.write(work).await
        }
        GatewayStore::Redis(redis) => {
            let arguments: [&[u8]; 2] = [expected.unwrap_or_default(), &next];
            let reply = redis.run_durable(&REPLACE, &[name], &arguments).await;
            reply.and_then(|reply| Ok(reply.as_int()? == 1))
        }
    };
    answer.map_err(|error| chain(&error))
}

/// Opens the gateway's embedded store.
pub(crate) fn embedded(path: &Path) -> Result<GatewayStore, String> {
    Embedded::open(path)
        .map(GatewayStore::Embedded)
        .map_err(|error| format!("{}: {error}", path.display()))
}
