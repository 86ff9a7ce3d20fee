//! Tokens: claims to JWS and back (RFC 9068 section 4, RFC 7515 section 7.1). Beside `foreign.rs`
//! the only maker of [`Verified`].
//!
//! What has not been verified may only refuse: [`Presented`] is read strictly and compared with
//! what is expected before anybody pays for the signature.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    claims::{ACCESS_TOKEN_TYPE, AccessTokenClaims},
    ids::KeyId,
    resource::ResourceIndicator,
    time::Timestamp,
};

use crate::{
    error::{KeyError, TokenError},
    header::Header,
    json::{is_strict_object, strict_members},
    jws,
    key::{SigningKey, VerifyingKey},
    lifecycle::MAX_SKEW,
    ring::Algorithm,
};

/// The longest token that is made or read.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// 9999-12-31T23:59:59Z: a time beyond it is a mistake or a trick.
const LAST_SECOND: u64 = 253_402_300_799;

/// Claims whose token carried a valid signature. Only this module and `foreign.rs` make one.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Claims whose signature was just found valid.
    pub(crate) fn new(claims: T) -> Self {
        Self(claims)
    }

    /// The claims.
    pub fn claims(&self) -> &T {
        &self.0
    }

    /// The claims, taken out.
    pub fn into_claims(self) -> T {
        self.0
    }
}

#[derive(Serialize)]
struct NewHeader<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a KeyId,
}

/// Signs the claims as a token of the type.
pub fn sign<T: Serialize>(key: &SigningKey, typ: &str, claims: &T) -> Result<String, KeyError> {
    let token = sign_answer(key, typ, claims)?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(KeyError::TokenTooLong(token.len()));
    }
    Ok(token)
}

/// Signs the claims as an answer that nobody presents to us, so that its length is its reader's
/// matter.
pub fn sign_answer<T: Serialize>(
    key: &SigningKey,
    typ: &str,
    claims: &T,
) -> Result<String, KeyError> {
    let unwritable = |_| KeyError::Library("writing JSON");
    let header = NewHeader { alg: key.algorithm().as_str(), typ, kid: key.id() };
    let header = serde_json::to_vec(&header).map_err(unwritable)?;
    let claims = serde_json::to_vec(claims).map_err(unwritable)?;
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// A token whose header and claims were read and whose signature was not checked. `Debug` shows
/// no part of the token that could be used.
#[derive(Clone)]
pub struct Presented<'a, T = AccessTokenClaims> {
    claims: T,
    header: OwnHeader,
    signature: Vec<u8>,
    /// The bytes under the signature: header and claims as they came.
    signed: &'a str,
    times: Times,
}

/// Our tokens name their type and key.
type OwnHeader = Header<KeyId, String>;

/// When a token of any type is valid, in whole seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// `iat`, or `nbf` if it is later.
    begins: u64,
    exp: u64,
}

impl Times {
    /// Those of claims, as they are written there; `exp` and `iat` are required.
    fn read([exp, iat, nbf]: [Option<&str>; 3]) -> Option<Self> {
        let whole = |text: &str| text.parse().ok().filter(|second| *second <= LAST_SECOND);
        let nbf = nbf.filter(|text| *text != "null").map_or(Some(0), whole)?;
        Some(Self { begins: whole(iat?)?.max(nbf), exp: whole(exp?)? })
    }
}

impl<'a> Presented<'a> {
    /// Reads an access token.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        let presented = Self::parse_as(token, ACCESS_TOKEN_TYPE)?;
        if presented.claims.sub.is_empty() || presented.claims.auth_time > LAST_SECOND {
            return Err(TokenError::Malformed("claims"));
        }
        Ok(presented)
    }

    /// Refuses a token of another issuer or for another resource, compared byte by byte, and one
    /// that is not valid now.
    pub fn check(
        &self,
        issuer: &str,
        audience: &ResourceIndicator,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        if self.claims.iss != issuer {
            return Err(TokenError::Issuer);
        }
        if self.claims.aud != *audience {
            return Err(TokenError::Audience);
        }
        self.check_times(now)
    }
}

impl<'a, T: DeserializeOwned> Presented<'a, T> {
    /// Reads a token of the type; `exp` and `iat` are required of every type.
    pub fn parse_as(token: &'a str, typ: &str) -> Result<Self, TokenError> {
        const CLAIMS: TokenError = TokenError::Malformed("claims");
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed("parts"))?;
        let header: OwnHeader = read(&decode(header, "header")?, "header")?;
        if !is_type(&header.typ, typ) {
            return Err(TokenError::Type);
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or(TokenError::Algorithm)?;
        let signature = decode(signature, "signature")?;
        if !jws::fits(algorithm, signature.len()) {
            return Err(TokenError::Malformed("signature"));
        }
        let payload = decode(claims, "claims")?;
        let times = strict_members(&payload, ["exp", "iat", "nbf"]).ok_or(CLAIMS)?;
        let times = Times::read(times).ok_or(CLAIMS)?;
        let claims = serde_json::from_slice(&payload).map_err(|_| CLAIMS)?;
        Ok(Self { claims, header, signature, signed, times })
    }
}

impl<T> Presented<'_, T> {
    /// The id of the key that should verify it.
    pub fn kid(&self) -> &KeyId {
        &self.header.kid
    }

    /// The type as the token writes it.
    pub fn typ(&self) -> &str {
        &self.header.typ
    }

    /// The algorithm the token names.
    pub fn alg(&self) -> &str {
        &self.header.alg
    }

    /// What the token says. Anybody could have written it: use it to refuse, never to allow.
    pub fn unverified_claims(&self) -> &T {
        &self.claims
    }

    /// Refuses a token that has expired, without leeway, or that begins in the future, with the
    /// leeway of one clock's skew.
    pub fn check_times(&self, now: Timestamp) -> Result<(), TokenError> {
        if now.secs() >= self.times.exp {
            return Err(TokenError::Expired);
        }
        if Timestamp::from_secs(self.times.begins) > now.plus(MAX_SKEW) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    /// Checks the signature under the key that [`Self::kid`] names.
    pub fn verify(self, key: &VerifyingKey) -> Result<Verified<T>, TokenError> {
        if self.header.kid != *key.id() {
            return Err(TokenError::Key);
        }
        if self.header.alg != key.alg() {
            return Err(TokenError::Algorithm);
        }
        if !key.verify(self.signed.as_bytes(), &self.signature) {
            return Err(TokenError::Signature);
        }
        Ok(Verified(self.claims))
    }
}

impl<T> fmt::Debug for Presented<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({}, {})", self.header.typ, self.header.kid)
    }
}

/// Media types are compared without case, and `application/` may be left out (RFC 7515
/// section 4.1.9).
fn is_type(given: &str, wanted: &str) -> bool {
    let short = given
        .split_at_checked("application/".len())
        .filter(|(prefix, _)| prefix.eq_ignore_ascii_case("application/"))
        .map_or(given, |(_, rest)| rest);
    short.eq_ignore_ascii_case(wanted)
}

pub(crate) fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed(name))
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], name: &'static str) -> Result<T, TokenError> {
    if !is_strict_object(bytes) {
        return Err(TokenError::Malformed(name));
    }
    serde_json::from_slice(bytes).map_err(|_| TokenError::Malformed(name))
}

#[cfg(test)]
#[path = "token_algorithm_tests.rs"]
mod algorithm_tests;
#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
