//! Judges tokens as a resource server of somebody else would: by the published keys, with a
//! library of its own.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::Value;

use crate::{client::Client, http::Http, world::World};

/// Somebody who trusts one issuer.
#[derive(Clone, Debug)]
pub struct Judge {
    issuer: String,
    keys: JwkSet,
}

impl Judge {
    /// Fetches the issuer's keys.
    pub async fn of(world: &World) -> Self {
        let client = Client::discover(world).await;
        Self::with_metadata(&world.http, &client.metadata).await
    }

    /// Fetches the keys that a metadata document names.
    pub async fn with_metadata(http: &Http, metadata: &Value) -> Self {
        let url = metadata["jwks_uri"].as_str().unwrap();
        let keys = http.get(url).await.expect_status(200).json();
        let issuer = metadata["issuer"].as_str().unwrap().to_owned();
        Self { issuer, keys: serde_json::from_value(keys).unwrap() }
    }

    /// The claims of an access token that is good for this audience at this moment, by the
    /// steps of RFC 9068 section 4.
    pub fn access_token(&self, world: &World, token: &str, audience: &str) -> Value {
        let header = jsonwebtoken::decode_header(token).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        let claims = self.claims(token, audience).unwrap();
        let now = world.clock.now().secs();
        assert!(claims["exp"].as_u64().unwrap() > now, "the token has expired");
        claims
    }

    /// The claims of a signed answer, which says neither whom it is about nor when it ends.
    pub fn answer(&self, token: &str, audience: &str) -> Value {
        self.claims_with(token, audience, &["aud", "iss"]).unwrap()
    }

    /// The claims of a token whose signature, issuer and audience are right.
    pub fn claims(&self, token: &str, audience: &str) -> jsonwebtoken::errors::Result<Value> {
        self.claims_with(token, audience, &["aud", "exp", "iss", "sub"])
    }

    fn claims_with(
        &self,
        token: &str,
        audience: &str,
        required: &[&str],
    ) -> jsonwebtoken::errors::Result<Value> {
        let header = jsonwebtoken::decode_header(token)?;
        let kid = header.kid.expect("a kid");
        let key = self.keys.find(&kid).unwrap_or_else(|| panic!("{kid} is not published"));
        // By the key, never by what the token says.
        let name = key.common.key_algorithm.expect("an alg").to_string();
        let mut validation = Validation::new(name.parse::<Algorithm>()?);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(required);
        // The world has a clock of its own.
        validation.validate_exp = false;
        let decoded = jsonwebtoken::decode(token, &DecodingKey::from_jwk(key)?, &validation)?;
        Ok(decoded.claims)
    }
}
