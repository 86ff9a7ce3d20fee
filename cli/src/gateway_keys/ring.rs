//! The ring of keys that sign identities, while a gateway runs: it follows what is stored, is
//! changed by compare-and-set, and takes the steps that are due.
//!
//! Invariant: a gateway signs with no key that backends may not hold yet. Every gateway of a store
//! publishes the same ring, and a key waits until all of them have looked at it and every cache of
//! their published keys has ended.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use auth_server::config::Speed;
use gateway::IdentityKeys;
use keys::{Dwell, KeyEncryptionKeys, KeyError, KeySet, Purpose, Step};
use shared::{
    problem::chain,
    time::{Clock, Timestamp},
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{GatewayStore, IDENTITY, SESSIONS, read, replace, revoked::RevokedLog};

/// The longest life of an identity.
const LONGEST: Duration = Duration::from_mins(1);
/// How often a change is tried against gateways that change the same ring.
const TRIES: usize = 20;

/// The ring at work; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ring(Arc<Parts>);

/// Where the ring is kept, and how fast it changes.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) clock: Clock,
    pub(super) kek: KeyEncryptionKeys,
    pub(super) speed: Speed,
    pub(super) store: GatewayStore,
}

#[derive(Debug)]
struct Parts {
    /// Locked while somebody looks or changes something.
    held: Mutex<Held>,
    identity: Arc<ArcSwap<IdentityKeys>>,
    kept: Kept,
}

#[derive(Debug)]
struct Held {
    log: RevokedLog,
    record: Vec<u8>,
    set: KeySet,
}

/// Why the ring is not changed, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RingError {
    #[error("other gateways change these keys all the time")]
    Contended,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the log of revoked keys cannot be written: {0}")]
    Log(String),
    #[error("the store has no gateway keys any more; put it back, or restart every gateway")]
    Missing,
    #[error("{0}")]
    Store(String),
}

impl Ring {
    pub(super) fn new(
        kept: Kept,
        (record, set): (Vec<u8>, KeySet),
        log: RevokedLog,
    ) -> Result<Self, KeyError> {
        let identity =
            Arc::new(ArcSwap::from_pointee(IdentityKeys::of(&set)?.at(&kept.speed.pace)));
        Ok(Self(Arc::new(Parts { held: Mutex::new(Held { log, record, set }), identity, kept })))
    }

    /// What a gateway signs with and publishes, at any moment.
    pub(crate) fn keys(&self) -> Arc<ArcSwap<IdentityKeys>> {
        Arc::clone(&self.0.identity)
    }

    /// Follows the ring until the shutdown, and moves it on when something is due. It does not
    /// matter which gateway does: each step is one change of one record.
    pub(crate) async fn keep(self, shutdown: CancellationToken) {
        let pause = self.0.kept.speed.pace.refresh();
        while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if let Err(error) = self.follow().await {
                tracing::warn!(error = %chain(&error), "the gateway's keys cannot be looked at");
            }
        }
    }

    pub(super) async fn follow(&self) -> Result<(), RingError> {
        let (dwell, every) = (self.dwell(), self.every());
        while let Some(step) = self.look().await?.due(self.now(), &dwell, every) {
            let act = match step {
                Step::Activate(_) => "activate",
                Step::Retire(_) => "retire",
                Step::Withdraw(_) => "withdraw",
            };
            match self.change(|set, now| set.take(&step, now, &dwell)).await {
                Ok(next) => {
                    let version = next.version;
                    tracing::info!(target: "audit", act, version, "the gateway's keys changed");
                }
                // Another gateway was faster, or no key may be added.
                Err(RingError::Key(
                    error @ (KeyError::Full | KeyError::State { .. } | KeyError::TooSoon { .. }),
                )) => {
                    tracing::info!(%error, "a step was not taken");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The ring as it is stored now, which is in use from now on.
    pub(super) async fn look(&self) -> Result<KeySet, RingError> {
        let mut held = self.0.held.lock().await;
        self.look_at(&mut held).await?;
        Ok(held.set.clone())
    }

    /// Changes the ring: `act` gives the next one. This gateway follows at once, others when they
    /// look.
    pub(super) async fn change(
        &self,
        act: impl Fn(&KeySet, Timestamp) -> Result<KeySet, KeyError> + Send + Sync,
    ) -> Result<KeySet, RingError> {
        let kept = &self.0.kept;
        let mut held = self.0.held.lock().await;
        for _ in 0..TRIES {
            self.look_at(&mut held).await?;
            let now = self.now();
            held.set.check_clock(now, kept.speed.pace.skew)?;
            let next = act(&held.set, now)?;
            // Other gateways may not know a new key-encryption key yet.
            let record = next.seal(kept.kek.of_record(&held.record))?;
            if self.replace(IDENTITY, &held.record, &record).await? {
                self.adopt(&mut held, record, next.clone())?;
                return Ok(next);
            }
        }
        Err(RingError::Contended)
    }

    /// Seals both key sets under the current key-encryption key; answers how many were not.
    pub(super) async fn reseal(&self) -> Result<usize, RingError> {
        let kek = &self.0.kept.kek;
        let mut resealed = 0;
        for (name, purpose) in [(IDENTITY, Purpose::GatewayIdentity), (SESSIONS, Purpose::PageSeal)]
        {
            let record = self.read(name).await?;
            let old = kek.of_record(&record);
            let set = KeySet::open(&record, purpose, old)?;
            if old.id() == kek.current().id() {
                continue;
            }
            if !self.replace(name, &record, &set.seal(kek.current())?).await? {
                return Err(RingError::Contended);
            }
            resealed += 1;
        }
        self.look().await?;
        Ok(resealed)
    }

    /// How long keys stay in a state.
    pub(super) fn dwell(&self) -> Dwell {
        self.0.kept.speed.pace.dwell(LONGEST)
    }

    /// How long a key signs until it is replaced by itself.
    pub(super) fn every(&self) -> Option<Duration> {
        self.0.kept.speed.every
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.kept.clock.now()
    }

    async fn look_at(&self, held: &mut Held) -> Result<(), RingError> {
        let record = self.read(IDENTITY).await?;
        if record == held.record {
            return Ok(());
        }
        let kek = self.0.kept.kek.of_record(&record);
        let set = KeySet::open(&record, Purpose::GatewayIdentity, kek)?;
        let set = set.not_older_than(held.set.version)?;
        self.adopt(held, record, set)
    }

    fn adopt(&self, held: &mut Held, record: Vec<u8>, set: KeySet) -> Result<(), RingError> {
        let keys = IdentityKeys::of(&set)?.at(&self.0.kept.speed.pace);
        self.0.identity.store(Arc::new(keys));
        held.record = record;
        held.set = set;
        held.log.note(&held.set).map_err(RingError::Log)
    }

    async fn read(&self, name: &'static str) -> Result<Vec<u8>, RingError> {
        let record = read(&self.0.kept.store, name).await.map_err(RingError::Store)?;
        record.ok_or(RingError::Missing)
    }

    async fn replace(
        &self,
        name: &'static str,
        held: &[u8],
        next: &[u8],
    ) -> Result<bool, RingError> {
        let replaced = replace(&self.0.kept.store, name, Some(held), next.to_vec());
        replaced.await.map_err(RingError::Store)
    }
}
