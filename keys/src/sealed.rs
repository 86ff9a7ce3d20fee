//! The stored key set: one record, authenticated as a whole under the key-encryption key, with
//! each private half sealed to its purpose, id and state.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::{ids::KeyId, time::Timestamp};
use zeroize::Zeroizing;

use crate::{
    error::KeyError,
    generate::{self, Point},
    jwks::{coordinate, rsa},
    key::{Public, SigningKey, VerifyingKey},
    ring::{Algorithm, KeyRecord, KeySet, KeyState, Material, Purpose},
    secrets::{SecretKey32, decrypt, derive, encrypt, framed},
};

/// The format this version writes and reads.
const FORMAT: u32 = 1;

const PREFIX: &str = "kek_";

/// A version beyond this was never reached: who claims it wants that no other follows.
const MOST_CLAIMED: u64 = 1 << 32;

/// The key under which key sets are stored. Its text form is the content of a file.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    id: String,
    manifest: SecretKey32,
    seal: XChaCha20Poly1305,
}

impl KeyEncryptionKey {
    /// A new key, and its text form for the file.
    pub fn generate() -> (Self, String) {
        let secret = generate::secret();
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*secret));
        (Self::of(&secret), text)
    }

    /// Reads the text form; space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(KeyError::InvalidKek)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| KeyError::InvalidKek)?;
        let secret = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::InvalidKek)?;
        Ok(Self::of(&Zeroizing::new(secret)))
    }

    /// A short name of the key that says nothing about it: records name the key they need.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn of(secret: &Zeroizing<[u8; 32]>) -> Self {
        let manifest = SecretKey32::from_bytes(derive(secret, "key set manifest"));
        let id = format!("{:08x}", u32::from_be_bytes(manifest.id()));
        let seal = XChaCha20Poly1305::new((&*derive(secret, "private half")).into());
        Self { id, manifest, seal }
    }
}

/// The key under which records are sealed from now on, and those under which they may still be.
#[derive(Clone, Debug)]
pub struct KeyEncryptionKeys {
    current: KeyEncryptionKey,
    previous: Vec<KeyEncryptionKey>,
}

impl KeyEncryptionKeys {
    /// A key that replaces others.
    pub fn new(current: KeyEncryptionKey, previous: Vec<KeyEncryptionKey>) -> Self {
        Self { current, previous }
    }

    /// The key for everything that is sealed anew.
    pub fn current(&self) -> &KeyEncryptionKey {
        &self.current
    }

    /// The ids of all of them, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.previous).map(KeyEncryptionKey::id)
    }

    /// The key that a record was sealed under, or the current one if it is none of these: opening
    /// with it says which one is needed.
    pub fn of_record(&self, record: &[u8]) -> &KeyEncryptionKey {
        let sealed_under =
            serde_json::from_slice::<Envelope<'_>>(record).ok().map(|envelope| envelope.kek);
        let fits = |key: &&KeyEncryptionKey| Some(&key.id) == sealed_under.as_ref();
        self.previous.iter().find(fits).unwrap_or(&self.current)
    }
}

impl From<&KeyEncryptionKey> for KeyEncryptionKeys {
    fn from(current: &KeyEncryptionKey) -> Self {
        Self { current: current.clone(), previous: Vec::new() }
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.id)
    }
}

/// The record as stored. The manifest is authenticated byte for byte.
#[derive(Deserialize, Serialize)]
struct Envelope<'a> {
    format: u32,
    kek: String,
    mac: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

#[derive(Deserialize, Serialize)]
struct Manifest {
    version: u64,
    #[serde(default)]
    term: u64,
    purpose: Purpose,
    keys: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    id: KeyId,
    state: KeyState,
    algorithm: Algorithm,
    published_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    activated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_signed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    half: Option<Half>,
}

/// What is left of a key: a private half, sealed, or the public one.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Half {
    /// Of an Ed25519 key.
    Okp {
        x: String,
    },
    /// Of an ES256 key.
    Public {
        x: String,
        y: String,
    },
    Rsa {
        e: String,
        n: String,
    },
    Sealed(String),
}

impl Half {
    fn of(public: &Public) -> Self {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match public {
            Public::Ec(point) => Self::Public { x: text(&point.x), y: text(&point.y) },
            Public::Ed(x) => Self::Okp { x: text(x) },
            Public::Rsa { modulus, exponent } => Self::Rsa { e: text(exponent), n: text(modulus) },
        }
    }

    /// The public half, if it is one.
    fn public(&self) -> Option<Public> {
        match self {
            Self::Okp { x } => coordinate(x).map(Public::Ed),
            Self::Public { x, y } => {
                Some(Public::Ec(Point { x: coordinate(x)?, y: coordinate(y)? }))
            }
            Self::Rsa { e, n } => rsa(n, e),
            Self::Sealed(_) => None,
        }
    }
}

impl KeySet {
    /// The record to store.
    pub fn seal(&self, kek: &KeyEncryptionKey) -> Result<Vec<u8>, KeyError> {
        let entry = |key| Entry::of(key, self.purpose, kek);
        let manifest = Manifest {
            version: self.version,
            term: self.term,
            purpose: self.purpose,
            keys: self.keys.iter().map(entry).collect::<Result<_, _>>()?,
        };
        let unwritable = |_| KeyError::Library("writing JSON");
        let manifest = serde_json::value::to_raw_value(&manifest).map_err(unwritable)?;
        let mac = kek.manifest.mac(&[&FORMAT.to_be_bytes(), manifest.get().as_bytes()]);
        let envelope = Envelope {
            format: FORMAT,
            kek: kek.id.clone(),
            mac: URL_SAFE_NO_PAD.encode(mac),
            manifest: &manifest,
        };
        serde_json::to_vec(&envelope).map_err(unwritable)
    }

    /// Opens a stored record of the purpose. It does not know which version was read before:
    /// see [`KeySet::not_older_than`].
    pub fn open(bytes: &[u8], purpose: Purpose, kek: &KeyEncryptionKey) -> Result<Self, KeyError> {
        let unreadable = |_| KeyError::Damaged("it is not a sealed key set");
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
        if envelope.format != FORMAT {
            return Err(KeyError::UnknownFormat(envelope.format));
        }
        if envelope.kek != kek.id {
            let given = kek.id.clone();
            return Err(KeyError::OtherKek { given, sealed_under: envelope.kek });
        }
        let mac = URL_SAFE_NO_PAD.decode(&envelope.mac).unwrap_or_default();
        let manifest = envelope.manifest.get().as_bytes();
        if !kek.manifest.mac_matches(&[&FORMAT.to_be_bytes(), manifest], &mac) {
            return Err(KeyError::Damaged("it was changed after it was sealed"));
        }
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(unreadable)?;
        if manifest.purpose != purpose {
            return Err(KeyError::OtherPurpose { expected: purpose, found: manifest.purpose });
        }
        let record = |entry: Entry| entry.open(purpose, kek);
        let keys = manifest.keys.into_iter().map(record).collect::<Result<_, _>>()?;
        Self { version: manifest.version, term: manifest.term, purpose, keys }.checked()
    }
}

impl KeySet {
    /// A first set in the place of a record that nobody can open any more. It has new keys alone,
    /// and goes on from the version that the record claims: whoever holds that one follows.
    pub fn in_place_of(
        record: &[u8],
        purpose: Purpose,
        algorithms: &[Algorithm],
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let claimed = serde_json::from_slice::<Envelope<'_>>(record).ok();
        let claimed = claimed.and_then(|held| serde_json::from_str(held.manifest.get()).ok());
        let claimed = claimed.map_or(0, |Claimed { version }| version.min(MOST_CLAIMED));
        let mut set = Self::first_of(purpose, algorithms, now)?;
        set.version = claimed.saturating_add(1);
        Ok(set)
    }
}

/// What a record says of itself, authenticated or not.
#[derive(Deserialize)]
struct Claimed {
    version: u64,
}

impl Entry {
    fn of(key: &KeyRecord, purpose: Purpose, kek: &KeyEncryptionKey) -> Result<Self, KeyError> {
        let context = context(purpose, &key.id, key.state);
        let seal = |private: &[u8]| -> Result<Half, KeyError> {
            let sealed = encrypt(&kek.seal, &context, private)?;
            Ok(Half::Sealed(URL_SAFE_NO_PAD.encode(sealed)))
        };
        let half = match &key.material {
            Some(Material::Public(key)) => Some(Half::of(key.public())),
            Some(Material::Secret(key)) => Some(seal(key.bytes())?),
            Some(Material::Signing(key)) => Some(seal(key.kept())?),
            None => None,
        };
        Ok(Self {
            id: key.id.clone(),
            state: key.state,
            algorithm: key.algorithm,
            published_at: key.published_at,
            activated_at: key.activated_at,
            last_signed_at: key.last_signed_at,
            retiring_at: key.retiring_at,
            retired_at: key.retired_at,
            revoked_at: key.revoked_at,
            half,
        })
    }

    fn open(self, purpose: Purpose, kek: &KeyEncryptionKey) -> Result<KeyRecord, KeyError> {
        let material = match &self.half {
            Some(Half::Sealed(text)) => Some(self.open_private(text, purpose, kek)?),
            Some(half) => {
                let public = half.public();
                let public = public.ok_or(KeyError::Damaged("a public half is unreadable"))?;
                Some(Material::Public(VerifyingKey::own(public)?))
            }
            None => None,
        };
        Ok(KeyRecord {
            id: self.id,
            state: self.state,
            algorithm: self.algorithm,
            published_at: self.published_at,
            activated_at: self.activated_at,
            last_signed_at: self.last_signed_at,
            retiring_at: self.retiring_at,
            retired_at: self.retired_at,
            revoked_at: self.revoked_at,
            material,
        })
    }

    fn open_private(
        &self,
        text: &str,
        purpose: Purpose,
        kek: &KeyEncryptionKey,
    ) -> Result<Material, KeyError> {
        let unreadable = KeyError::Damaged("a private half does not open");
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| unreadable.clone())?;
        let opened = decrypt(&kek.seal, &context(purpose, &self.id, self.state), &sealed);
        let private = Zeroizing::new(opened.map_err(|_| unreadable.clone())?);
        if self.algorithm != Algorithm::Secret {
            return Ok(Material::Signing(SigningKey::from_kept(self.algorithm, &private)?));
        }
        let private = <[u8; 32]>::try_from(private.as_slice()).map_err(|_| unreadable)?;
        Ok(Material::Secret(SecretKey32::from_bytes(Zeroizing::new(private))))
    }
}

/// What a private half is sealed to.
fn context(purpose: Purpose, id: &KeyId, state: KeyState) -> Vec<u8> {
    let parts = [purpose.as_str(), id.as_str(), state.as_str()];
    framed(&parts.map(str::as_bytes))
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
