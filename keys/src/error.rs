//! What can be wrong with keys, key sets and tokens.

use shared::{ids::KeyId, time::Timestamp};

use crate::ring::{KeyState, Purpose};

/// Why a key operation was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// This machine's clock is behind the last change of the set.
    #[error(
        "this machine's clock is {seconds} s behind the last change of the keys; set the clock and \
         start again"
    )]
    ClockBehind { seconds: u64 },
    /// The stored record fails its authentication or contradicts itself.
    #[error("the key set is damaged: {0}; restore the store from a back-up")]
    Damaged(&'static str),
    /// A JWKS without any key this service can use.
    #[error("the key set holds no usable key")]
    EmptySet,
    /// Another published key would be one more than verifiers read.
    #[error(
        "no other key can be announced yet: the set publishes {} keys, and verifiers read no more; \
         wait until a retiring one is over, or revoke one",
        crate::jwks::MAX_KEYS
    )]
    Full,
    /// The text is not a key-encryption key.
    #[error("not a key-encryption key: it is kek_ and 43 characters of base64url")]
    InvalidKek,
    /// The bytes are not a JWK Set.
    #[error("not a JWK Set")]
    InvalidSet,
    /// A library refused a key or an operation that cannot fail on sound keys.
    #[error("the cryptographic library failed: {0}")]
    Library(&'static str),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// Secrets are not published, so nobody can be seen reading them.
    #[error("the {0} keys are secrets and are not published")]
    NotPublished(Purpose),
    /// The set of this purpose holds no key that signs.
    #[error("the {0} key set has no signing key")]
    NotSigning(Purpose),
    /// A set older than the one in use was offered.
    #[error(
        "the key set has version {offered} and version {held} is in use; versions never go back"
    )]
    Older { held: u64, offered: u64 },
    /// Another server leads by now.
    #[error("the keys are led in term {held}, and this server led in term {offered}")]
    OtherLeader { held: u64, offered: u64 },
    /// What was sealed does not open under the key it names.
    #[error("sealed text was changed, or belongs to another context")]
    Opening,
    /// The record was sealed under another key-encryption key.
    #[error(
        "the key set was sealed under key-encryption key {sealed_under}, and the one given is \
         {given}; give the key-encryption key {sealed_under}, or the store that belongs to {given}"
    )]
    OtherKek { given: String, sealed_under: String },
    /// The record belongs to another purpose.
    #[error("the key set is for {found}, not for {expected}")]
    OtherPurpose { expected: Purpose, found: Purpose },
    /// The key's state does not allow the verb.
    #[error("key {id} is {} and cannot be {verb}", described(*.state))]
    State { id: KeyId, state: KeyState, verb: &'static str },
    /// A token would be longer than any verifier accepts.
    #[error("the token would have {0} bytes, more than 4096")]
    TokenTooLong(usize),
    /// A dwell time has not passed.
    #[error("key {id} cannot be {verb} yet; it is allowed in {wait_seconds} s")]
    TooSoon { allowed_at: Timestamp, id: KeyId, verb: &'static str, wait_seconds: u64 },
    /// The set has no key with this id.
    #[error("the key set has no key {0}")]
    Unknown(String),
    /// The record was written by another version of this software.
    #[error("the key set has format {0}, and this version reads format 1")]
    UnknownFormat(u32),
}

fn described(state: KeyState) -> &'static str {
    match state {
        KeyState::Probe => "a probe",
        other => other.as_str(),
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not an algorithm we accept, or not the key's (RFC 8725 section 3.1).
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// `aud` names another resource.
    #[error("the token is for another resource")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `iss` is another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// The token's `kid` is not the key's.
    #[error("the token was signed with another key")]
    Key,
    /// Not a token; the text names the part.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The signature is not the key's over these bytes.
    #[error("the token's signature does not match")]
    Signature,
    /// More than [`crate::MAX_TOKEN_BYTES`].
    #[error("the token is longer than 4096 bytes")]
    TooLong,
    /// `typ` is not the kind asked for (RFC 9068 section 4).
    #[error("the token is of another type")]
    Type,
}
