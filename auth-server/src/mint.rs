//! New secrets and identifiers; the only reader of randomness.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{ids::FamilyId, secret::Secret};

/// The machine gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine gives no randomness")]
pub struct NoRandomness;

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// 128 random bits in base64url, for what need not be secret.
pub(crate) fn token_id() -> Result<String, NoRandomness> {
    bytes::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// 256 random bits in letters and digits, so that raw and form-encoded credentials agree.
pub(crate) fn alphanumeric() -> Result<String, NoRandomness> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(43);
    while text.len() < 43 {
        for byte in bytes::<64>()? {
            // 248 is the largest multiple of 62 in a byte: beyond it some letters were likelier.
            if byte < 248 && text.len() < 43 {
                text.extend(LETTERS.get(usize::from(byte) % 62).map(|letter| char::from(*letter)));
            }
        }
    }
    Ok(text)
}

/// 256 random bits in base64url.
pub(crate) fn secret() -> Result<Secret, NoRandomness> {
    bytes::<32>().map(|bytes| Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// A new family.
pub(crate) fn family() -> Result<FamilyId, NoRandomness> {
    bytes().map(FamilyId::from_bytes)
}
