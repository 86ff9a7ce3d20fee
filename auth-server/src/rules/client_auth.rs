//! Client authentication at the token endpoint (RFC 6749 section 2.3): none,
//! `client_secret_basic`, `client_secret_post`, `private_key_jwt`; the registered method and no
//! other.

use base64::{Engine, engine::general_purpose::STANDARD};
use shared::{ids::ClientId, secret::Secret, time::Timestamp};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::{
    client::{Client, ClientAuth, ClientSecret},
    client_assertion,
    params::Params,
    violation::TokenViolation,
};

/// What a request presents, before the client is looked up.
#[derive(Debug)]
pub(crate) struct Presented {
    pub(crate) client: ClientId,
    secret: PresentedSecret,
}

#[derive(Debug)]
enum PresentedSecret {
    /// A signed assertion, of which nothing was checked.
    Assertion(Secret),
    /// As it was sent, and form-decoded.
    Basic {
        raw: Secret,
        decoded: Secret,
    },
    None,
    Post(Secret),
}

impl Presented {
    /// Reads the `Authorization` header and the body's parameters.
    pub(crate) fn read(
        authorization: Option<&str>,
        params: &Params,
    ) -> Result<Self, TokenViolation> {
        let in_body = params.one("client_id").map(parse_client).transpose()?;
        let secret_in_body = params.one("client_secret");
        if let Some(assertion) = params.one("client_assertion") {
            if authorization.is_some() || secret_in_body.is_some() {
                return Err(TokenViolation::ClientAuthenticationTwice);
            }
            return Self::assertion_of(assertion, params.one("client_assertion_type"), in_body);
        }
        let Some(authorization) = authorization else {
            let client = in_body.ok_or(TokenViolation::ClientMissing)?;
            let secret = secret_in_body.map_or(PresentedSecret::None, |secret| {
                PresentedSecret::Post(Secret::new(secret.to_owned()))
            });
            return Ok(Self { client, secret });
        };
        if secret_in_body.is_some() {
            return Err(TokenViolation::ClientAuthenticationTwice);
        }
        let (client, secret) = basic(authorization).ok_or(TokenViolation::ClientAuthentication)?;
        let client = parse_client(&client)?;
        // A client_id beside the header must be the same one.
        if in_body.is_some_and(|other| other != client) {
            return Err(TokenViolation::ClientAuthentication);
        }
        let (raw, decoded) = (Secret::new(secret.clone()), Secret::new(form_decode(&secret)));
        Ok(Self { client, secret: PresentedSecret::Basic { raw, decoded } })
    }

    /// The client is the one that `sub` names, whether or not `client_id` names it too (RFC 7521
    /// section 4.2).
    fn assertion_of(
        text: &str,
        kind: Option<&str>,
        in_body: Option<ClientId>,
    ) -> Result<Self, TokenViolation> {
        if kind != Some(client_assertion::TYPE) {
            return Err(TokenViolation::AssertionType);
        }
        let assertion = client_assertion::read(text)?;
        let client = parse_client(&assertion.unverified_claims().sub)?;
        if in_body.is_some_and(|other| other != client) {
            return Err(TokenViolation::ClientAuthentication);
        }
        Ok(Self { client, secret: PresentedSecret::Assertion(Secret::new(text.to_owned())) })
    }

    /// The assertion, if one was presented. Its keys may have to be fetched, so it is checked by
    /// the endpoint.
    pub(crate) fn assertion(&self) -> Option<&str> {
        match &self.secret {
            PresentedSecret::Assertion(text) => Some(text.expose()),
            _ => None,
        }
    }

    /// Checks what was presented against the registration; never an assertion.
    pub(crate) fn check(&self, client: &Client, now: Timestamp) -> Result<(), TokenViolation> {
        let fits = match (&client.auth, &self.secret) {
            (ClientAuth::None, PresentedSecret::None) => true,
            // Some clients always send Basic; without a secret there is nothing it could prove.
            (ClientAuth::None, PresentedSecret::Basic { raw, .. }) => raw.expose().is_empty(),
            // Header and body carry the same secret, and clients mix them up; many SDKs also send
            // it raw where RFC 6749 section 2.3.1 wants it form-encoded.
            (ClientAuth::Secret { secrets, .. }, PresentedSecret::Basic { raw, decoded }) => {
                is_one(raw, secrets, now) | is_one(decoded, secrets, now)
            }
            (ClientAuth::Secret { secrets, .. }, PresentedSecret::Post(secret)) => {
                is_one(secret, secrets, now)
            }
            (ClientAuth::None, PresentedSecret::Post(_))
            | (ClientAuth::PrivateKeyJwt { .. }, _)
            | (ClientAuth::Secret { .. }, PresentedSecret::None)
            | (_, PresentedSecret::Assertion(_)) => false,
        };
        if fits { Ok(()) } else { Err(TokenViolation::ClientAuthentication) }
    }
}

/// Whether a secret is one of the client's that are still in force.
fn is_one(presented: &Secret, secrets: &[ClientSecret], now: Timestamp) -> bool {
    let presented = presented.hash();
    secrets.iter().fold(false, |fits, held| {
        let same: bool = held.hash.as_str().as_bytes().ct_eq(presented.as_str().as_bytes()).into();
        fits | (same & held.expires.is_none_or(|expires| now < expires))
    })
}

fn parse_client(text: &str) -> Result<ClientId, TokenViolation> {
    ClientId::parse(text).map_err(|_| TokenViolation::ClientUnknown)
}

/// Both halves are form-encoded inside the header (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, value) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    Some((form_decode(client), secret.to_owned()))
}

fn form_decode(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rules::client::SecretMethod, testing};

    fn client(auth: ClientAuth) -> Client {
        Client { auth, ..testing::client() }
    }

    fn secret(text: &str) -> ClientAuth {
        ClientAuth::secret(SecretMethod::Basic, Secret::new(text.to_owned()).hash())
    }

    fn attempt(header: Option<&str>, body: &str, auth: ClientAuth) -> Result<(), TokenViolation> {
        let params = Params::parse(body.as_bytes()).unwrap();
        Presented::read(header, &params)?.check(&client(auth), Timestamp::default())
    }

    #[test]
    fn the_registered_secret_is_needed_and_no_other() {
        let auth = || secret("s-1");
        let header = format!("Basic {}", STANDARD.encode("app:s%2D1"));
        assert_eq!(attempt(Some(&header), "", auth()), Ok(()));
        assert_eq!(attempt(None, "client_id=app&client_secret=s-1", auth()), Ok(()));
        for sent in ["a+b/c=", "a%2Bb%2Fc%3D"] {
            let header = format!("Basic {}", STANDARD.encode(format!("app:{sent}")));
            assert_eq!(attempt(Some(&header), "", secret("a+b/c=")), Ok(()), "{sent}");
        }
        for (header, body) in [
            (None, "client_id=app"),
            (None, "client_id=app&client_secret=x"),
            (Some("Basic !!"), ""),
            (Some("Basic YXBw"), ""),
            (Some("Bearer x"), ""),
            (Some(header.as_str()), "client_id=other"),
        ] {
            assert_eq!(attempt(header, body, auth()), Err(TokenViolation::ClientAuthentication));
        }
        assert_eq!(
            attempt(Some(&header), "client_secret=s-1", auth()),
            Err(TokenViolation::ClientAuthenticationTwice)
        );
    }

    #[test]
    fn an_older_secret_works_until_it_ends() {
        let ends = Timestamp::from_secs(100);
        let held = |text: &str, expires| ClientSecret {
            expires,
            hash: Secret::new(text.to_owned()).hash(),
        };
        let secrets = vec![held("old", Some(ends)), held("new", None)];
        let client = client(ClientAuth::Secret { method: SecretMethod::Post, secrets });
        let fits = |secret: &str, at: u64| {
            let params = Params::parse(format!("client_id=app&client_secret={secret}").as_bytes());
            let presented = Presented::read(None, &params.unwrap()).unwrap();
            presented.check(&client, Timestamp::from_secs(at)).is_ok()
        };
        assert!(fits("old", 99) && fits("new", 99) && fits("new", 101));
        assert!(!fits("old", 100));
    }

    #[test]
    fn a_client_without_a_secret_sends_none() {
        assert_eq!(attempt(None, "client_id=app", ClientAuth::None), Ok(()));
        assert_eq!(attempt(None, "", ClientAuth::None), Err(TokenViolation::ClientMissing));
        assert_eq!(
            attempt(None, "client_id=app&client_secret=x", ClientAuth::None),
            Err(TokenViolation::ClientAuthentication)
        );
    }
}
