//! What a client's assertion must claim (RFC 7523 section 3): issued by the client about itself,
//! for this issuer and nobody else, for minutes, once.

use std::time::Duration;

use keys::ClientAssertion;
use shared::{ids::ClientId, time::Timestamp};

use super::violation::TokenViolation;

/// The `client_assertion_type` (RFC 7523 section 2.2).
pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion may be good for.
const MOST_LIFE: Duration = Duration::from_mins(10);
/// How far a client's clock may go ahead.
const MOST_SKEW: Duration = Duration::from_secs(30);
const MOST_AHEAD: Duration = Duration::from_mins(1);
/// How soon an identical refresh may come again with the same assertion, its answer having been
/// lost.
pub(crate) const REPEAT: Duration = Duration::from_mins(1);

/// Reads an assertion, without trusting it.
pub(crate) fn read(text: &str) -> Result<ClientAssertion<'_>, TokenViolation> {
    ClientAssertion::parse(text).map_err(|error| TokenViolation::Assertion(error.to_string()))
}

/// Its id and its end, if what it claims holds for this client at this moment.
pub(crate) fn check<'a>(
    assertion: &'a ClientAssertion<'_>,
    client: &ClientId,
    issuer: &str,
    now: Timestamp,
) -> Result<(&'a str, Timestamp), TokenViolation> {
    let refuse = |what: &str| TokenViolation::Assertion(what.to_owned());
    let claims = assertion.unverified_claims();
    if claims.iss != client.as_str() || claims.sub != client.as_str() {
        return Err(refuse("iss and sub must both be the client_id"));
    }
    if !claims.aud.is_only(issuer) && !root_of(issuer).is_some_and(|url| claims.aud.is_only(&url)) {
        return Err(refuse("aud must be this server's issuer and nothing else"));
    }
    let ends = Timestamp::from_secs(claims.exp);
    if ends <= now {
        return Err(refuse("it has expired"));
    }
    if ends > now.plus(MOST_LIFE).plus(MOST_SKEW) {
        return Err(refuse("it is good for more than ten minutes"));
    }
    let begins = claims.iat.max(claims.nbf).unwrap_or_default();
    if Timestamp::from_secs(begins) > now.plus(MOST_AHEAD) {
        return Err(refuse("it begins in the future"));
    }
    match claims.jti.as_deref() {
        Some(jti) if (1..=256).contains(&jti.len()) => Ok((jti, ends)),
        _ => Err(refuse("jti is missing or longer than 256 characters")),
    }
}

/// An issuer without a path as URL libraries write it: the same URL (RFC 3986 section 6.2.3), and
/// what some clients sign.
fn root_of(issuer: &str) -> Option<String> {
    let authority = issuer.split_once("://").map(|(_, rest)| rest)?;
    (!authority.contains('/')).then(|| format!("{issuer}/"))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://as.example";
    const NOW: u64 = 1_800_000_000;

    fn run(change: &Value) -> Result<String, TokenViolation> {
        let mut claims = json!({
            "iss": "app", "sub": "app", "aud": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "j",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}.AA", part(&json!({"alg": "RS256"})), part(&claims));
        let client = ClientId::parse("app").unwrap();
        let assertion = read(&text)?;
        let (jti, _) = check(&assertion, &client, ISSUER, Timestamp::from_secs(NOW))?;
        Ok(jti.to_owned())
    }

    #[test]
    fn the_claims_of_a_good_assertion_hold() {
        for change in [
            json!({}),
            json!({"aud": [ISSUER]}),
            json!({"aud": "https://as.example/"}),
            json!({"iat": null}),
            json!({"iat": NOW + 59}),
            json!({"exp": NOW + 600}),
            json!({"exp": NOW + 1}),
        ] {
            assert_eq!(run(&change).as_deref(), Ok("j"), "{change}");
        }
    }

    #[test]
    fn an_issuer_with_a_path_is_written_in_one_way() {
        assert_eq!(root_of(ISSUER).as_deref(), Some("https://as.example/"));
        assert_eq!(root_of("https://as.example/tenant"), None);
    }

    #[test]
    fn each_deviation_is_refused() {
        for change in [
            json!({"iss": "other"}),
            json!({"iss": null}),
            json!({"sub": "other"}),
            json!({"sub": null}),
            json!({"aud": "https://as.example//"}),
            json!({"aud": ["https://as.example/", ISSUER]}),
            json!({"aud": "https://as.example/token"}),
            json!({"aud": [ISSUER, "https://other.example"]}),
            json!({"aud": []}),
            json!({"aud": null}),
            json!({"exp": NOW}),
            json!({"exp": NOW + 660}),
            json!({"exp": null}),
            json!({"exp": "soon"}),
            json!({"exp": u64::MAX}),
            json!({"iat": NOW + 120}),
            json!({"nbf": NOW + 120}),
            json!({"jti": null}),
            json!({"jti": ""}),
            json!({"jti": "j".repeat(257)}),
        ] {
            assert!(matches!(run(&change), Err(TokenViolation::Assertion(_))), "{change}");
        }
    }
}
