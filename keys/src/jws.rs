//! Signatures over bytes (RFC 7518 section 3): the only file that names josekit and aws-lc-rs. Ours
//! are ES256, `EdDSA` or RS256, made and checked on every hot path by the faster of the two;
//! clients sign with what they have, which josekit reads.
//!
//! A signer or verifier is prepared once per key. Splitting and reading a token is done by
//! `token.rs`, so that the bytes whose signature is checked are the bytes whose claims are read.

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
        RsaKeyPair, RsaPublicKeyComponents,
    },
};
use josekit::{
    jwk::Jwk,
    jws::{ES256, EdDSA, JwsVerifier, PS256, RS256},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{error::KeyError, key::Public, ring::Algorithm};

/// The length of an ES256 or `EdDSA` signature.
const SIGNATURE_BYTES: usize = 64;

/// A new key of an algorithm other than ES256, as PKCS #8.
pub(crate) fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    const FAILED: KeyError = KeyError::NoRandomness;
    match algorithm {
        Algorithm::EdDsa => {
            let made = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new());
            Ok(Zeroizing::new(made.map_err(|_| FAILED)?.as_ref().to_vec()))
        }
        Algorithm::Rs256 => {
            let made = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| FAILED)?;
            let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&made);
            Ok(Zeroizing::new(der.map_err(|_| FAILED)?.as_ref().to_vec()))
        }
        Algorithm::Es256 | Algorithm::Secret => Err(KeyError::Library("key generation")),
    }
}

/// A prepared signer.
pub(crate) enum Signer {
    Ec { key: Box<EcdsaKeyPair>, random: SystemRandom },
    Ed(Box<Ed25519KeyPair>),
    Rsa { key: Box<RsaKeyPair>, random: SystemRandom },
}

impl Signer {
    /// Prepares the signer of a PKCS #8 key.
    pub(crate) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        const WRONG: KeyError = KeyError::Damaged("a private half is not of its algorithm");
        let random = SystemRandom::new();
        Ok(match algorithm {
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                Self::Ec { key: Box::new(key.map_err(|_| WRONG)?), random }
            }
            Algorithm::EdDsa => {
                Self::Ed(Box::new(Ed25519KeyPair::from_pkcs8(der).map_err(|_| WRONG)?))
            }
            Algorithm::Rs256 => {
                let key = RsaKeyPair::from_pkcs8(der).map_err(|_| WRONG)?;
                Self::Rsa { key: Box::new(key), random }
            }
            Algorithm::Secret => return Err(WRONG),
        })
    }

    /// The public half of a key of an algorithm other than ES256, whose point its maker knows.
    pub(crate) fn public(&self) -> Option<Public> {
        match self {
            Self::Ec { .. } => None,
            Self::Ed(key) => key.public_key().as_ref().try_into().map(Public::Ed).ok(),
            Self::Rsa { key, .. } => {
                let RsaPublicKeyComponents { n: modulus, e: exponent } = key.public_key().into();
                Some(Public::Rsa { modulus, exponent })
            }
        }
    }

    /// The signature over the message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        const FAILED: KeyError = KeyError::Library("signing");
        match self {
            Self::Ec { key, random } => {
                Ok(key.sign(random, message).map_err(|_| FAILED)?.as_ref().to_vec())
            }
            Self::Ed(key) => Ok(key.try_sign(message).map_err(|_| FAILED)?.as_ref().to_vec()),
            Self::Rsa { key, random } => {
                let mut signature = vec![0; key.public_modulus_len()];
                let signed = key.sign(&RSA_PKCS1_SHA256, random, message, &mut signature);
                signed.map(|()| signature).map_err(|_| FAILED)
            }
        }
    }
}

/// A prepared verifier of one key and its one algorithm.
pub(crate) struct Verifier {
    key: ParsedPublicKey,
    /// How long its signatures are.
    bytes: usize,
}

impl Verifier {
    /// Prepares the verifier of a key.
    pub(crate) fn of(public: &Public) -> Result<Self, KeyError> {
        const WRONG: KeyError = KeyError::Library("verifying key");
        let (key, bytes) = match public {
            Public::Ec(point) => {
                let spki = point.spki();
                let spki = spki.ok_or(KeyError::Damaged("a public half is not on the curve"))?;
                (ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, spki), SIGNATURE_BYTES)
            }
            Public::Ed(x) => (ParsedPublicKey::new(&ED25519, x), SIGNATURE_BYTES),
            Public::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                (key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256), modulus.len())
            }
        };
        Ok(Self { key: key.map_err(|_| WRONG)?, bytes })
    }

    /// Whether the signature is this key's over the message.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.bytes && self.key.verify_sig(message, signature).is_ok()
    }
}

/// Whether a signature of the algorithm can have so many bytes.
pub(crate) fn fits(algorithm: Algorithm, bytes: usize) -> bool {
    match algorithm {
        Algorithm::EdDsa | Algorithm::Es256 => bytes == SIGNATURE_BYTES,
        Algorithm::Rs256 => (256..=512).contains(&bytes),
        Algorithm::Secret => false,
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

    fn of_point(key: &EcPrivate) -> Verifier {
        Verifier::of(&Public::Ec(key.point)).unwrap()
    }

    fn sign(key: &EcPrivate) -> Vec<u8> {
        Signer::from_pkcs8(Algorithm::Es256, &key.pkcs8).unwrap().sign(b"message").unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let (one, other) = (EcPrivate::generate().unwrap(), EcPrivate::generate().unwrap());
        let signature = sign(&one);
        assert_eq!(signature.len(), SIGNATURE_BYTES);
        assert!(of_point(&one).verify(b"message", &signature));
        assert!(!of_point(&one).verify(b"massage", &signature));
        assert!(!of_point(&other).verify(b"message", &signature));
    }

    #[test]
    fn both_libraries_read_what_the_other_one_wrote() {
        let key = EcPrivate::generate().unwrap();
        let other = ES256.signer_from_der(&key.pkcs8).unwrap();
        assert!(of_point(&key).verify(b"message", &other.sign(b"message").unwrap()));
        let theirs = ES256.verifier_from_der(key.point.spki().unwrap()).unwrap();
        theirs.verify(b"message", &sign(&key)).unwrap();
        for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
            let der = generate(algorithm).unwrap();
            let ours = Signer::from_pkcs8(algorithm, &der).unwrap();
            let other: Box<dyn JwsSigner> = match algorithm {
                Algorithm::EdDsa => Box::new(EdDSA.signer_from_der(&*der).unwrap()),
                _ => Box::new(RS256.signer_from_der(&*der).unwrap()),
            };
            // Neither has a random part, so there is one signature of one message.
            let signature = ours.sign(b"message").unwrap();
            assert_eq!(signature, other.sign(b"message").unwrap(), "{algorithm:?}");
            assert!(fits(algorithm, signature.len()));
            let verifier = Verifier::of(&ours.public().unwrap()).unwrap();
            assert!(verifier.verify(b"message", &signature), "{algorithm:?}");
            assert!(!verifier.verify(b"massage", &signature), "{algorithm:?}");
        }
    }

    #[test]
    fn degenerate_signatures_are_refused_without_a_panic() {
        let key = EcPrivate::generate().unwrap();
        let rsa = Signer::from_pkcs8(Algorithm::Rs256, &generate(Algorithm::Rs256).unwrap());
        let rsa = Verifier::of(&rsa.unwrap().public().unwrap()).unwrap();
        let edwards = Verifier::of(&Public::Ed([7; 32]));
        let half_zero = [[0u8; 32], [1u8; 32]].concat();
        for signature in
            [vec![], vec![0; 63], vec![0; 64], vec![0xff; 64], half_zero, vec![1; 65], vec![0; 256]]
        {
            assert!(!of_point(&key).verify(b"message", &signature), "{signature:?}");
            assert!(!rsa.verify(b"message", &signature), "{signature:?}");
            assert!(edwards.iter().all(|key| !key.verify(b"message", &signature)), "{signature:?}");
        }
    }
}
