//! Access tokens of other issuers, and the keys they are checked with (RFC 9068 section 4,
//! RFC 7517 section 5, RFC 8725 section 3.1).
//!
//! What an issuer publishes is strangers' data: a key is taken for the algorithms that the
//! operator allows, that its kind has and that it names itself, and for no other.

use std::fmt;

use serde_json::{Map, Value};
use shared::time::Timestamp;

use crate::{
    client::{CLIENT_ALGORITHMS, ClientKey},
    error::{KeyError, TokenError},
    header::Header,
    json::is_strict_object,
    jws::PublicVerifier,
    lifecycle::MAX_SKEW,
    token::{Verified, decode, read},
};

/// The algorithms an issuer may sign with.
pub const FOREIGN_ALGORITHMS: [&str; 4] = CLIENT_ALGORITHMS;

/// The longest token that is read.
const MOST_BYTES: usize = 8192;
/// More keys than any honest issuer publishes at a time.
const MOST_KEYS: usize = 64;
/// 9999-12-31T23:59:59Z: a time beyond it is a mistake or a trick.
const LAST_SECOND: u64 = 253_402_300_799;

/// The keys of one issuer.
pub struct ForeignKeys(Vec<ForeignKey>);

struct ForeignKey {
    alg: &'static str,
    id: String,
    members: Map<String, Value>,
    verifier: PublicVerifier,
}

impl ForeignKeys {
    /// Reads a JWK Set for these algorithms. What is no key for any of them, has no id or a
    /// private half is skipped; so are two different keys under one id.
    pub fn parse(jwks: &[u8], algorithms: &[&'static str]) -> Result<Self, KeyError> {
        if !is_strict_object(jwks) {
            return Err(KeyError::InvalidSet);
        }
        let set: Value = serde_json::from_slice(jwks).map_err(|_| KeyError::InvalidSet)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(KeyError::InvalidSet)?;
        let mut all: Vec<&Map<String, Value>> = Vec::new();
        for members in keys.iter().take(MOST_KEYS).filter_map(Value::as_object) {
            if matches!(ClientKey::of(members), Ok(Some(_))) {
                all.push(members);
            }
        }
        let id = |members: &Map<String, Value>| {
            members.get("kid").and_then(Value::as_str).map(str::to_owned)
        };
        let is_alone = |one: &&Map<String, Value>| {
            all.iter().all(|other| id(other) != id(one) || other == one)
        };
        let mut found: Vec<ForeignKey> = Vec::new();
        for members in all.iter().copied().filter(is_alone) {
            let Some(id) = id(members) else { continue };
            let named = members.get("alg").and_then(Value::as_str);
            for alg in
                algorithms.iter().copied().filter(|alg| named.is_none_or(|name| name == *alg))
            {
                if let Some(verifier) = PublicVerifier::of(alg, members) {
                    let (id, members) = (id.clone(), members.clone());
                    found.push(ForeignKey { alg, id, members, verifier });
                }
            }
        }
        if found.is_empty() { Err(KeyError::EmptySet) } else { Ok(Self(found)) }
    }

    /// Whether there is a key of that id.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Whether every key of the other set is in this one, unchanged.
    pub fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| {
            self.0.iter().any(|own| own.id == theirs.id && own.members == theirs.members)
        })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ForeignKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.id, key.alg))).finish()
    }
}

/// Another issuer's token names its key, and may name its type.
type OwnHeader = Header<String, Option<String>>;

/// A token whose header and claims were read and whose signature was not checked.
#[derive(Clone)]
pub struct ForeignToken<'a> {
    claims: Map<String, Value>,
    header: OwnHeader,
    signature: Vec<u8>,
    signed: &'a str,
}

impl<'a> ForeignToken<'a> {
    /// Reads a token.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MOST_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed("parts"))?;
        let header: OwnHeader = read(&decode(header, "header")?, "header")?;
        let claims = read(&decode(claims, "claims")?, "claims")?;
        Ok(Self { claims, header, signature: decode(signature, "signature")?, signed })
    }

    /// The id of the key that should verify it.
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    /// What it says. Anybody could have written it: use it to refuse, never to allow.
    pub fn unverified_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Refuses a token of another type; media types may have their `application/`
    /// (RFC 7515 section 4.1.9).
    pub fn check_type(&self, typ: &str) -> Result<(), TokenError> {
        let own = self.header.typ.as_deref().unwrap_or("JWT");
        let prefix = "application/";
        let bare = match own.get(..prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(prefix) => own.get(prefix.len()..),
            _ => Some(own),
        };
        let fits = bare.is_some_and(|bare| bare.eq_ignore_ascii_case(typ));
        if fits { Ok(()) } else { Err(TokenError::Type) }
    }

    /// Refuses a token that has expired, without leeway, has no end, or begins in the future, with
    /// the leeway of one clock's skew. Answers when it was issued and when it ends.
    pub fn check_times(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), TokenError> {
        let malformed = TokenError::Malformed("claims");
        let time = |name: &str| match self.claims.get(name) {
            None => Ok(None),
            Some(value) => {
                let seconds = value.as_u64().filter(|seconds| *seconds <= LAST_SECOND);
                seconds.map(Some).ok_or(TokenError::Malformed("claims"))
            }
        };
        let end = time("exp")?.ok_or(malformed)?;
        let issued = time("iat")?.unwrap_or_else(|| now.secs());
        let begins = issued.max(time("nbf")?.unwrap_or(0));
        if now.secs() >= end {
            return Err(TokenError::Expired);
        }
        if Timestamp::from_secs(begins) > now.plus(MAX_SKEW) {
            return Err(TokenError::NotYetValid);
        }
        Ok((Timestamp::from_secs(issued), Timestamp::from_secs(end)))
    }

    /// Checks the signature under the key that it names, for the algorithm that it names.
    pub fn verify(self, keys: &ForeignKeys) -> Result<Verified<Map<String, Value>>, TokenError> {
        if !keys.has(&self.header.kid) {
            return Err(TokenError::Key);
        }
        let fits = |key: &&ForeignKey| key.id == self.header.kid && key.alg == self.header.alg;
        let key = keys.0.iter().find(fits).ok_or(TokenError::Algorithm)?;
        if !key.verifier.verify(self.signed.as_bytes(), &self.signature) {
            return Err(TokenError::Signature);
        }
        Ok(Verified::new(self.claims))
    }
}

impl fmt::Debug for ForeignToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForeignToken({}, {})", self.header.alg, self.header.kid)
    }
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
