//! Tokens and keys of other issuers, right, wrong and confused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::{
    key::{Public, SigningKey},
    ring::Algorithm,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn es256(kid: &str) -> (SigningKey, Value) {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let encode = |bytes: [u8; 32]| URL_SAFE_NO_PAD.encode(bytes);
    let Public::Ec(point) = key.verifying().public().clone() else { panic!("another kind") };
    let (x, y) = (encode(point.x), encode(point.y));
    (key, json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y }))
}

fn token(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn keys(all: &[Value], algorithms: &[&'static str]) -> Result<ForeignKeys, KeyError> {
    ForeignKeys::parse(json!({ "keys": all }).to_string().as_bytes(), algorithms)
}

#[test]
fn a_token_holds_under_the_key_and_algorithm_that_it_names_and_no_other() {
    let ((key, jwk), (other, second)) = (es256("one"), es256("two"));
    let set = keys(&[jwk, second], &["ES256", "RS256"]).unwrap();
    let claims = json!({ "exp": 1 });
    let verify = |key: &SigningKey, header: &Value| {
        ForeignToken::parse(&token(key, header, &claims)).unwrap().verify(&set).map(drop)
    };
    assert_eq!(verify(&key, &json!({ "alg": "ES256", "kid": "one" })), Ok(()));
    for (signer, alg, kid, error) in [
        (&other, "ES256", "one", TokenError::Signature),
        (&key, "ES256", "two", TokenError::Signature),
        (&key, "ES256", "three", TokenError::Key),
        (&key, "RS256", "one", TokenError::Algorithm),
        (&key, "HS256", "one", TokenError::Algorithm),
        (&key, "none", "one", TokenError::Algorithm),
    ] {
        let header = json!({ "alg": alg, "kid": kid });
        assert_eq!(verify(signer, &header), Err(error), "{alg} {kid}");
    }
    let no_kid = token(&key, &json!({ "alg": "ES256" }), &claims);
    assert!(ForeignToken::parse(&no_kid).is_err());
    for name in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"] {
        let mut header = json!({ "alg": "ES256", "kid": "one" });
        header[name] = "x".into();
        assert!(ForeignToken::parse(&token(&key, &header, &claims)).is_err(), "{name}");
    }
}

#[test]
fn keys_are_taken_for_what_they_are_for_and_ambiguous_ids_for_nothing() {
    let ((_, one), (_, two)) = (es256("one"), es256("one"));
    let mut private = es256("p").1;
    private["d"] = "AQ".into();
    let mut encrypts = es256("e").1;
    encrypts["use"] = "enc".into();
    let mut named = es256("n").1;
    named["alg"] = "ES384".into();
    for (all, algorithms, count) in [
        (vec![one.clone()], vec!["ES256"], 1),
        (vec![one.clone(), one.clone()], vec!["ES256"], 2),
        (vec![one.clone(), two], vec!["ES256"], 0),
        (vec![one], vec!["RS256", "EdDSA"], 0),
        (vec![private, encrypts, named], vec!["ES256"], 0),
        (vec![json!({ "kty": "oct", "k": "AA", "kid": "s" })], vec!["ES256"], 0),
    ] {
        let found = keys(&all, &algorithms).map_or(0, |keys| keys.len());
        assert_eq!(found, count, "{all:?} {algorithms:?}");
    }
    assert!(ForeignKeys::parse(b"[]", &["ES256"]).is_err());
}

#[test]
fn types_and_times_are_compared_as_they_are_written() {
    let (key, _) = es256("one");
    let typed = |typ: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "one" });
        if !typ.is_null() {
            header["typ"] = typ;
        }
        token(&key, &header, &json!({ "exp": 1 }))
    };
    for (typ, wanted, fits) in [
        (json!("at+jwt"), "at+jwt", true),
        (json!("application/at+jwt"), "at+jwt", true),
        (json!("AT+JWT"), "at+jwt", true),
        (json!("JWT"), "at+jwt", false),
        (Value::Null, "at+jwt", false),
        (Value::Null, "JWT", true),
        (json!("at+jwt"), "JWT", false),
        (json!("vestibule-identity+jwt"), "JWT", false),
    ] {
        let text = typed(typ.clone());
        let outcome = ForeignToken::parse(&text).unwrap().check_type(wanted);
        assert_eq!(outcome.is_ok(), fits, "{typ} {wanted}");
    }
    for (claims, fits) in [
        (json!({ "exp": NOW.secs() + 1 }), true),
        (json!({ "exp": NOW.secs() }), false),
        (json!({}), false),
        (json!({ "exp": 1.5 }), false),
        (json!({ "exp": NOW.secs() + 1, "iat": "x" }), false),
        (json!({ "exp": NOW.secs() + 9, "nbf": NOW.secs() + 3600 }), false),
        (json!({ "exp": LAST_SECOND + 1 }), false),
    ] {
        let text = token(&key, &json!({ "alg": "ES256", "kid": "one" }), &claims);
        let presented = ForeignToken::parse(&text).unwrap();
        assert_eq!(presented.check_times(NOW).is_ok(), fits, "{claims}");
    }
}
