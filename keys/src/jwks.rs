//! JWK Sets (RFC 7517 section 5), published and parsed.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::ids::KeyId;

use crate::{
    error::KeyError,
    generate::Point,
    json::{Absent, is_strict_object},
    key::{Public, VerifyingKey},
    ring::{Algorithm, KeyRecord, KeySet, KeyState},
};

/// How many keys of a set are read; the rest is skipped, as each costs a prepared verifier. No set
/// of ours publishes more.
pub(crate) const MAX_KEYS: usize = 64;
/// RSA keys of 2048 to 4096 bits; longer ones take too long.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

#[derive(Serialize)]
struct Published {
    keys: Vec<PublicJwk>,
    version: u64,
}

#[derive(Serialize)]
struct PublicJwk {
    #[serde(flatten)]
    members: Members,
    kid: KeyId,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
}

/// What makes a public key: RFC 7518 sections 6.2.1 and 6.3.1, RFC 8037 section 2.
#[derive(Serialize)]
#[serde(tag = "kty")]
enum Members {
    #[serde(rename = "EC")]
    Ec { crv: &'static str, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: &'static str, x: String },
    #[serde(rename = "RSA")]
    Rsa { e: String, n: String },
}

impl Members {
    fn of(public: &Public) -> Self {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match public {
            Public::Ec(point) => Self::Ec { crv: "P-256", x: text(&point.x), y: text(&point.y) },
            Public::Ed(x) => Self::Okp { crv: "Ed25519", x: text(x) },
            Public::Rsa { modulus, exponent } => Self::Rsa { e: text(exponent), n: text(modulus) },
        }
    }
}

impl KeySet {
    /// The published set: public members of the ACTIVE, PENDING and RETIRING keys and of probes,
    /// and the version. The ACTIVE key stands first. A set of secrets publishes none.
    pub fn jwks(&self) -> Vec<u8> {
        let keys = self
            .published()
            .map(|key| PublicJwk {
                members: Members::of(key.public()),
                kid: key.id().clone(),
                alg: key.alg(),
                usage: "sig",
            })
            .collect();
        // A struct of strings always serialises.
        serde_json::to_vec(&Published { keys, version: self.version }).unwrap_or_default()
    }

    fn published(&self) -> impl Iterator<Item = VerifyingKey> {
        use KeyState::{Active, Pending, Probe, Retiring};
        let in_state = |state| self.keys.iter().filter(move |key| key.state == state);
        let all = [Active, Pending, Retiring, Probe].into_iter().flat_map(in_state);
        all.filter_map(KeyRecord::verifying)
    }

    /// The set, unless it publishes more keys than verifiers read and more than the one before.
    pub(crate) fn after(self, before: &Self) -> Result<Self, KeyError> {
        let most = before.published().count().max(MAX_KEYS);
        if self.published().count() > most { Err(KeyError::Full) } else { Ok(self) }
    }
}

/// Keys that verify, as somebody published them, and the ids that are refused whatever a set says.
#[derive(Clone, Debug, Default)]
pub struct VerifyingKeys {
    keys: BTreeMap<KeyId, VerifyingKey>,
    revoked: BTreeSet<KeyId>,
    version: u64,
}

#[derive(Deserialize)]
struct Received<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
    #[serde(default)]
    version: u64,
}

#[derive(Deserialize)]
struct ReceivedJwk {
    alg: Option<String>,
    crv: Option<String>,
    /// A private half in public is no longer one.
    #[serde(default, rename = "d")]
    _d: Absent,
    e: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: KeyId,
    kty: String,
    n: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl VerifyingKeys {
    /// Reads a JWK Set. Keys of another kind, off the curve, without id, not for signatures or
    /// with a private half are skipped, as RFC 7517 section 5 asks; so are two different keys
    /// under one id.
    pub fn parse(jwks: &[u8]) -> Result<Self, KeyError> {
        let received: Received<'_> =
            serde_json::from_slice(jwks).map_err(|_| KeyError::InvalidSet)?;
        let mut keys: BTreeMap<KeyId, VerifyingKey> = BTreeMap::new();
        let mut ambiguous = BTreeSet::new();
        for raw in received.keys.into_iter().take(MAX_KEYS) {
            let Some((id, public)) = usable(raw.get()) else { continue };
            if let Some(known) = keys.get(&id) {
                if *known.public() != public {
                    ambiguous.insert(id);
                }
            } else if let Ok(key) = VerifyingKey::named(id.clone(), public) {
                keys.insert(id, key);
            }
        }
        keys.retain(|id, _| !ambiguous.contains(id));
        Ok(Self { keys, revoked: BTreeSet::new(), version: received.version })
    }

    /// The set to use after this one. An empty or older set is refused, and ids revoked here stay
    /// revoked.
    pub fn followed_by(&self, next: Self) -> Result<Self, KeyError> {
        let revoked: BTreeSet<KeyId> = self.revoked.union(&next.revoked).cloned().collect();
        if next.keys.is_empty() {
            return Err(KeyError::EmptySet);
        }
        if next.version < self.version {
            return Err(KeyError::Older { held: self.version, offered: next.version });
        }
        Ok(Self { keys: next.keys, revoked, version: next.version })
    }

    /// Refuses the id from now on, in this set and in all that follow it.
    pub fn revoke(&mut self, kid: &KeyId) {
        self.revoked.insert(kid.clone());
    }

    /// The key with this id, unless it was revoked.
    pub fn find(&self, kid: &KeyId) -> Option<&VerifyingKey> {
        if self.revoked.contains(kid) { None } else { self.keys.get(kid) }
    }

    /// Whether the id was revoked: fetching the set again will not help.
    pub fn is_revoked(&self, kid: &KeyId) -> bool {
        self.revoked.contains(kid)
    }

    /// The version the set was published with; 0 if it carries none.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether no key can verify.
    pub fn is_empty(&self) -> bool {
        self.ids().next().is_none()
    }

    /// The ids of the keys that verify, in order.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys().filter(|kid| !self.revoked.contains(*kid))
    }
}

/// Id and public half of a key that we can verify with. A key is for one algorithm, whether or
/// not it says so.
fn usable(text: &str) -> Option<(KeyId, Public)> {
    if !is_strict_object(text.as_bytes()) {
        return None;
    }
    let jwk: ReceivedJwk = serde_json::from_str(text).ok()?;
    let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => {
            Public::Ec(Point { x: coordinate(&jwk.x?)?, y: coordinate(&jwk.y?)? })
        }
        ("OKP", Some("Ed25519")) => Public::Ed(coordinate(&jwk.x?)?),
        ("RSA", None) => rsa(&jwk.n?, &jwk.e?)?,
        _ => return None,
    };
    let for_signatures =
        jwk.alg.is_none_or(|alg| Algorithm::parse(&alg) == Some(public.algorithm()))
            && jwk.usage.is_none_or(|usage| usage == "sig")
            && jwk.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    for_signatures.then_some((jwk.kid, public))
}

/// An RSA key of at least 2048 bits (RFC 7518 section 3.3) with an exponent that is none of the
/// degenerate ones.
pub(crate) fn rsa(modulus: &str, exponent: &str) -> Option<Public> {
    let modulus = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(exponent).ok()?;
    let long = MODULUS.contains(&modulus.len()) && *modulus.first()? >= 0x80;
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
    let sound = (1..=4).contains(&exponent.len()) && odd(&exponent) && exponent != [1];
    (long && sound && odd(&modulus)).then_some(Public::Rsa { modulus, exponent })
}

/// A coordinate of exactly 32 bytes (RFC 7518 section 6.2.1.2).
pub(crate) fn coordinate(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
