//! The key sets while the server runs: read again from the store all the time, changed by
//! compare-and-set, and never signed with when the view of them is too old.

mod change;
mod keep;
mod renewed;
mod report;
mod restored;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use keys::{
    Algorithm, KeyEncryptionKeys, KeyError, KeySet, Purpose, SecretRing, SigningKey, VerifyingKeys,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::{
    ids::KeyId,
    time::{Clock, Timestamp},
};

pub use self::{change::KeyChangeError, renewed::renew_keys};
use crate::{
    config::KeyPolicy,
    error::Fault,
    store::{Store, StoreError},
};

/// The purposes of auth-server's sets.
pub(crate) const PURPOSES: [Purpose; 3] = [Purpose::Issuer, Purpose::RefreshMac, Purpose::PageSeal];

/// How long one start waits for another that is making the same keys.
const RACES: usize = 20;
/// How soon an unknown key id makes us look at the store again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The sets in use, and the way to change them.
#[derive(Debug)]
pub(crate) struct KeySets {
    /// How long the published set may be cached, as its header says it.
    pub(crate) cache_control: HeaderValue,
    clock: Clock,
    /// When the store last confirmed what is held, in milliseconds.
    confirmed: AtomicU64,
    held: ArcSwap<Keys>,
    kek: KeyEncryptionKeys,
    looking: tokio::sync::Mutex<()>,
    pub(crate) policy: KeyPolicy,
    /// What this process is called in reports.
    pub(crate) server: String,
    /// When this process last signed with each key.
    signatures: Mutex<BTreeMap<KeyId, Timestamp>>,
    store: Arc<dyn Store>,
}

/// The keys of one moment.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) jwks: Bytes,
    /// Its entity tag (RFC 9110 section 8.8.3).
    pub(crate) jwks_tag: HeaderValue,
    /// MACs of refresh tokens.
    pub(crate) refresh: SecretRing,
    /// Seals requests into pages.
    pub(crate) seal: SecretRing,
    sets: Vec<Held>,
    /// When this process first held them.
    since: Timestamp,
    signing: BTreeMap<Algorithm, Signing>,
    /// Every published key, for tokens that come back to us.
    pub(crate) verifying: VerifyingKeys,
}

/// A key that signs.
#[derive(Debug)]
struct Signing {
    key: SigningKey,
    /// When it last did, in milliseconds.
    last: AtomicU64,
}

/// A set with the record it was read from.
#[derive(Clone, Debug)]
struct Held {
    record: Vec<u8>,
    set: KeySet,
}

impl KeySets {
    /// Reads the sets, and makes them if they were never stored.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        kek: KeyEncryptionKeys,
        policy: KeyPolicy,
        clock: Clock,
        server: String,
    ) -> Result<Self, KeyChangeError> {
        let now = clock.now();
        let mut sets = Vec::new();
        for purpose in PURPOSES {
            let algorithms = policy.algorithms_of(purpose);
            let held = first(&*store, purpose, algorithms, (&kek, now)).await?;
            // After the set was read: another server may have changed it just before.
            held.set.check_clock(clock.now(), policy.pace.skew)?;
            sets.push(restored::brought_up(&*store, algorithms, held, (&kek, now)).await?);
        }
        Ok(Self {
            cache_control: header(&policy.pace.cache_control()),
            clock,
            confirmed: AtomicU64::new(now.millis()),
            held: ArcSwap::from_pointee(Keys::of(sets, now)?),
            kek,
            looking: tokio::sync::Mutex::default(),
            policy,
            server,
            signatures: Mutex::default(),
            store,
        })
    }

    /// The keys of this moment.
    pub(crate) fn held(&self) -> Guard<Arc<Keys>> {
        self.held.load()
    }

    /// Signs a token (RFC 7515) with an algorithm, unless the view of the keys is too old to be
    /// relied on.
    pub(crate) fn sign<T: Serialize>(
        &self,
        algorithm: Algorithm,
        typ: &str,
        claims: &T,
    ) -> Result<String, Fault> {
        Ok(keys::sign(&self.signing(algorithm)?, typ, claims)?)
    }

    /// Signs an answer that nobody presents to us.
    pub(crate) fn sign_answer<T: Serialize>(&self, typ: &str, claims: &T) -> Result<String, Fault> {
        let algorithm = self.signs(self.policy.usual());
        Ok(keys::sign_answer(&self.signing(algorithm)?, typ, claims)?)
    }

    /// The algorithm, if there is a key of it that signs; otherwise another. One that is new
    /// signs when every verifier holds its key.
    pub(crate) fn signs(&self, algorithm: Algorithm) -> Algorithm {
        let held = self.held();
        let mut ours = std::iter::once(&algorithm).chain(&self.policy.algorithms);
        let usual = ours.find(|algorithm| held.signing.contains_key(*algorithm)).copied();
        usual.or_else(|| held.signing.keys().next().copied()).unwrap_or(algorithm)
    }

    /// The ids that are never admitted again.
    pub(crate) fn revoked(&self) -> Vec<KeyId> {
        let held = self.held();
        let issuer = held.sets.iter().filter(|held| held.set.purpose() == Purpose::Issuer);
        issuer.flat_map(|held| held.set.revoked()).cloned().collect()
    }

    /// The sets of this moment.
    pub(crate) fn sets(&self) -> Vec<KeySet> {
        self.held().sets.iter().map(|held| held.set.clone()).collect()
    }

    /// Looks at the store if the view is getting old. Without the store the view just ages.
    pub(crate) async fn keep_fresh(&self) {
        if self.age() < self.policy.pace.view / 2 {
            return;
        }
        if let Err(error) = self.seen_since(self.clock.now()).await {
            crate::error::log(&error);
        }
    }

    /// Looks at the store because somebody names a key that is not held, but not all the time.
    pub(crate) async fn look_again(&self) {
        if self.age() >= LOOK_AGAIN
            && let Err(error) = self.seen_since(self.clock.now()).await
        {
            crate::error::log(&error);
        }
    }

    /// Makes sure that the view is not older than the moment; those who ask together look once.
    pub(crate) async fn seen_since(&self, moment: Timestamp) -> Result<(), KeyChangeError> {
        let _one = self.looking.lock().await;
        if self.confirmed.load(Ordering::SeqCst) > moment.millis() {
            return Ok(());
        }
        self.look().await
    }

    /// Whether the store confirmed what is held so lately.
    pub(crate) fn is_seen_within(&self, most: Duration) -> bool {
        self.age() < most
    }

    /// Makes sure that the view is not older; those who ask together look once.
    pub(crate) async fn seen_within(&self, most: Duration) -> Result<(), KeyChangeError> {
        if self.is_seen_within(most) {
            return Ok(());
        }
        let _one = self.looking.lock().await;
        if self.is_seen_within(most) {
            return Ok(());
        }
        self.look().await
    }

    async fn look(&self) -> Result<(), KeyChangeError> {
        let now = self.clock.now();
        let held = self.held.load_full();
        let mut sets = Vec::new();
        let mut is_news = false;
        for (purpose, held) in PURPOSES.into_iter().zip(&held.sets) {
            let record = self.store.key_set(purpose.record_name()).await?;
            // Keys are made at the very first start only: an emptied store is no reason.
            let record = record.ok_or(KeyChangeError::Missing(purpose))?;
            if record == held.record {
                sets.push(held.clone());
                continue;
            }
            let set = KeySet::open(&record, purpose, self.kek.of_record(&record))?;
            if set.version < held.set.version {
                // A failover lost the last changes. They were answered, so they stay.
                tracing::error!(%purpose, "the store had an older key set; the newest is put back");
                self.store
                    .replace_key_set(purpose.record_name(), Some(&record), &held.record)
                    .await?;
                sets.push(held.clone());
                continue;
            }
            is_news = true;
            sets.push(Held { record, set });
        }
        if is_news {
            self.note_signature(&held);
            self.held.store(Arc::new(Keys::of(sets, self.clock.now())?));
            self.log_changes(&held).await;
        }
        self.confirmed.fetch_max(now.millis(), Ordering::SeqCst);
        Ok(())
    }

    fn age(&self) -> Duration {
        let confirmed = Timestamp::from_millis(self.confirmed.load(Ordering::SeqCst));
        self.clock.now().since(confirmed)
    }

    fn signing(&self, algorithm: Algorithm) -> Result<SigningKey, Fault> {
        if self.age() > self.policy.pace.view {
            return Err(Fault::KeysBehind);
        }
        let held = self.held();
        let signing = held.signing.get(&algorithm).ok_or(Fault::KeysBehind)?;
        signing.last.fetch_max(self.clock.now().millis(), Ordering::Relaxed);
        Ok(signing.key.clone())
    }

    /// Remembers when the keys that are being replaced last signed.
    fn note_signature(&self, keys: &Keys) {
        let mut signatures = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        for signing in keys.signing.values() {
            let signed = signing.last.load(Ordering::Relaxed);
            if signed > 0 {
                let last = signatures.entry(signing.key.id().clone()).or_default();
                *last = (*last).max(Timestamp::from_millis(signed));
            }
        }
    }
}

impl Keys {
    fn of(sets: Vec<Held>, since: Timestamp) -> Result<Self, KeyError> {
        let set = |purpose| {
            let held = sets.iter().find(|held| held.set.purpose() == purpose);
            held.map(|held| &held.set).ok_or(KeyError::NotSigning(purpose))
        };
        let issuer = set(Purpose::Issuer)?;
        let jwks = issuer.jwks();
        let signs = |algorithm| {
            let key = issuer.signing_with(algorithm)?;
            Some((algorithm, Signing { key, last: AtomicU64::new(0) }))
        };
        let signing: BTreeMap<_, _> = issuer.algorithms().into_iter().filter_map(signs).collect();
        if signing.is_empty() {
            return Err(KeyError::NotSigning(Purpose::Issuer));
        }
        Ok(Self {
            refresh: set(Purpose::RefreshMac)?.secrets(),
            seal: set(Purpose::PageSeal)?.secrets(),
            signing,
            verifying: VerifyingKeys::parse(&jwks)?,
            jwks_tag: tag(&jwks),
            jwks: jwks.into(),
            sets,
            since,
        })
    }
}

fn tag(bytes: &[u8]) -> HeaderValue {
    header(&format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))))
}

fn header(text: &str) -> HeaderValue {
    // Both texts are visible ASCII.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-store"))
}

/// The name of a purpose's record.
pub(crate) trait RecordName {
    fn record_name(self) -> &'static str;
}

impl RecordName for Purpose {
    fn record_name(self) -> &'static str {
        match self {
            Self::GatewayIdentity => "gateway-identity",
            Self::Issuer => "issuer",
            Self::PageSeal => "page-seal",
            Self::RefreshMac => "refresh-mac",
        }
    }
}

async fn first(
    store: &dyn Store,
    purpose: Purpose,
    algorithms: &[Algorithm],
    (kek, now): (&KeyEncryptionKeys, Timestamp),
) -> Result<Held, KeyChangeError> {
    let name = purpose.record_name();
    for _ in 0..RACES {
        if let Some(record) = store.key_set(name).await? {
            let set = KeySet::open(&record, purpose, kek.of_record(&record))?;
            return Ok(Held { record, set });
        }
        let set = KeySet::first_of(purpose, algorithms, now)?;
        let record = set.seal(kek.current())?;
        if store.replace_key_set(name, None, &record).await? {
            return Ok(Held { record, set });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(StoreError::Corrupt(format!("the key set {name} comes and goes")).into())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
