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
    key::{ES256, VerifyingKey},
    ring::{KeyRecord, KeySet, KeyState},
};

/// More keys than any honest set has; the rest is skipped, as each costs a prepared verifier.
const MAX_KEYS: usize = 64;

#[derive(Serialize)]
struct Published {
    keys: Vec<PublicJwk>,
    version: u64,
}

#[derive(Serialize)]
struct PublicJwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    kid: KeyId,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
}

impl KeySet {
    /// The published set: public members of the ACTIVE, PENDING and RETIRING keys and of probes,
    /// and the version. The ACTIVE key stands first. A set of secrets publishes none.
    pub fn jwks(&self) -> Vec<u8> {
        let in_state = |state| self.keys.iter().filter(move |key| key.state == state);
        let keys = in_state(KeyState::Active)
            .chain(in_state(KeyState::Pending))
            .chain(in_state(KeyState::Retiring))
            .chain(in_state(KeyState::Probe))
            .filter_map(KeyRecord::verifying)
            .map(|key| PublicJwk {
                kty: "EC",
                crv: "P-256",
                x: URL_SAFE_NO_PAD.encode(key.point().x),
                y: URL_SAFE_NO_PAD.encode(key.point().y),
                kid: key.id().clone(),
                alg: ES256,
                usage: "sig",
            })
            .collect();
        // A struct of strings always serialises.
        serde_json::to_vec(&Published { keys, version: self.version }).unwrap_or_default()
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
    crv: String,
    /// A private half in public is no longer one.
    #[serde(default, rename = "d")]
    _d: Absent,
    key_ops: Option<Vec<String>>,
    kid: KeyId,
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    x: String,
    y: String,
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
            let Some((id, point)) = usable(raw.get()) else { continue };
            if let Some(known) = keys.get(&id) {
                if *known.point() != point {
                    ambiguous.insert(id);
                }
            } else if let Ok(key) = VerifyingKey::named(id.clone(), point) {
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

/// Id and point of a key that we can verify with.
fn usable(text: &str) -> Option<(KeyId, Point)> {
    if !is_strict_object(text.as_bytes()) {
        return None;
    }
    let jwk: ReceivedJwk = serde_json::from_str(text).ok()?;
    let for_signatures = jwk.kty == "EC"
        && jwk.crv == "P-256"
        && jwk.alg.is_none_or(|alg| alg == ES256)
        && jwk.usage.is_none_or(|usage| usage == "sig")
        && jwk.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    let point = Point { x: coordinate(&jwk.x)?, y: coordinate(&jwk.y)? };
    for_signatures.then_some((jwk.kid, point))
}

/// A coordinate of exactly 32 bytes (RFC 7518 section 6.2.1.2).
pub(crate) fn coordinate(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
