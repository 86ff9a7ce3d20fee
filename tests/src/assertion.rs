//! A client's own key, and the assertions it signs (RFC 7523 section 3).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use crate::{http::Post, pkce::new_verifier, world::World};

/// The one `client_assertion_type` there is.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A P-256 key with an id.
#[derive(Debug)]
pub struct ClientKey {
    key: KeyPair,
    pub kid: String,
}

impl ClientKey {
    /// A new key.
    pub fn new(kid: &str) -> Self {
        Self { key: KeyPair::generate().unwrap(), kid: kid.to_owned() }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let point = self.key.der_bytes();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256",
            "x": encode(&point[1..33]), "y": encode(&point[33..65]),
        })
    }

    /// The set with this key alone.
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// The claims of a good assertion.
    pub fn claims(&self, world: &World, client: &str) -> Value {
        let now = world.clock.now().secs();
        json!({
            "iss": client, "sub": client, "aud": world.issuer, "iat": now, "exp": now + 300,
            "jti": new_verifier(),
        })
    }

    /// An assertion with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    /// Puts a good assertion into a request.
    pub fn prove(&self, world: &World, client: &str, post: &mut Post) {
        present(post, &self.sign(&self.claims(world, client)));
    }
}

/// Puts an assertion into a request.
pub fn present(post: &mut Post, assertion: &str) {
    post.set("client_assertion_type", ASSERTION_TYPE);
    post.set("client_assertion", assertion);
}
