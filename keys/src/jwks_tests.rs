//! Published and received key sets.

use serde_json::{Value, json};
use shared::time::Timestamp;

use super::*;
use crate::{key::SigningKey, lifecycle::Urgency, ring::Purpose};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn jwk(kid: &str) -> Value {
    jwk_of(Algorithm::Es256, kid)
}

fn jwk_of(algorithm: Algorithm, kid: &str) -> Value {
    let key = SigningKey::generate(algorithm).unwrap().verifying();
    let mut jwk = serde_json::to_value(Members::of(key.public())).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn ids(keys: &[Value]) -> Vec<String> {
    let text = serde_json::to_vec(&json!({ "keys": keys })).unwrap();
    VerifyingKeys::parse(&text).unwrap().ids().map(ToString::to_string).collect()
}

fn kid(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

#[test]
fn the_published_set_holds_public_members_only() {
    let first = KeySet::first(Purpose::Issuer, NOW).unwrap();
    let standby = first.standby().unwrap().id.clone();
    let dwell = crate::pace::Pace::default().dwell(std::time::Duration::from_mins(5));
    let set = first.activate(&standby, NOW, &dwell, Urgency::Emergency).unwrap();
    let published: Value = serde_json::from_slice(&set.jwks()).unwrap();
    assert_eq!(published["version"], 2);
    let keys = published["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0]["kid"], set.signing().unwrap().id().as_str());
    for key in keys {
        let names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["kty", "crv", "x", "y", "kid", "alg", "use"]);
        assert_eq!((&key["alg"], &key["use"]), (&json!("ES256"), &json!("sig")));
    }
    for secret in ["\"d\"", "\"p\"", "\"q\"", "\"k\""] {
        assert!(!String::from_utf8(set.jwks()).unwrap().contains(secret));
    }
}

#[test]
fn secrets_are_never_published() {
    let set = KeySet::first(Purpose::RefreshMac, NOW).unwrap();
    assert_eq!(set.jwks(), br#"{"keys":[],"version":1}"#);
}

#[test]
fn what_was_published_reads_back() {
    let set = KeySet::first(Purpose::Issuer, NOW).unwrap();
    let read = VerifyingKeys::parse(&set.jwks()).unwrap();
    assert_eq!(read.version(), 1);
    assert!(!read.is_empty());
    assert!(set.records().iter().all(|key| read.find(&key.id).unwrap().id() == &key.id));
}

#[test]
fn keys_that_cannot_verify_our_tokens_are_skipped() {
    let bad = [
        with(jwk("alg"), "alg", json!("RS256")),
        with(jwk("crv"), "crv", json!("P-384")),
        with(jwk("enc"), "use", json!("enc")),
        with(jwk("ops"), "key_ops", json!(["sign"])),
        with(jwk("private"), "d", json!("AAAA")),
        with(jwk("null"), "d", Value::Null),
        with(jwk("off"), "y", json!(URL_SAFE_NO_PAD.encode([7; 32]))),
        with(jwk("short"), "x", json!("AAAA")),
        with(jwk("padded"), "x", json!(format!("{}=", URL_SAFE_NO_PAD.encode([7; 32])))),
        with(jwk("kid"), "kid", json!(7)),
        without(jwk("nameless"), "kid"),
        json!({ "kty": "oct", "kid": "oct", "k": "AAAA" }),
        json!({ "kty": "RSA", "kid": "rsa", "n": "AAAA", "e": "AQAB" }),
        json!({ "kty": "OKP", "kid": "okp", "crv": "Ed25519", "x": "AAAA" }),
        json!(["ES256", "P-256"]),
        json!("EC"),
        Value::Null,
    ];
    assert_eq!(ids(&bad), Vec::<String>::new());
    let good = with(with(jwk("good"), "use", json!("sig")), "alg", json!("ES256"));
    let ops = with(jwk("ops"), "key_ops", json!(["verify"]));
    assert_eq!(ids(&[bad[0].clone(), good, ops]), ["good", "ops"]);
}

#[test]
fn a_key_given_twice_counts_once_and_an_id_given_twice_not_at_all() {
    let (one, other) = (jwk("a"), jwk("a"));
    assert_eq!(ids(&[one.clone(), one.clone()]), ["a"]);
    assert_eq!(ids(&[one.clone(), other, one]), Vec::<String>::new());
}

#[test]
fn what_is_no_key_set_is_refused() {
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert_eq!(
            VerifyingKeys::parse(bad.as_bytes()).unwrap_err(),
            KeyError::InvalidSet,
            "{bad}"
        );
    }
    let repeated = r#"{"keys":[{"kty":"EC","kty":"EC"}],"version":3}"#;
    let read = VerifyingKeys::parse(repeated.as_bytes()).unwrap();
    assert!(read.is_empty());
    assert_eq!(read.version(), 3);
}

#[test]
fn no_set_has_more_than_64_keys() {
    let one = jwk("0");
    let many: Vec<Value> =
        (0..80).map(|n| with(one.clone(), "kid", json!(n.to_string()))).collect();
    assert_eq!(ids(&many).len(), MAX_KEYS);
}

#[test]
fn an_older_or_empty_set_does_not_follow() {
    let set = |version, keys: &[Value]| {
        let text = serde_json::to_vec(&json!({ "keys": keys, "version": version })).unwrap();
        VerifyingKeys::parse(&text).unwrap()
    };
    let held = VerifyingKeys::default().followed_by(set(5, &[jwk("a")])).unwrap();
    let older = held.followed_by(set(4, &[jwk("a")])).unwrap_err();
    assert_eq!(older, KeyError::Older { held: 5, offered: 4 });
    assert_eq!(held.followed_by(set(6, &[])).unwrap_err(), KeyError::EmptySet);
    assert_eq!(held.followed_by(set(5, &[jwk("b")])).unwrap().version(), 5);
}

#[test]
fn a_revoked_id_never_returns_whatever_a_set_says() {
    let text = serde_json::to_vec(&json!({ "keys": [jwk("a"), jwk("b")], "version": 9 })).unwrap();
    let mut held = VerifyingKeys::parse(&text).unwrap();
    held.revoke(&kid("a"));
    let next = held.followed_by(VerifyingKeys::parse(&text).unwrap()).unwrap();
    for keys in [&held, &next] {
        assert!(keys.find(&kid("a")).is_none());
        assert!(keys.is_revoked(&kid("a")));
        assert!(keys.find(&kid("b")).is_some());
        assert_eq!(keys.ids().collect::<Vec<_>>(), [&kid("b")]);
    }
    held.revoke(&kid("b"));
    assert!(held.is_empty());
}

#[test]
fn a_key_verifies_under_its_own_algorithm_and_no_other() {
    let keys: Vec<Value> = Algorithm::SIGNING
        .into_iter()
        .flat_map(|algorithm| {
            let plain = jwk_of(algorithm, &format!("{}-plain", algorithm.as_str()));
            let own = with(plain.clone(), "alg", algorithm.as_str().into());
            let own = with(own, "kid", algorithm.as_str().into());
            let other = Algorithm::SIGNING.into_iter().find(|other| *other != algorithm).unwrap();
            let other = with(with(plain.clone(), "alg", other.as_str().into()), "kid", "no".into());
            [plain, own, other]
        })
        .collect();
    assert_eq!(
        ids(&keys),
        ["ES256", "ES256-plain", "EdDSA", "EdDSA-plain", "RS256", "RS256-plain"]
    );
    for alg in ["none", "HS256", "PS256", "RS384", "ES384"] {
        let jwk = with(jwk_of(Algorithm::Rs256, "rsa"), "alg", alg.into());
        assert!(ids(&[jwk]).is_empty(), "{alg}");
    }
}

#[test]
fn rsa_keys_that_are_short_or_degenerate_and_other_curves_are_skipped() {
    let good = jwk_of(Algorithm::Rs256, "rsa");
    let number = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let modulus = URL_SAFE_NO_PAD.decode(good["n"].as_str().unwrap()).unwrap();
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let padded = [&[0], modulus.as_slice()].concat();
    for (name, value) in [
        ("n", number(&modulus[..128])),
        ("n", number(&even)),
        ("n", number(&padded)),
        ("n", number(&modulus.repeat(3))),
        ("e", number(&[1])),
        ("e", number(&[2])),
        ("e", number(&[1, 0, 0, 0, 1])),
        ("e", "".into()),
        ("d", number(&modulus)),
        ("crv", "P-256".into()),
    ] {
        assert!(ids(&[with(good.clone(), name, value.clone())]).is_empty(), "{name} {value}");
    }
    let ed = jwk_of(Algorithm::EdDsa, "ed");
    for (name, value) in
        [("crv", Value::from("Ed448")), ("x", number(&[1; 57])), ("kty", "EC".into())]
    {
        assert!(ids(&[with(ed.clone(), name, value.clone())]).is_empty(), "{name} {value}");
    }
    assert_eq!(ids(&[good, ed]), ["ed", "rsa"]);
}
