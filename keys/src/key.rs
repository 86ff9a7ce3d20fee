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
    jws::{Signer, Verifier},
};

/// The one algorithm of our tokens (RFC 7518 section 3.4).
pub(crate) const ES256: &str = "ES256";

/// An ES256 private key with its prepared signer. Cloning shares it.
#[derive(Clone)]
pub struct SigningKey(Arc<Private>);

struct Private {
    scalar: Zeroizing<[u8; 32]>,
    signer: Signer,
    verifying: VerifyingKey,
}

impl SigningKey {
    pub(crate) fn generate() -> Result<Self, KeyError> {
        Self::of(EcPrivate::generate()?)
    }

    pub(crate) fn from_scalar(scalar: &[u8; 32]) -> Result<Self, KeyError> {
        Self::of(EcPrivate::from_scalar(scalar)?)
    }

    fn of(key: EcPrivate) -> Result<Self, KeyError> {
        let signer = Signer::from_pkcs8(&key.pkcs8)?;
        let verifying = VerifyingKey::own(key.point)?;
        Ok(Self(Arc::new(Private { scalar: key.scalar, signer, verifying })))
    }

    /// The key's id.
    pub fn id(&self) -> &KeyId {
        self.0.verifying.id()
    }

    /// The public half.
    pub fn verifying(&self) -> VerifyingKey {
        self.0.verifying.clone()
    }

    pub(crate) fn scalar(&self) -> &[u8; 32] {
        &self.0.scalar
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

/// An ES256 public key with its prepared verifier. Cloning shares it.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Public>);

/// The same key under the same id.
impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.point() == other.point()
    }
}

impl Eq for VerifyingKey {}

struct Public {
    id: KeyId,
    point: Point,
    verifier: Verifier,
}

impl VerifyingKey {
    /// A key of ours, whose id is its thumbprint.
    pub(crate) fn own(point: Point) -> Result<Self, KeyError> {
        let id = KeyId::parse(&thumbprint(&point)).map_err(|_| KeyError::Library("key id"))?;
        Self::named(id, point)
    }

    /// A key whose issuer gave it the id.
    pub(crate) fn named(id: KeyId, point: Point) -> Result<Self, KeyError> {
        let spki = point.spki().ok_or(KeyError::Damaged("a public half is not on the curve"))?;
        let verifier = Verifier::from_spki(&spki)?;
        Ok(Self(Arc::new(Public { id, point, verifier })))
    }

    /// The key's id.
    pub fn id(&self) -> &KeyId {
        &self.0.id
    }

    /// The algorithm that tokens under this key name.
    pub fn alg(&self) -> &'static str {
        ES256
    }

    pub(crate) fn point(&self) -> &Point {
        &self.0.point
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

/// RFC 7638 section 3: SHA-256 over the required members in lexicographic order, without spaces.
fn thumbprint(point: &Point) -> String {
    let (x, y) = (URL_SAFE_NO_PAD.encode(point.x), URL_SAFE_NO_PAD.encode(point.y));
    digest(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
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
        let key = VerifyingKey::own(Point {
            x: coordinate("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
            y: coordinate("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"),
        })
        .unwrap();
        assert_eq!(key.id().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn the_es256_signature_of_rfc_7515_appendix_a_3_verifies() {
        let key = VerifyingKey::own(Point {
            x: coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            y: coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        })
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
        let key = SigningKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.id()));
        assert_eq!(format!("{:?}", key.verifying()), format!("VerifyingKey({})", key.id()));
    }
}
