//! Keys ready for use: one signs, the other verifies; a key's id is the thumbprint of its public
//! half (RFC 7638 section 3).

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use shared::ids::KeyId;
use zeroize::Zeroizing;

use crate::{
    error::KeyError,
    generate::{EcPrivate, Point},
    jws::{self, Signer, Verifier},
    ring::Algorithm,
};

/// A private key with its prepared signer. Cloning shares it.
#[derive(Clone)]
pub struct SigningKey(Arc<Private>);

struct Private {
    /// The scalar of an ES256 key, and PKCS #8 of others.
    kept: Zeroizing<Vec<u8>>,
    signer: Signer,
    verifying: VerifyingKey,
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::Es256 => Self::of_point(&EcPrivate::generate()?),
            _ => Self::of_pkcs8(algorithm, jws::generate(algorithm)?),
        }
    }

    /// The key that [`Self::kept`] gave.
    pub(crate) fn from_kept(algorithm: Algorithm, kept: &[u8]) -> Result<Self, KeyError> {
        if algorithm != Algorithm::Es256 {
            return Self::of_pkcs8(algorithm, Zeroizing::new(kept.to_vec()));
        }
        let scalar = <[u8; 32]>::try_from(kept).map(Zeroizing::new);
        let scalar = scalar.map_err(|_| KeyError::Damaged("a private half is no scalar"))?;
        Self::of_point(&EcPrivate::from_scalar(&scalar)?)
    }

    fn of_point(key: &EcPrivate) -> Result<Self, KeyError> {
        let signer = Signer::from_pkcs8(Algorithm::Es256, &key.pkcs8)?;
        let verifying = VerifyingKey::own(Public::Ec(key.point))?;
        let kept = Zeroizing::new(key.scalar.to_vec());
        Ok(Self(Arc::new(Private { kept, signer, verifying })))
    }

    fn of_pkcs8(algorithm: Algorithm, kept: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let signer = Signer::from_pkcs8(algorithm, &kept)?;
        let public = signer.public().ok_or(KeyError::Library("public half"))?;
        let verifying = VerifyingKey::own(public)?;
        Ok(Self(Arc::new(Private { kept, signer, verifying })))
    }

    /// The key's id.
    pub fn id(&self) -> &KeyId {
        self.0.verifying.id()
    }

    /// The public half.
    pub fn verifying(&self) -> VerifyingKey {
        self.0.verifying.clone()
    }

    /// The algorithm that tokens under this key name.
    pub fn algorithm(&self) -> Algorithm {
        self.0.verifying.algorithm()
    }

    pub(crate) fn kept(&self) -> &[u8] {
        &self.0.kept
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.signer.sign(message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id())
    }
}

/// A public key with its prepared verifier. Cloning shares it.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Prepared>);

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Public {
    Ec(Point),
    /// Ed25519.
    Ed([u8; 32]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// The same key under the same id.
impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.public() == other.public()
    }
}

impl Eq for VerifyingKey {}

struct Prepared {
    id: KeyId,
    public: Public,
    verifier: Verifier,
}

impl VerifyingKey {
    /// A key of ours, whose id is its thumbprint.
    pub(crate) fn own(public: Public) -> Result<Self, KeyError> {
        let id = KeyId::parse(&public.thumbprint()).map_err(|_| KeyError::Library("key id"))?;
        Self::named(id, public)
    }

    /// A key whose issuer gave it the id.
    pub(crate) fn named(id: KeyId, public: Public) -> Result<Self, KeyError> {
        let verifier = Verifier::of(&public)?;
        Ok(Self(Arc::new(Prepared { id, public, verifier })))
    }

    /// The key's id.
    pub fn id(&self) -> &KeyId {
        &self.0.id
    }

    /// The algorithm that tokens under this key name.
    pub fn alg(&self) -> &'static str {
        self.algorithm().as_str()
    }

    /// The same as it is stored.
    pub fn algorithm(&self) -> Algorithm {
        self.0.public.algorithm()
    }

    pub(crate) fn public(&self) -> &Public {
        &self.0.public
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verifier.verify(message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.id())
    }
}

impl Public {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ec(_) => Algorithm::Es256,
            Self::Ed(_) => Algorithm::EdDsa,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// RFC 7638 section 3: SHA-256 over the required members in lexicographic order, without
    /// spaces. Those of Ed25519 are in RFC 8037 section 2.
    fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        digest(&match self {
            Self::Ec(Point { x, y }) => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::Ed(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
            Self::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(exponent), text(modulus))
            }
        })
    }
}

fn digest(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinate(text: &str) -> [u8; 32] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_digest_is_that_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t\
                 Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-6\
                 5YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLy\
                 rdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz\
                 KnqDKgw";
        let canonical = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
        assert_eq!(digest(&canonical), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn an_ec_key_has_the_thumbprint_of_rfc_9449_section_6_1() {
        let key = VerifyingKey::own(Public::Ec(Point {
            x: coordinate("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
            y: coordinate("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"),
        }))
        .unwrap();
        assert_eq!(key.id().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn the_es256_signature_of_rfc_7515_appendix_a_3_verifies() {
        let key = VerifyingKey::own(Public::Ec(Point {
            x: coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            y: coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        }))
        .unwrap();
        let message = "eyJhbGciOiJFUzI1NiJ9.\
                       eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
                       c19yb290Ijp0cnVlfQ";
        let signature = URL_SAFE_NO_PAD
            .decode(
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6\
                 NU1Q",
            )
            .unwrap();
        assert!(key.verify(message.as_bytes(), &signature));
    }

    #[test]
    fn a_printed_key_shows_its_id_only() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.id()));
        assert_eq!(format!("{:?}", key.verifying()), format!("VerifyingKey({})", key.id()));
    }

    #[test]
    fn the_ed25519_key_of_rfc_8037_appendix_a_has_its_thumbprint_and_verifies() {
        let public = coordinate("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let key = VerifyingKey::own(Public::Ed(public)).unwrap();
        assert_eq!(key.id().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let signature = URL_SAFE_NO_PAD
            .decode(
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM\
                 0KAg",
            )
            .unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert!(key.verify(message, &signature));
        assert!(!key.verify(b"other", &signature) && !key.verify(message, &signature[..63]));
    }

    #[test]
    fn a_key_of_each_algorithm_is_kept_and_read_again() {
        for algorithm in Algorithm::SIGNING {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_kept(algorithm, key.kept()).unwrap();
            assert_eq!((again.id(), again.algorithm()), (key.id(), algorithm));
            let signature = again.sign(b"message").unwrap();
            assert!(key.verifying().verify(b"message", &signature), "{algorithm:?}");
            assert!(!key.verifying().verify(b"massage", &signature), "{algorithm:?}");
            for other in Algorithm::SIGNING.into_iter().filter(|other| *other != algorithm) {
                assert!(
                    SigningKey::from_kept(other, key.kept()).is_err(),
                    "{algorithm:?} {other:?}"
                );
            }
        }
    }
}
