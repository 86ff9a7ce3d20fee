//! PKCE as a client does it (RFC 7636 sections 4.1 and 4.2).

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// A verifier of 43 characters that no other call returns.
pub fn new_verifier() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("verifier {number}")))
}

/// The S256 challenge of a verifier.
pub fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
