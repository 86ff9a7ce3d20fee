//! Signatures over bytes (RFC 7518 section 3): the only file that names josekit. Ours are ES256;
//! clients sign with what they have.
//!
//! A signer or verifier is prepared once per key. Splitting and reading a token is done by
//! `token.rs`, so that the bytes whose signature is checked are the bytes whose claims are read.

use josekit::{
    jwk::Jwk,
    jws::{
        ES256, EdDSA, JwsSigner, JwsVerifier, PS256, RS256,
        alg::ecdsa::{EcdsaJwsSigner, EcdsaJwsVerifier},
    },
};
use serde_json::{Map, Value};

use crate::error::KeyError;

/// The length of an ES256 signature.
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// A prepared ES256 signer.
pub(crate) struct Signer(EcdsaJwsSigner);

impl Signer {
    /// Prepares the signer of a PKCS #8 key.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        ES256.signer_from_der(der).map(Self).map_err(|_| KeyError::Library("signing key"))
    }

    /// The 64 bytes of the signature over the message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.sign(message).map_err(|_| KeyError::Library("signing"))
    }
}

/// A prepared ES256 verifier.
pub(crate) struct Verifier(EcdsaJwsVerifier);

impl Verifier {
    /// Prepares the verifier of a `SubjectPublicKeyInfo`.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        ES256.verifier_from_der(der).map(Self).map_err(|_| KeyError::Library("verifying key"))
    }

    /// Whether the signature is this key's over the message.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_BYTES && self.0.verify(message, signature).is_ok()
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
