//! The key set of one purpose: its keys, their states, its version.
//!
//! Invariants: of each algorithm exactly one key is ACTIVE and at least one PENDING, as standby,
//! but for an algorithm that is new and whose first key is PENDING still; the private half of a
//! key that signs is gone once it has left ACTIVE; no id stands twice, and ids of revoked keys
//! stay. The verbs that change a set are in `lifecycle.rs`.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use shared::{ids::KeyId, time::Timestamp};

use crate::{
    error::KeyError,
    key::{SigningKey, VerifyingKey},
    secrets::{SecretKey32, SecretRing},
};

/// What the keys of a set are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The gateway's identity tokens towards backends.
    GatewayIdentity,
    /// The issuer's access tokens, ID tokens and signed answers.
    Issuer,
    /// What is sealed into pages and cookies (secret).
    PageSeal,
    /// Refresh tokens and their successors (secret).
    RefreshMac,
}

impl Purpose {
    /// The algorithms that keys of the purpose may have, the usual one first.
    pub fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::GatewayIdentity => &[Algorithm::Es256],
            Self::Issuer => &Algorithm::SIGNING,
            Self::PageSeal | Self::RefreshMac => &[Algorithm::Secret],
        }
    }

    fn usual(self) -> Algorithm {
        self.algorithms().first().copied().unwrap_or(Algorithm::Secret)
    }

    /// The purpose of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::GatewayIdentity, Self::Issuer, Self::PageSeal, Self::RefreshMac];
        all.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// The name in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayIdentity => "gateway_identity",
            Self::Issuer => "issuer",
            Self::PageSeal => "page_seal",
            Self::RefreshMac => "refresh_mac",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Ed25519 (RFC 8037 section 3.1).
    #[serde(rename = "eddsa")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits or more (RFC 7518 section 3.3).
    Rs256,
    /// A 32-byte secret for HMAC-SHA256 and XChaCha20-Poly1305.
    Secret,
}

/// Where a key is in its life; the order of the variants is the order of the life, and a probe
/// stands outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, and without a private half from its first moment: it only shows who looks.
    Probe,
    /// Published, not signing: verifiers learn it.
    Pending,
    /// The one that signs.
    Active,
    /// Signs no more; what it signed still verifies.
    Retiring,
    /// Unpublished and wiped.
    Retired,
    /// Refused everywhere and for ever.
    Revoked,
}

impl Algorithm {
    /// Those of signatures, the usual one first.
    pub const SIGNING: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The algorithm of signatures of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::SIGNING.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The name in tokens, published keys and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Secret => "secret",
        }
    }
}

impl KeyState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Probe, Self::Pending, Self::Active, Self::Retiring, Self::Retired, Self::Revoked];

    /// The name in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key and its life so far.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub id: KeyId,
    pub state: KeyState,
    pub algorithm: Algorithm,
    /// When it was made; it is published from then on.
    pub published_at: Timestamp,
    pub activated_at: Option<Timestamp>,
    /// When it last signed, as far as it is known.
    pub last_signed_at: Option<Timestamp>,
    /// When it left ACTIVE in an orderly way.
    pub retiring_at: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub(crate) material: Option<Material>,
}

/// What is left of a key's halves.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    Public(VerifyingKey),
    Secret(SecretKey32),
    Signing(SigningKey),
}

impl KeyRecord {
    /// A new PENDING key.
    pub(crate) fn generate(algorithm: Algorithm, now: Timestamp) -> Result<Self, KeyError> {
        let (id, material) = if algorithm == Algorithm::Secret {
            let key = SecretKey32::generate();
            (key.key_id()?, Material::Secret(key))
        } else {
            let key = SigningKey::generate(algorithm)?;
            (key.id().clone(), Material::Signing(key))
        };
        Ok(Self {
            id,
            state: KeyState::Pending,
            algorithm,
            published_at: now,
            activated_at: None,
            last_signed_at: None,
            retiring_at: None,
            retired_at: None,
            revoked_at: None,
            material: Some(material),
        })
    }

    /// The public half while it is published.
    pub(crate) fn verifying(&self) -> Option<VerifyingKey> {
        match &self.material {
            Some(Material::Public(key)) => Some(key.clone()),
            Some(Material::Signing(key)) => Some(key.verifying()),
            Some(Material::Secret(_)) | None => None,
        }
    }

    fn secret(&self) -> Option<&SecretKey32> {
        match &self.material {
            Some(Material::Secret(key)) => Some(key),
            _ => None,
        }
    }
}

/// The keys of one purpose. Changing it makes a new set with the next version.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// Grows by one with every change.
    pub version: u64,
    /// The term of the last leader that changed it by itself.
    pub(crate) term: u64,
    pub(crate) purpose: Purpose,
    pub(crate) keys: Vec<KeyRecord>,
}

impl KeySet {
    /// The first set ever: a key that is ACTIVE at once, and a PENDING standby.
    pub fn first(purpose: Purpose, now: Timestamp) -> Result<Self, KeyError> {
        Self::first_of(purpose, &[purpose.usual()], now)
    }

    /// The same with keys of each of the algorithms.
    pub fn first_of(
        purpose: Purpose,
        algorithms: &[Algorithm],
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let mut set = Self { version: 1, term: 0, purpose, keys: Vec::new() };
        for algorithm in algorithms {
            set.add(*algorithm, now)?;
            if let Some(key) = set.keys.last_mut() {
                key.state = KeyState::Active;
                key.activated_at = Some(now);
            }
            set.add(*algorithm, now)?;
        }
        set.checked()
    }

    /// What the keys are for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Every key there ever was, oldest first.
    pub fn records(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// The ids that are never admitted again.
    pub fn revoked(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().filter(|key| key.state == KeyState::Revoked).map(|key| &key.id)
    }

    /// The ACTIVE key of the set's first algorithm, if it is a set of keys that sign.
    pub fn signing(&self) -> Result<SigningKey, KeyError> {
        let own = self.active().map(|key| key.algorithm);
        let own = own.and_then(|algorithm| self.signing_with(algorithm));
        own.ok_or(KeyError::NotSigning(self.purpose))
    }

    /// The ACTIVE key of an algorithm.
    pub fn signing_with(&self, algorithm: Algorithm) -> Option<SigningKey> {
        match self.active_of(algorithm)?.material.as_ref() {
            Some(Material::Signing(key)) => Some(key.clone()),
            _ => None,
        }
    }

    /// The secrets of a set of secrets. Of a set of keys that sign it is a ring with a throw-away
    /// secret, under which nothing else opens.
    pub fn secrets(&self) -> SecretRing {
        let current = self.active().and_then(KeyRecord::secret).cloned();
        let others = self.keys.iter().filter(|key| key.state != KeyState::Active);
        let others = others.filter_map(KeyRecord::secret).cloned().collect();
        let gone = self.keys.iter().filter(|key| key.material.is_none());
        let gone = gone.map(|key| key.id.clone()).collect();
        SecretRing::new(current.unwrap_or_else(SecretKey32::generate), others, gone)
    }

    /// Refuses a set older than the version already in use.
    pub fn not_older_than(self, held: u64) -> Result<Self, KeyError> {
        if self.version < held {
            return Err(KeyError::Older { held, offered: self.version });
        }
        Ok(self)
    }

    /// The key of the set's first algorithm that signs.
    pub fn active(&self) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.state == KeyState::Active)
    }

    /// The key of an algorithm that signs.
    pub fn active_of(&self, algorithm: Algorithm) -> Option<&KeyRecord> {
        let mut own = self.keys.iter().filter(|key| key.algorithm == algorithm);
        own.find(|key| key.state == KeyState::Active)
    }

    /// The algorithms of which there are keys that sign or stand by, the first that there was
    /// first.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut all = Vec::new();
        for key in &self.keys {
            let lives = matches!(key.state, KeyState::Active | KeyState::Pending);
            if lives && !all.contains(&key.algorithm) {
                all.push(key.algorithm);
            }
        }
        all
    }

    /// Adds a new PENDING key whose id no other key has or had.
    pub(crate) fn add(&mut self, algorithm: Algorithm, now: Timestamp) -> Result<(), KeyError> {
        loop {
            let key = KeyRecord::generate(algorithm, now)?;
            if self.keys.iter().all(|other| other.id != key.id) {
                self.keys.push(key);
                return Ok(());
            }
        }
    }

    /// The set, if it holds its invariants.
    pub(crate) fn checked(self) -> Result<Self, KeyError> {
        let ids: BTreeSet<&KeyId> = self.keys.iter().map(|key| &key.id).collect();
        let count = |algorithm, state| {
            let own = self.keys.iter().filter(|key| key.algorithm == algorithm);
            own.filter(|key| key.state == state).count()
        };
        if ids.len() != self.keys.len() {
            return Err(KeyError::Damaged("a key id stands twice"));
        }
        let algorithms = self.algorithms();
        let active = |algorithm: &Algorithm| count(*algorithm, KeyState::Active);
        if self.active().is_none() || algorithms.iter().any(|algorithm| active(algorithm) > 1) {
            return Err(KeyError::Damaged("not exactly one key is active"));
        }
        if algorithms.iter().any(|algorithm| count(*algorithm, KeyState::Pending) == 0) {
            return Err(KeyError::Damaged("it has no standby key"));
        }
        if !self.keys.iter().all(|key| self.fits(key)) {
            return Err(KeyError::Damaged("a key does not fit its state"));
        }
        Ok(self)
    }

    /// Whether a key has exactly the halves that its state and purpose allow.
    fn fits(&self, key: &KeyRecord) -> bool {
        use KeyState::{Active, Pending, Probe, Retired, Retiring, Revoked};
        let halves = match (key.state, &key.material) {
            (Pending | Active, Some(Material::Signing(half))) => *half.id() == key.id,
            (Probe | Retiring, Some(Material::Public(half))) => *half.id() == key.id,
            (Pending | Active | Retiring, Some(Material::Secret(half))) => {
                half.key_id().is_ok_and(|id| id == key.id)
            }
            (Retired | Revoked, None) => true,
            _ => false,
        };
        let kind = match &key.material {
            Some(Material::Public(half)) => half.algorithm(),
            Some(Material::Secret(_)) => Algorithm::Secret,
            Some(Material::Signing(half)) => half.verifying().algorithm(),
            None => key.algorithm,
        };
        halves && kind == key.algorithm && self.purpose.algorithms().contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn the_first_set_signs_at_once_and_has_a_standby() {
        for purpose in [Purpose::Issuer, Purpose::GatewayIdentity] {
            let set = KeySet::first(purpose, NOW).unwrap();
            let states: Vec<_> = set.records().iter().map(|key| key.state).collect();
            assert_eq!((set.version, set.purpose()), (1, purpose));
            assert_eq!(states, [KeyState::Active, KeyState::Pending]);
            assert_eq!(set.signing().unwrap().id(), &set.records()[0].id);
        }
    }

    #[test]
    fn a_set_of_secrets_signs_nothing_and_reads_with_every_secret() {
        let set = KeySet::first(Purpose::RefreshMac, NOW).unwrap();
        assert_eq!(set.signing().unwrap_err(), KeyError::NotSigning(Purpose::RefreshMac));
        let ring = set.secrets();
        assert_eq!(ring.current().key_id().unwrap(), set.records()[0].id);
        let ids: Vec<_> = set.keys.iter().map(|key| key.secret().unwrap().id()).collect();
        assert!(ids.iter().all(|id| ring.find(*id).is_some()));
        assert!(ring.find([0; 4]).is_none() || ids.contains(&[0; 4]));
    }

    #[test]
    fn a_set_of_signing_keys_gives_no_lasting_secret() {
        let set = KeySet::first(Purpose::Issuer, NOW).unwrap();
        let sealed = set.secrets().current().seal(b"c", b"plain").unwrap();
        assert!(set.secrets().open(b"c", &sealed).is_err());
    }

    #[test]
    fn a_set_that_breaks_an_invariant_is_damaged() {
        let good = KeySet::first(Purpose::Issuer, NOW).unwrap();
        let broken = |change: fn(&mut KeySet)| {
            let mut set = good.clone();
            change(&mut set);
            assert!(matches!(set.checked(), Err(KeyError::Damaged(_))));
        };
        broken(|set| set.keys[1].state = KeyState::Active);
        broken(|set| set.keys[0].state = KeyState::Retiring);
        broken(|set| set.keys[0].material = None);
        broken(|set| set.keys.truncate(1));
        broken(|set| set.keys.push(set.keys[1].clone()));
        broken(|set| set.keys[1].id = KeyId::parse("other").unwrap());
        broken(|set| set.purpose = Purpose::PageSeal);
        assert!(good.checked().is_ok());
    }

    #[test]
    fn each_algorithm_has_its_own_active_key_and_standby() {
        let set = KeySet::first_of(Purpose::Issuer, &Algorithm::SIGNING, NOW).unwrap();
        assert_eq!(set.algorithms(), Algorithm::SIGNING);
        for algorithm in Algorithm::SIGNING {
            let key = set.signing_with(algorithm).unwrap();
            assert_eq!(key.verifying().algorithm(), algorithm);
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        }
        let mut two = set.clone();
        two.keys[3].state = KeyState::Active;
        assert!(matches!(two.checked(), Err(KeyError::Damaged(_))));
        let gateway = KeySet::first_of(Purpose::GatewayIdentity, &[Algorithm::Rs256], NOW);
        assert!(matches!(gateway, Err(KeyError::Damaged(_))));
    }

    #[test]
    fn an_older_set_is_refused() {
        let set = KeySet::first(Purpose::Issuer, NOW).unwrap();
        assert!(set.clone().not_older_than(1).is_ok());
        let refused = KeyError::Older { held: 2, offered: 1 };
        assert_eq!(set.not_older_than(2).unwrap_err(), refused);
    }
}
