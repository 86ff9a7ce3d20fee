//! 32-byte secrets that authenticate (HMAC-SHA256, RFC 2104 section 2) and seal
//! (XChaCha20-Poly1305), and the ring of those in use.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use shared::ids::KeyId;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{error::KeyError, generate};

const ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// A 32-byte secret with its prepared keys. Cloning shares it; `Debug` shows its id only.
#[derive(Clone)]
pub struct SecretKey32(Arc<Prepared>);

struct Prepared {
    cipher: XChaCha20Poly1305,
    id: [u8; ID_BYTES],
    mac: Hmac<Sha256>,
    secret: Zeroizing<[u8; 32]>,
}

impl SecretKey32 {
    pub(crate) fn generate() -> Self {
        Self::from_bytes(generate::secret())
    }

    /// Derives the working keys, so that no two uses share one.
    pub(crate) fn from_bytes(secret: Zeroizing<[u8; 32]>) -> Self {
        let sealing = derive(&secret, "seal");
        let [a, b, c, d, ..] = *derive(&secret, "id");
        Self(Arc::new(Prepared {
            cipher: XChaCha20Poly1305::new((&*sealing).into()),
            id: [a, b, c, d],
            mac: keyed(&derive(&secret, "mac")),
            secret,
        }))
    }

    /// The short id that travels with what the key made.
    pub fn id(&self) -> [u8; ID_BYTES] {
        self.0.id
    }

    /// HMAC-SHA256 over the parts, each with its length in front, so that no two lists of parts
    /// give the same input.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac_over(self.0.mac.clone(), parts)
    }

    /// Whether `mac` is this key's over the parts, in constant time.
    pub fn mac_matches(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac(parts).ct_eq(mac).into()
    }

    /// Seals `plain`: key id, nonce and ciphertext in base64url. It opens only with the same
    /// `context`.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<String, KeyError> {
        let mut sealed = self.0.id.to_vec();
        sealed.extend(encrypt(&self.0.cipher, context, plain)?);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The id as key sets write it.
    pub(crate) fn key_id(&self) -> Result<KeyId, KeyError> {
        let text = format!("{:08x}", u32::from_be_bytes(self.0.id));
        KeyId::parse(&text).map_err(|_| KeyError::Library("key id"))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0.secret
    }
}

impl fmt::Debug for SecretKey32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey32({:08x})", u32::from_be_bytes(self.0.id))
    }
}

/// The secrets of one purpose: the current one makes new things, all of them read.
#[derive(Clone, Debug)]
pub struct SecretRing {
    current: SecretKey32,
    gone: Vec<KeyId>,
    others: Vec<SecretKey32>,
}

impl SecretRing {
    pub(crate) fn new(current: SecretKey32, others: Vec<SecretKey32>, gone: Vec<KeyId>) -> Self {
        Self { current, gone, others }
    }

    /// Whether a secret with this id was retired or revoked: nothing it made counts any more.
    pub fn is_gone(&self, id: [u8; ID_BYTES]) -> bool {
        let id = format!("{:08x}", u32::from_be_bytes(id));
        self.gone.iter().any(|gone| gone.as_str() == id)
    }

    /// The secret for everything new.
    pub fn current(&self) -> &SecretKey32 {
        &self.current
    }

    /// The secret with this id: the current one, a retiring or a pending one.
    pub fn find(&self, id: [u8; ID_BYTES]) -> Option<&SecretKey32> {
        std::iter::once(&self.current).chain(&self.others).find(|key| key.id() == id)
    }

    /// Opens what any secret of the ring sealed with this context.
    pub fn open(&self, context: &[u8], sealed: &str) -> Result<Vec<u8>, KeyError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| KeyError::Opening)?;
        let (id, rest) = bytes.split_first_chunk().ok_or(KeyError::Opening)?;
        let key = self
            .find(*id)
            .ok_or_else(|| KeyError::Unknown(format!("{:08x}", u32::from_be_bytes(*id))))?;
        decrypt(&key.0.cipher, context, rest)
    }
}

/// Nonce and ciphertext of `plain` under a fresh nonce.
pub(crate) fn encrypt(
    cipher: &XChaCha20Poly1305,
    context: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let nonce: [u8; NONCE_BYTES] = generate::random()?;
    let payload = Payload { msg: plain, aad: context };
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload);
    let mut out = nonce.to_vec();
    out.extend(sealed.map_err(|_| KeyError::Library("sealing"))?);
    Ok(out)
}

/// What [`encrypt`] sealed with the same key and context.
pub(crate) fn decrypt(
    cipher: &XChaCha20Poly1305,
    context: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(KeyError::Opening)?;
    let payload = Payload { msg: rest, aad: context };
    cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| KeyError::Opening)
}

/// A key of its own for one use of a secret.
pub(crate) fn derive(secret: &[u8; 32], usage: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac_over(keyed(secret), &[b"vestibule", usage.as_bytes()]))
}

/// Every part with its length in front, in one run of bytes.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

fn mac_over(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::new((&*block).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> SecretRing {
        SecretRing::new(SecretKey32::generate(), vec![SecretKey32::generate()], Vec::new())
    }

    #[test]
    fn the_mac_is_that_of_rfc_4231_section_4_3() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mut mac = keyed(&key);
        mac.update(b"what do ya want for nothing?");
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(bytes[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn parts_are_told_apart_by_their_lengths() {
        let key = SecretKey32::generate();
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
        assert_ne!(key.mac(&[b""]), key.mac(&[]));
        assert!(key.mac_matches(&[b"a"], &key.mac(&[b"a"])));
        assert!(!key.mac_matches(&[b"a"], &key.mac(&[b"b"])));
        assert!(!key.mac_matches(&[b"a"], &key.mac(&[b"a"])[..16]));
    }

    #[test]
    fn the_same_secret_gives_the_same_id_and_mac() {
        let key = SecretKey32::generate();
        let again = SecretKey32::from_bytes(Zeroizing::new(*key.bytes()));
        assert_eq!((key.id(), key.mac(&[b"a"])), (again.id(), again.mac(&[b"a"])));
    }

    #[test]
    fn sealed_text_opens_under_any_key_of_the_ring_with_its_context_only() {
        let ring = ring();
        for key in [&ring.current, &ring.others[0]] {
            let sealed = key.seal(b"page", b"hello").unwrap();
            assert_eq!(ring.open(b"page", &sealed).unwrap(), b"hello");
            assert_eq!(ring.open(b"cookie", &sealed), Err(KeyError::Opening));
        }
        assert_ne!(
            ring.current().seal(b"page", b"hello").unwrap(),
            ring.current().seal(b"page", b"hello").unwrap()
        );
    }

    #[test]
    fn no_changed_bit_opens_and_a_key_outside_the_ring_is_named() {
        let ring = ring();
        let bytes = URL_SAFE_NO_PAD.decode(ring.current().seal(b"c", b"plain").unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(ring.open(b"c", &URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {at}");
        }
        for junk in ["", "AAAA", "AAAAAAAA", "=", "\n"] {
            assert!(ring.open(b"c", junk).is_err(), "{junk:?}");
        }
        let stranger = SecretKey32::generate();
        let sealed = stranger.seal(b"c", b"plain").unwrap();
        assert!(matches!(ring.open(b"c", &sealed), Err(KeyError::Unknown(_))));
    }

    #[test]
    fn a_printed_secret_shows_its_id_only() {
        let key = SecretKey32::generate();
        assert_eq!(format!("{key:?}"), format!("SecretKey32({})", key.key_id().unwrap()));
    }
}
