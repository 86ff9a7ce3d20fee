//! What a request of OpenID Connect says beyond OAuth (OpenID Connect Core 3.1.2.1), and the ID
//! token that answers it (section 2).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keys::Algorithm;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use shared::{
    ids::{ClientId, UserId},
    scope::Scope,
    time::Timestamp,
};

use super::{consent::Grant, params::Params, violation::AuthorizeViolation};

/// The `typ` of an ID token: no resource takes it for an access token.
pub(crate) const ID_TOKEN_TYPE: &str = "JWT";

/// The longest `nonce`: it travels in pages and comes back in the ID token.
const MOST_NONCE: usize = 512;
/// The longest `login_hint` that is shown.
const MOST_HINT: usize = 256;

/// What the client wants to know about the sign-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenIdRequest {
    /// What to write into the name field.
    pub(crate) login_hint: Option<String>,
    /// A sign-in that is older does not count.
    pub(crate) max_age: Option<Duration>,
    /// Comes back in the ID token.
    pub(crate) nonce: Option<String>,
    /// The person that the client's `id_token_hint` names: nobody else may answer.
    pub(crate) subject: Option<UserId>,
}

/// How somebody signed in, as far as this server knows (OpenID Connect Core section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Method {
    /// With the password of an account here. What a provider asked for is the provider's to say.
    #[serde(rename = "pwd")]
    Password,
}

/// The claims of an ID token; times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdTokenClaims {
    pub(crate) iss: String,
    pub(crate) sub: UserId,
    pub(crate) aud: ClientId,
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    pub(crate) auth_time: u64,
    /// Left out where nothing is known of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<Method>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    pub(crate) at_hash: String,
}

/// A sign-in that a token response tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignIn {
    pub(crate) at: Timestamp,
    pub(crate) method: Option<Method>,
    pub(crate) nonce: Option<String>,
}

impl OpenIdRequest {
    /// Reads the parameters.
    pub(crate) fn parse(params: &Params) -> Result<Self, AuthorizeViolation> {
        let seconds = |text: &str| {
            let digits = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
            let seconds = text.parse().ok().filter(|_| digits);
            seconds.map(Duration::from_secs).ok_or(AuthorizeViolation::MaxAgeMalformed)
        };
        let nonce = params.one("nonce");
        // A control character is six in JSON: the ID token must not become too long to sign.
        if nonce.is_some_and(|nonce| nonce.len() > MOST_NONCE || nonce.contains(char::is_control)) {
            return Err(AuthorizeViolation::NonceMalformed);
        }
        let hint = params.one("login_hint");
        let hint = hint.filter(|hint| hint.len() <= MOST_HINT && !hint.contains(char::is_control));
        Ok(Self {
            login_hint: hint.map(str::to_owned),
            max_age: params.one("max_age").map(seconds).transpose()?,
            nonce: nonce.map(str::to_owned),
            subject: None,
        })
    }

    /// Whether a sign-in of this moment was recent enough when the request was made.
    pub(crate) fn is_fresh(&self, signed_in: Timestamp, asked: Timestamp) -> bool {
        self.max_age.is_none_or(|age| signed_in.plus(age) >= asked)
    }

    /// Whether this person may answer.
    pub(crate) fn is_about(&self, person: &UserId) -> bool {
        self.subject.as_ref().is_none_or(|subject| subject == person)
    }
}

impl SignIn {
    /// The sign-in of a grant, if the grant tells of it and the request does not leave it out.
    pub(crate) fn of(
        grant: &Grant,
        asked: Option<&str>,
        nonce: Option<String>,
        began: Timestamp,
    ) -> Option<Self> {
        let leaves_out = |asked: &str| !Scope::parse(asked).is_ok_and(|all| all.contains("openid"));
        let told = grant.identity.contains("openid") && !asked.is_some_and(leaves_out);
        told.then(|| Self { at: grant.signed_in.unwrap_or(began), method: None, nonce })
    }
}

/// The left half of the access token's SHA-256 (OpenID Connect Core 3.1.3.6).
pub(crate) fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let digest = match algorithm {
        // Ed25519 hashes with SHA-512 (RFC 8032 section 5.1).
        Algorithm::EdDsa => Sha512::digest(access_token).to_vec(),
        Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Secret => {
            Sha256::digest(access_token).to_vec()
        }
    };
    URL_SAFE_NO_PAD.encode(digest.get(..digest.len() / 2).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<OpenIdRequest, AuthorizeViolation> {
        OpenIdRequest::parse(&Params::parse(query.as_bytes()).unwrap())
    }

    #[test]
    fn parameters_are_bounded() {
        use AuthorizeViolation::{MaxAgeMalformed, NonceMalformed};
        let request = parse("nonce=n&max_age=60&login_hint=me%40example.com").unwrap();
        assert_eq!(request.nonce.as_deref(), Some("n"));
        assert_eq!(request.max_age, Some(Duration::from_mins(1)));
        assert_eq!(request.login_hint.as_deref(), Some("me@example.com"));
        assert_eq!(parse(&format!("nonce={}", "n".repeat(513))), Err(NonceMalformed));
        assert_eq!(parse("nonce=a%00b"), Err(NonceMalformed));
        for age in ["1.5", "-1", "%2B1", "1e3", "99999999999", "x"] {
            assert_eq!(parse(&format!("max_age={age}")), Err(MaxAgeMalformed), "{age}");
        }
        let hint = format!("login_hint={}", "h".repeat(257));
        assert_eq!(parse(&hint).unwrap().login_hint, None);
        assert_eq!(parse("login_hint=a%0Ab").unwrap().login_hint, None);
    }

    #[test]
    fn a_sign_in_is_fresh_up_to_its_age() {
        let (asked, minute) = (Timestamp::from_secs(1000), Duration::from_mins(1));
        let request = OpenIdRequest { max_age: Some(minute), ..OpenIdRequest::default() };
        assert!(request.is_fresh(asked.minus(minute), asked));
        assert!(!request.is_fresh(asked.minus(minute + Duration::from_millis(1)), asked));
        assert!(OpenIdRequest::default().is_fresh(Timestamp::default(), asked));
    }

    /// The example of OpenID Connect Core, appendix A.3.
    #[test]
    fn the_hash_of_an_access_token_is_as_the_specification_has_it() {
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(at_hash(Algorithm::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
