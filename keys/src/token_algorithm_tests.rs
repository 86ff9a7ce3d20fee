//! Tokens of every algorithm that we sign with.

use serde_json::{Value, json};
use shared::claims::ACCESS_TOKEN_TYPE;

use super::{
    Presented, sign,
    tests::{NOW, at, claims, craft},
};
use crate::{
    jwks::VerifyingKeys,
    ring::{Algorithm, KeySet, Purpose},
};

#[test]
fn tokens_of_each_algorithm_hold_under_their_own_key_and_for_another_library() {
    let set = KeySet::first_of(Purpose::Issuer, &Algorithm::SIGNING, at(NOW)).unwrap();
    let published = VerifyingKeys::parse(&set.jwks()).unwrap();
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&set.jwks()).unwrap();
    let tokens = Algorithm::SIGNING.map(|algorithm| {
        let key = set.signing_with(algorithm).unwrap();
        (algorithm, key.clone(), sign(&key, ACCESS_TOKEN_TYPE, &claims()).unwrap())
    });
    for (algorithm, key, token) in &tokens {
        let read = || Presented::parse(token).unwrap();
        assert_eq!(read().alg(), algorithm.as_str());
        assert!(read().verify(published.find(key.id()).unwrap()).is_ok());
        let mut rules = jsonwebtoken::Validation::new(algorithm.as_str().parse().unwrap());
        rules.set_audience(&["https://mcp.example/mcp"]);
        rules.validate_exp = false;
        let jwk = jwks.find(key.id().as_str()).unwrap();
        let judge = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
        assert!(jsonwebtoken::decode::<Value>(token, &judge, &rules).is_ok(), "{algorithm:?}");
        for (other, _, _) in tokens.iter().filter(|(other, ..)| other != algorithm) {
            // The same key, and a header that names another algorithm.
            let lie = json!({ "alg": other.as_str(), "typ": "at+jwt", "kid": key.id() });
            let crafted = craft(key, &lie.to_string(), &claims().to_string());
            let refused = Presented::parse(&crafted)
                .and_then(|token| token.verify(published.find(key.id()).unwrap()));
            assert!(refused.is_err(), "{algorithm:?} as {other:?}");
        }
    }
}
