//! The refresh token's form: self-authenticating, and its successor computable by any replica.
//!
//! `rt_` + base64url(version, MAC key id, family, generation, issued at, nonce, terms, MAC). The
//! store holds generation and nonce only, so neither a dump of it nor a lost write gives or loses
//! a token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keys::{SecretKey32, SecretRing};
use shared::{ids::FamilyId, secret::Secret, time::Timestamp};
use subtle::ConstantTimeEq;

use super::terms::TermsId;

const PREFIX: &str = "rt_";
const VERSION: u8 = 1;
const BODY: usize = 1 + 4 + 16 + 4 + 8 + 16 + 12;
const MAC: usize = 32;

/// One generation's random part.
pub(crate) type Nonce = [u8; 16];

/// A refresh token's content, authentic by its MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) family: FamilyId,
    pub(crate) generation: u32,
    pub(crate) issued: Timestamp,
    pub(crate) nonce: Nonce,
    /// What the grant allows.
    pub(crate) terms: TermsId,
}

/// Why a string is not a refresh token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidRefreshToken {
    /// Malformed or forged.
    Forged,
    /// Made with a MAC key this replica does not hold (yet).
    UnknownKey,
}

impl RefreshToken {
    /// Writes the token with its MAC.
    pub(crate) fn encode(&self, key: &SecretKey32) -> Secret {
        let body = self.body(key.id());
        let mac = key.mac(&[b"refresh", &body]);
        let bytes = [body.as_slice(), mac.as_slice()].concat();
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads a token and checks its MAC in constant time, before anything else is done with it.
    pub(crate) fn decode(
        text: &str,
        ring: &SecretRing,
    ) -> Result<(Self, [u8; 4]), InvalidRefreshToken> {
        let forged = InvalidRefreshToken::Forged;
        let text = text.strip_prefix(PREFIX).ok_or(forged)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| forged)?;
        if bytes.len() != BODY + MAC || bytes.first() != Some(&VERSION) {
            return Err(forged);
        }
        let (body, mac) = bytes.split_at_checked(BODY).ok_or(forged)?;
        let key_id: [u8; 4] = field(body, 1).ok_or(forged)?;
        let key = match ring.find(key_id) {
            Some(key) => key,
            // Everything that a retired or revoked key made has ended.
            None if ring.is_gone(key_id) => return Err(forged),
            None => return Err(InvalidRefreshToken::UnknownKey),
        };
        if !bool::from(key.mac(&[b"refresh", body]).as_slice().ct_eq(mac)) {
            return Err(forged);
        }
        let token = Self {
            family: FamilyId::from_bytes(field(body, 5).ok_or(forged)?),
            generation: u32::from_be_bytes(field(body, 21).ok_or(forged)?),
            issued: Timestamp::from_millis(u64::from_be_bytes(field(body, 25).ok_or(forged)?)),
            nonce: field(body, 33).ok_or(forged)?,
            terms: TermsId(field(body, 49).ok_or(forged)?),
        };
        Ok((token, key_id))
    }

    fn body(&self, key: [u8; 4]) -> Vec<u8> {
        let mut body = Vec::with_capacity(BODY);
        body.push(VERSION);
        body.extend_from_slice(&key);
        body.extend_from_slice(self.family.as_bytes());
        body.extend_from_slice(&self.generation.to_be_bytes());
        body.extend_from_slice(&self.issued.millis().to_be_bytes());
        body.extend_from_slice(&self.nonce);
        body.extend_from_slice(&self.terms.0);
        body
    }
}

/// The nonce of the generation after `nonce`'s: the same on every replica, at every time.
pub(crate) fn successor(key: &SecretKey32, family: FamilyId, next: u32, nonce: &Nonce) -> Nonce {
    let mac = key.mac(&[b"chain", family.as_bytes(), &next.to_be_bytes(), nonce]);
    let mut successor = [0; 16];
    for (to, from) in successor.iter_mut().zip(mac) {
        *to = from;
    }
    successor
}

fn field<const N: usize>(body: &[u8], at: usize) -> Option<[u8; N]> {
    body.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use keys::{KeySet, Purpose};

    use super::*;

    #[test]
    fn a_token_reads_back_and_no_changed_bit_does() {
        let ring = KeySet::first(Purpose::RefreshMac, Timestamp::default()).unwrap().secrets();
        let token = RefreshToken {
            family: FamilyId::from_bytes([7; 16]),
            generation: 3,
            issued: Timestamp::from_millis(1_234_567),
            nonce: [9; 16],
            terms: TermsId([5; 12]),
        };
        let text = token.encode(ring.current()).expose().to_owned();
        assert!(text.len() <= 128, "{}", text.len());
        assert_eq!(RefreshToken::decode(&text, &ring).unwrap().0, token);
        let bytes = URL_SAFE_NO_PAD.decode(&text[3..]).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("rt_{}", URL_SAFE_NO_PAD.encode(changed));
            assert!(RefreshToken::decode(&changed, &ring).is_err(), "byte {at}");
        }
        for junk in ["", "rt_", "rt_AAAA", "at_x", &text[..40]] {
            assert_eq!(RefreshToken::decode(junk, &ring), Err(InvalidRefreshToken::Forged));
        }
    }
}
