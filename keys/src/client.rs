//! Client assertions and the keys they are checked with (RFC 7523 section 3, RFC 7517 section 5).
//!
//! A client's keys are strangers' data: a set with a private half, a symmetric key or a short RSA
//! key is refused whole, because whoever published it can no longer be told apart from others.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{
    error::TokenError,
    header::Header,
    json::is_strict_object,
    jws::PublicVerifier,
    token::{decode, read},
};

/// The algorithms a client may sign with, as metadata lists them.
pub const CLIENT_ALGORITHMS: [&str; 4] = ["ES256", "RS256", "PS256", "EdDSA"];

/// The longest assertion that is read.
const MOST_BYTES: usize = 8192;
/// More keys than any honest client has.
const MOST_KEYS: usize = 16;
/// The lengths of RSA moduli, in bytes: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// The members of a private half, and of a symmetric key (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// Why a JWK Set cannot be a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// No key that we could verify with.
    #[error("no key is for ES256, RS256, PS256 or EdDSA signatures")]
    Empty,
    /// Not a JWK Set.
    #[error("it is not a JWK Set")]
    Malformed,
    /// A private half, or a symmetric key.
    #[error("a key is private or symmetric; publish the public half only")]
    Private,
    /// Too many keys.
    #[error("it holds more than 16 keys")]
    TooMany,
    /// A short or absurdly long RSA key.
    #[error("an RSA key has fewer than 2048 or more than 8192 bits")]
    Weak,
}

/// A client's public keys.
#[derive(Clone, Debug)]
pub struct ClientKeySet(Vec<ClientKey>);

#[derive(Clone, Debug)]
pub(crate) struct ClientKey {
    kid: Option<String>,
    members: Map<String, Value>,
}

impl ClientKeySet {
    /// Reads a JWK Set. Keys of other kinds are skipped (RFC 7517 section 5).
    pub fn parse(text: &str) -> Result<Self, ClientKeyError> {
        if !is_strict_object(text.as_bytes()) {
            return Err(ClientKeyError::Malformed);
        }
        let set: Value = serde_json::from_str(text).map_err(|_| ClientKeyError::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(ClientKeyError::Malformed)?;
        if keys.len() > MOST_KEYS {
            return Err(ClientKeyError::TooMany);
        }
        let mut usable = Vec::new();
        for key in keys {
            let members = key.as_object().ok_or(ClientKeyError::Malformed)?;
            if let Some(key) = ClientKey::of(members)? {
                usable.push(key);
            }
        }
        if usable.is_empty() { Err(ClientKeyError::Empty) } else { Ok(Self(usable)) }
    }

    /// Whether a key of the set may have signed the assertion: the one it names, or any if it
    /// names none.
    pub fn may_hold(&self, assertion: &ClientAssertion<'_>) -> bool {
        self.candidates(assertion).next().is_some()
    }

    /// Whether a key of the set did sign the assertion.
    pub fn verify(&self, assertion: &ClientAssertion<'_>) -> bool {
        self.candidates(assertion).any(|key| {
            PublicVerifier::of(&assertion.header.alg, &key.members).is_some_and(|verifier| {
                verifier.verify(assertion.signed.as_bytes(), &assertion.signature)
            })
        })
    }

    fn candidates(&self, assertion: &ClientAssertion<'_>) -> impl Iterator<Item = &ClientKey> {
        let named = assertion.header.kid.clone();
        // A key id is text to compare, never a place to look.
        self.0.iter().filter(move |key| named.is_none() || key.kid == named)
    }
}

impl ClientKey {
    /// The key, if it is one for signatures that we verify.
    pub(crate) fn of(members: &Map<String, Value>) -> Result<Option<Self>, ClientKeyError> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let kind = text("kty").ok_or(ClientKeyError::Malformed)?;
        if kind == "oct" || PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return Err(ClientKeyError::Private);
        }
        let fits = match (kind, text("crv")) {
            ("RSA", _) => {
                let modulus = text("n").and_then(|n| URL_SAFE_NO_PAD.decode(n).ok());
                let modulus = modulus.ok_or(ClientKeyError::Malformed)?;
                let exponent = text("e").and_then(|e| URL_SAFE_NO_PAD.decode(e).ok());
                let exponent = exponent.ok_or(ClientKeyError::Malformed)?;
                let long = MODULUS.contains(&modulus.len())
                    && modulus.first().is_some_and(|first| *first >= 0x80)
                    && (1..=4).contains(&exponent.len())
                    && exponent != [1];
                if !long {
                    return Err(ClientKeyError::Weak);
                }
                true
            }
            ("EC", Some("P-256")) | ("OKP", Some("Ed25519")) => true,
            _ => false,
        };
        let verifies = fits
            && text("use").is_none_or(|usage| usage == "sig")
            && CLIENT_ALGORITHMS.iter().any(|alg| PublicVerifier::of(alg, members).is_some());
        let named = text("kid").map(str::to_owned);
        Ok(verifies.then(|| Self { kid: named, members: members.clone() }))
    }
}

/// An assertion whose header and claims were read and whose signature was not checked: what it
/// says may refuse, never allow.
#[derive(Clone)]
pub struct ClientAssertion<'a> {
    claims: AssertionClaims,
    header: OwnHeader,
    signature: Vec<u8>,
    signed: &'a str,
}

/// What an assertion claims.
#[derive(Clone, Debug, Deserialize)]
pub struct AssertionClaims {
    pub aud: Audience,
    pub exp: u64,
    pub iat: Option<u64>,
    pub iss: String,
    pub jti: Option<String>,
    pub nbf: Option<u64>,
    pub sub: String,
}

/// Whom it is for: one text, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    Many(Vec<String>),
    One(String),
}

impl Audience {
    /// Whether it is for this one and nobody else.
    pub fn is_only(&self, wanted: &str) -> bool {
        match self {
            Self::Many(all) => matches!(all.as_slice(), [only] if only == wanted),
            Self::One(only) => only == wanted,
        }
    }
}

/// An assertion need not name its key, and its type may be anything.
type OwnHeader = Header<Option<String>, Option<IgnoredAny>>;

impl<'a> ClientAssertion<'a> {
    /// Reads an assertion.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MOST_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed("parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed("parts"))?;
        let header: OwnHeader = read(&decode(header, "header")?, "header")?;
        if !CLIENT_ALGORITHMS.contains(&header.alg.as_str()) {
            return Err(TokenError::Algorithm);
        }
        let claims = read(&decode(claims, "claims")?, "claims")?;
        Ok(Self { claims, header, signature: decode(signature, "signature")?, signed })
    }

    /// Whether it says which key signed it.
    pub fn names_key(&self) -> bool {
        self.header.kid.is_some()
    }

    /// What it says.
    pub fn unverified_claims(&self) -> &AssertionClaims {
        &self.claims
    }
}

impl fmt::Debug for ClientAssertion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAssertion({}, {:?})", self.header.alg, self.header.kid)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
