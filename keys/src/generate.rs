//! New keys and other random bytes; P-256 keys are made and foreign points checked by p256, which
//! no other file names.

use p256::{
    PublicKey, SecretKey,
    elliptic_curve::{Generate, sec1::ToSec1Point},
    pkcs8::{EncodePrivateKey, EncodePublicKey},
};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// A P-256 private key in the forms the rest of the crate needs.
pub(crate) struct EcPrivate {
    /// PKCS #8, as the signer reads it.
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    pub(crate) point: Point,
    pub(crate) scalar: Zeroizing<[u8; 32]>,
}

/// The affine coordinates of a P-256 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) x: [u8; 32],
    pub(crate) y: [u8; 32],
}

impl EcPrivate {
    /// A new key.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        Self::of(&SecretKey::try_generate().map_err(|_| KeyError::NoRandomness)?)
    }

    /// The key of a stored scalar.
    pub(crate) fn from_scalar(scalar: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SecretKey::from_slice(scalar);
        Self::of(&key.map_err(|_| KeyError::Damaged("a private half is not a P-256 scalar"))?)
    }

    fn of(key: &SecretKey) -> Result<Self, KeyError> {
        let der = key.to_pkcs8_der().map_err(|_| KeyError::Library("PKCS #8"))?;
        let encoded = key.public_key().to_sec1_point(false);
        let coordinate = |bytes: Option<&[u8]>| -> Result<[u8; 32], KeyError> {
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Library("public point"))
        };
        let point = Point {
            x: coordinate(encoded.x().map(AsRef::as_ref))?,
            y: coordinate(encoded.y().map(AsRef::as_ref))?,
        };
        Ok(Self {
            pkcs8: Zeroizing::new(der.as_bytes().to_vec()),
            point,
            scalar: Zeroizing::new(key.to_bytes().into()),
        })
    }
}

impl Point {
    /// The `SubjectPublicKeyInfo` of the point, or nothing if it does not lie on the curve.
    pub(crate) fn spki(&self) -> Option<Vec<u8>> {
        let mut encoded = Vec::with_capacity(65);
        encoded.push(4);
        encoded.extend_from_slice(&self.x);
        encoded.extend_from_slice(&self.y);
        let key = PublicKey::from_sec1_bytes(&encoded).ok()?;
        Some(key.to_public_key_der().ok()?.into_vec())
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(bytes)
}

/// A new 32-byte secret. Without randomness there is nothing a caller could do: the process ends.
pub(crate) fn secret() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(<[u8; 32]>::generate())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let good = EcPrivate::generate().unwrap().point;
        assert!(good.spki().is_some());
        let mut bad = good;
        bad.y[31] ^= 1;
        assert!(bad.spki().is_none());
        assert!(Point { x: [0; 32], y: [0; 32] }.spki().is_none());
        assert!(Point { x: [0xff; 32], y: good.y }.spki().is_none());
    }

    #[test]
    fn a_stored_scalar_gives_its_key_again_and_zero_gives_none() {
        let made = EcPrivate::generate().unwrap();
        let read = EcPrivate::from_scalar(&made.scalar).unwrap();
        assert_eq!(made.point, read.point);
        assert!(EcPrivate::from_scalar(&[0; 32]).is_err());
    }
}
