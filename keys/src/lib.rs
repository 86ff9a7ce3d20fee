//! Signing keys, key sets and tokens.
//!
//! A [`KeySet`] holds the keys of one [`Purpose`] and moves them through their life; it is stored
//! as one record sealed under the [`KeyEncryptionKey`]. [`sign`] makes a token, [`Presented`]
//! reads one, and only [`Presented::verify`] makes a [`Verified`]. Invariant: no clock and no
//! I/O; randomness is drawn in `generate.rs` alone.

mod client;
mod error;
mod foreign;
#[cfg(test)]
mod fuzz;
mod generate;
mod header;
mod json;
mod jwks;
mod jws;
mod key;
mod lifecycle;
mod pace;
mod ring;
mod schedule;
mod sealed;
mod secrets;
mod token;

pub use client::{
    AssertionClaims, Audience, CLIENT_ALGORITHMS, ClientAssertion, ClientKeyError, ClientKeySet,
};
pub use error::{KeyError, TokenError};
pub use foreign::{FOREIGN_ALGORITHMS, ForeignKeys, ForeignToken};
pub use json::is_strict_object;
pub use jwks::VerifyingKeys;
pub use key::{SigningKey, VerifyingKey};
pub use lifecycle::{MAX_SKEW, Urgency};
pub use pace::{Dwell, JWKS_CACHE_CONTROL, Pace};
pub use ring::{Algorithm, KeyRecord, KeySet, KeyState, Purpose};
pub use schedule::{Act, Cost, Step};
pub use sealed::{KeyEncryptionKey, KeyEncryptionKeys};
pub use secrets::{SecretKey32, SecretRing};
pub use token::{MAX_TOKEN_BYTES, Presented, Verified, sign, sign_answer};
