//! PKCE (RFC 7636), S256 only: a challenge has no method because there is no other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::violation::{AuthorizeViolation, TokenViolation};

/// An S256 challenge: the SHA-256 of a verifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeChallenge([u8; 32]);

/// That the verifier of a code was checked. Made only by [`CodeChallenge::verify`].
#[derive(Debug)]
pub(crate) struct PkceProof(());

impl CodeChallenge {
    /// Reads `code_challenge` and `code_challenge_method` (RFC 7636 section 4.3).
    pub(crate) fn parse(
        challenge: Option<&str>,
        method: Option<&str>,
    ) -> Result<Self, AuthorizeViolation> {
        let challenge = challenge.ok_or(AuthorizeViolation::ChallengeMissing)?;
        // An absent method means `plain` (RFC 7636 section 4.3), which is refused.
        if method != Some("S256") {
            return Err(AuthorizeViolation::ChallengeMethod);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(challenge)
            .map_err(|_| AuthorizeViolation::ChallengeMalformed)?;
        bytes.try_into().map(Self).map_err(|_| AuthorizeViolation::ChallengeMalformed)
    }

    /// Checks a verifier in constant time (RFC 7636 section 4.6).
    pub(crate) fn verify(&self, verifier: Option<&str>) -> Result<PkceProof, TokenViolation> {
        let verifier = verifier.ok_or(TokenViolation::VerifierMissing)?;
        let fits = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        if !fits {
            return Err(TokenViolation::VerifierMalformed);
        }
        let digest: [u8; 32] = Sha256::digest(verifier.as_bytes()).into();
        if bool::from(digest.ct_eq(&self.0)) {
            Ok(PkceProof(()))
        } else {
            Err(TokenViolation::VerifierMismatch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let challenge = CodeChallenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        assert!(challenge.verify(Some(VERIFIER)).is_ok());
        let changed = VERIFIER.replace('d', "e");
        assert_eq!(challenge.verify(Some(&changed)).unwrap_err(), TokenViolation::VerifierMismatch);
        assert_eq!(challenge.verify(None).unwrap_err(), TokenViolation::VerifierMissing);
        assert_eq!(challenge.verify(Some("short")).unwrap_err(), TokenViolation::VerifierMalformed);
    }

    #[test]
    fn every_other_challenge_is_refused() {
        use AuthorizeViolation::{ChallengeMalformed, ChallengeMethod, ChallengeMissing};
        let cases = [
            (None, Some("S256"), ChallengeMissing),
            (Some(CHALLENGE), None, ChallengeMethod),
            (Some(CHALLENGE), Some("plain"), ChallengeMethod),
            (Some("abc"), Some("S256"), ChallengeMalformed),
            (Some("!9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), Some("S256"), ChallengeMalformed),
        ];
        for (challenge, method, expected) in cases {
            assert_eq!(CodeChallenge::parse(challenge, method).unwrap_err(), expected);
        }
    }
}
