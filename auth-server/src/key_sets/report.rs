//! What each auth-server says of the keys it holds: for whoever moves keys, and for the measured
//! time of a key's last signature.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{ids::KeyId, time::Timestamp};

use super::{KeyChangeError, KeySets};
use crate::store::{Kind, StoreError};

/// How long a server's report is kept: its last signature counts for as long as a key retires.
const KEPT: Duration = Duration::from_hours(24);
/// More servers than this are not looked at.
const MOST: usize = 1000;

/// A server's report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyServer {
    pub(crate) at: Timestamp,
    /// The key-encryption keys it opens sets with.
    pub(crate) keks: Vec<String>,
    pub(crate) name: String,
    /// When it first held this version of the issuer's set.
    #[serde(default)]
    pub(crate) since: Option<Timestamp>,
    /// When it last signed with a key.
    pub(crate) signed: BTreeMap<KeyId, Timestamp>,
    /// The version that it holds of each set, by purpose.
    pub(crate) versions: BTreeMap<String, u64>,
}

/// The servers that reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyServers {
    all: Vec<KeyServer>,
    /// Those that still run.
    pub(crate) running: Vec<KeyServer>,
}

impl KeyServer {
    /// Whether it can open what is sealed under the key-encryption key.
    pub(crate) fn opens(&self, kek: &str) -> bool {
        self.keks.iter().any(|known| known == kek)
    }
}

impl KeySets {
    /// The servers that report, in the order of their names.
    pub(crate) async fn servers(&self) -> Result<KeyServers, StoreError> {
        let all: Vec<(String, KeyServer)> =
            self.store.list(Kind::KeyServer, "", None, MOST).await?;
        let all: Vec<KeyServer> = all.into_iter().map(|(_, server)| server).collect();
        let now = self.clock.now();
        let life = self.policy.pace.view * 2;
        let running = all.iter().filter(|one| one.at.plus(life) > now).cloned().collect();
        Ok(KeyServers { all, running })
    }

    /// Says what this server holds.
    pub(super) async fn report(&self) -> Result<(), KeyChangeError> {
        let held = self.held.load_full();
        self.note_signature(&held);
        let signed = self.signatures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let versions = held
            .sets
            .iter()
            .map(|held| (held.set.purpose().as_str().to_owned(), held.set.version))
            .collect();
        let server = KeyServer {
            at: self.clock.now(),
            keks: self.kek.ids().map(str::to_owned).collect(),
            name: self.server.clone(),
            since: Some(held.since),
            signed,
            versions,
        };
        let expires = Some(server.at.plus(KEPT));
        let store = &*self.store;
        store.write(Kind::KeyServer, &self.server, &server, expires).await?;
        Ok(())
    }

    /// Says that this server has ended.
    pub(super) async fn withdraw_report(&self) -> Result<(), StoreError> {
        let (store, signatures) = (&*self.store, self.signatures_of_all().await?);
        if !signatures.is_empty() {
            let name = &self.server;
            let ended = |server: &KeyServer| {
                let at = Timestamp::default();
                Some((KeyServer { at, ..server.clone() }, Some(server.at.plus(KEPT))))
            };
            store.update(Kind::KeyServer, name, ended).await?;
            return Ok(());
        }
        store.delete(Kind::KeyServer, &self.server).await?;
        Ok(())
    }

    /// When any server last signed with each key.
    pub(super) async fn signatures_of_all(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        let servers = self.servers().await?;
        Ok(servers.all.into_iter().flat_map(|server| server.signed).collect())
    }
}
