//! Signatures over bytes (RFC 7518 section 3): the only file that names josekit and aws-lc-rs. Ours
//! are ES256, made and checked on every hot path by the faster of the two; clients sign with what
//! they have, which josekit reads.
//!
//! A signer or verifier is prepared once per key. Splitting and reading a token is done by
//! `token.rs`, so that the bytes whose signature is checked are the bytes whose claims are read.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey,
    },
};
use josekit::{
    jwk::Jwk,
    jws::{ES256, EdDSA, JwsVerifier, PS256, RS256},
};
use serde_json::{Map, Value};

use crate::error::KeyError;

/// The length of an ES256 signature.
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// A prepared ES256 signer.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    /// Prepares the signer of a PKCS #8 key.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        let key = key.map_err(|_| KeyError::Library("signing key"))?;
        Ok(Self { key, random: SystemRandom::new() })
    }

    /// The 64 bytes of the signature over the message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.key.sign(&self.random, message);
        Ok(signature.map_err(|_| KeyError::Library("signing"))?.as_ref().to_vec())
    }
}

/// A prepared ES256 verifier.
pub(crate) struct Verifier(ParsedPublicKey);

impl Verifier {
    /// Prepares the verifier of a `SubjectPublicKeyInfo`.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der);
        key.map(Self).map_err(|_| KeyError::Library("verifying key"))
    }

    /// Whether the signature is this key's over the message.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_BYTES && self.0.verify_sig(message, signature).is_ok()
    }
}

/// A verifier of somebody else's public key, of any algorithm we accept.
pub(crate) struct PublicVerifier(Box<dyn JwsVerifier>);

impl PublicVerifier {
    /// Prepares the verifier of a JWK for an algorithm; none if the key is not for it.
    pub(crate) fn of(algorithm: &str, members: &Map<String, Value>) -> Option<Self> {
        let jwk = Jwk::from_map(members.clone()).ok()?;
        Some(Self(match algorithm {
            "ES256" => Box::new(ES256.verifier_from_jwk(&jwk).ok()?),
            "EdDSA" => Box::new(EdDSA.verifier_from_jwk(&jwk).ok()?),
            "PS256" => Box::new(PS256.verifier_from_jwk(&jwk).ok()?),
            "RS256" => Box::new(RS256.verifier_from_jwk(&jwk).ok()?),
            _ => return None,
        }))
    }

    /// Whether the signature is this key's over the message.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let fits = self.0.algorithm().name() != "ES256" || signature.len() == SIGNATURE_BYTES;
        fits && self.0.verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use josekit::jws::JwsSigner;

    use super::*;
    use crate::generate::EcPrivate;

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let (one, other) = (EcPrivate::generate().unwrap(), EcPrivate::generate().unwrap());
        let signature = Signer::from_pkcs8(&one.pkcs8).unwrap().sign(b"message").unwrap();
        let verifier = |key: &EcPrivate| Verifier::from_spki(&key.point.spki().unwrap()).unwrap();
        assert_eq!(signature.len(), SIGNATURE_BYTES);
        assert!(verifier(&one).verify(b"message", &signature));
        assert!(!verifier(&one).verify(b"massage", &signature));
        assert!(!verifier(&other).verify(b"message", &signature));
    }

    #[test]
    fn both_libraries_read_what_the_other_one_wrote() {
        let key = EcPrivate::generate().unwrap();
        let other = ES256.signer_from_der(&key.pkcs8).unwrap();
        let spki = key.point.spki().unwrap();
        let verifier = Verifier::from_spki(&spki).unwrap();
        assert!(verifier.verify(b"message", &other.sign(b"message").unwrap()));
        let signature = Signer::from_pkcs8(&key.pkcs8).unwrap().sign(b"message").unwrap();
        ES256.verifier_from_der(&spki).unwrap().verify(b"message", &signature).unwrap();
    }

    #[test]
    fn degenerate_signatures_are_refused_without_a_panic() {
        let key = EcPrivate::generate().unwrap();
        let verifier = Verifier::from_spki(&key.point.spki().unwrap()).unwrap();
        let half_zero = [[0u8; 32], [1u8; 32]].concat();
        for signature in [vec![], vec![0; 63], vec![0; 64], vec![0xff; 64], half_zero, vec![1; 65]]
        {
            assert!(!verifier.verify(b"message", &signature), "{signature:?}");
        }
    }
}
