//! Tokens: every refusal, and an independent judge of the signature.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{generate::EcPrivate, jwks::VerifyingKeys, ring::KeySet, ring::Purpose};

const ISSUER: &str = "https://auth.example";
pub(super) const NOW: u64 = 1_800_000_000;

fn audience() -> ResourceIndicator {
    ResourceIndicator::parse("https://mcp.example/mcp").unwrap()
}

pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "https://mcp.example/mcp",
        "sub": "usr_1",
        "client_id": "app",
        "scope": "contacts:read",
        "exp": NOW + 300,
        "iat": NOW,
        "jti": "t1",
        "auth_time": NOW - 60,
        "workspaces": ["12", "7"],
        "fam": "AAAAAAAAAAAAAAAAAAAAAA",
        "gen": 0,
    })
}

fn changed(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    claims.to_string()
}

fn header(key: &SigningKey) -> Value {
    json!({ "alg": "ES256", "typ": "at+jwt", "kid": key.id() })
}

/// A token with a true signature over whatever header and claims are given.
pub(super) fn craft(key: &SigningKey, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn refusal(token: &str) -> TokenError {
    Presented::parse(token).map(|token| token.typ().to_owned()).unwrap_err()
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

#[test]
fn a_signed_token_verifies_and_says_what_was_signed() {
    let set = KeySet::first(Purpose::Issuer, at(NOW)).unwrap();
    let keys = VerifyingKeys::parse(&set.jwks()).unwrap();
    let claims: AccessTokenClaims = serde_json::from_value(claims()).unwrap();
    let token = sign(&set.signing().unwrap(), ACCESS_TOKEN_TYPE, &claims).unwrap();

    let presented = Presented::parse(&token).unwrap();
    assert_eq!((presented.alg(), presented.typ()), ("ES256", "at+jwt"));
    assert_eq!(presented.unverified_claims(), &claims);
    presented.check(ISSUER, &audience(), at(NOW)).unwrap();
    let verified = presented.clone().verify(keys.find(presented.kid()).unwrap()).unwrap();
    assert_eq!(verified.claims(), &claims);
    assert_eq!(verified.into_claims(), claims);
}

#[test]
fn an_independent_library_accepts_our_tokens_and_we_accept_its() {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};

    let pair = EcPrivate::generate().unwrap();
    let key = SigningKey::from_kept(crate::ring::Algorithm::Es256, pair.scalar.as_slice()).unwrap();
    let (x, y) = (URL_SAFE_NO_PAD.encode(pair.point.x), URL_SAFE_NO_PAD.encode(pair.point.y));
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&["https://mcp.example/mcp"]);
    rules.set_issuer(&[ISSUER]);
    // The judge reads the machine's clock, and the tokens live in the test's own time.
    rules.validate_exp = false;
    let judge = DecodingKey::from_ec_components(&x, &y).unwrap();
    for _ in 0..50 {
        let token = sign(&key, ACCESS_TOKEN_TYPE, &claims()).unwrap();
        let read = decode::<Value>(&token, &judge, &rules).unwrap();
        assert_eq!(read.claims, claims());
        assert_eq!(read.header.kid.as_deref(), Some(key.id().as_str()));

        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(key.id().to_string());
        let token = encode(&header, &claims(), &EncodingKey::from_ec_der(&pair.pkcs8)).unwrap();
        assert!(Presented::parse(&token).unwrap().verify(&key.verifying()).is_ok());
    }
}

#[test]
fn a_signature_by_another_key_or_over_other_bytes_is_refused() {
    let (key, other) = (key(), key());
    let token = craft(&key, &header(&key).to_string(), &claims().to_string());
    let verify = |token: &str, key: &SigningKey| {
        Presented::parse(token).and_then(|token| token.verify(&key.verifying())).unwrap_err()
    };
    assert_eq!(verify(&token, &other), TokenError::Key);
    let forged = craft(&other, &header(&key).to_string(), &claims().to_string());
    assert_eq!(verify(&forged, &key), TokenError::Signature);

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let widened = URL_SAFE_NO_PAD.encode(changed("scope", json!("contacts:read contacts:write")));
    assert_eq!(verify(&format!("{head}.{widened}.{signature}"), &key), TokenError::Signature);
    for degenerate in [[0; 64], [0xff; 64]] {
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(degenerate));
        assert_eq!(verify(&token, &key), TokenError::Signature);
    }
}

#[test]
fn no_other_algorithm_is_accepted_whoever_signed() {
    let key = key();
    for alg in ["none", "None", "", "HS256", "PS256", "ES384", "ES256K", "Ed448", "es256"] {
        let mut header = header(&key);
        header["alg"] = json!(alg);
        let token = craft(&key, &header.to_string(), &claims().to_string());
        assert_eq!(refusal(&token), TokenError::Algorithm, "{alg}");
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(refusal(&format!("{signed}.")), TokenError::Algorithm, "{alg}");
    }
}

#[test]
fn a_mac_under_the_published_key_is_no_signature() {
    let key = key();
    let mut header = header(&key);
    let crate::key::Public::Ec(point) = key.verifying().public().clone() else { unreachable!() };
    let public = point.spki().unwrap();
    let forge = |header: &Value| {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
        let secret = jsonwebtoken::EncodingKey::from_secret(&public);
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let mac = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, algorithm).unwrap();
        format!("{signed}.{mac}")
    };
    assert_eq!(refusal(&forge(&header)), TokenError::Malformed("signature"));
    header["alg"] = json!("HS256");
    assert_eq!(refusal(&forge(&header)), TokenError::Algorithm);
}

#[test]
fn only_access_tokens_are_read_as_access_tokens() {
    let key = key();
    let with_type = |typ: &str| {
        let mut header = header(&key);
        header["typ"] = json!(typ);
        craft(&key, &header.to_string(), &claims().to_string())
    };
    for good in ["at+jwt", "application/at+jwt", "AT+JWT", "Application/at+JWT"] {
        assert!(Presented::parse(&with_type(good)).is_ok(), "{good}");
    }
    let others = ["JWT", "", "logout+jwt", "vestibule-identity+jwt", "at+jwt ", "text/at+jwt"];
    for bad in others.into_iter().chain(["application/application/at+jwt", "application/"]) {
        assert_eq!(refusal(&with_type(bad)), TokenError::Type, "{bad}");
    }
    let mut untyped = header(&key);
    untyped.as_object_mut().unwrap().remove("typ");
    let token = craft(&key, &untyped.to_string(), &claims().to_string());
    assert_eq!(refusal(&token), TokenError::Malformed("header"));
}

#[test]
fn a_header_that_brings_its_own_key_or_rules_is_refused() {
    let key = key();
    let tricks = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip"];
    for name in tricks {
        for value in [Value::Null, json!([]), json!(["exp"]), json!("https://evil.example/jwks")] {
            let mut header = header(&key);
            header[name] = value;
            let token = craft(&key, &header.to_string(), &claims().to_string());
            assert_eq!(refusal(&token), TokenError::Malformed("header"), "{header}");
        }
    }
    let kid = key.id();
    for bad in [
        r#"{"alg":"ES256","typ":"at+jwt"}"#.to_owned(),
        r#"{"alg":"ES256","typ":"at+jwt","kid":7}"#.to_owned(),
        r#"{"alg":"ES256","typ":"at+jwt","kid":""}"#.to_owned(),
        format!(r#"{{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":["ES256"],"typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}","a":1,"\u0061":2}}"#),
        format!(r#"["ES256","at+jwt","{kid}"]"#),
        format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}{{}}"#),
    ] {
        let token = craft(&key, &bad, &claims().to_string());
        assert_eq!(refusal(&token), TokenError::Malformed("header"), "{bad}");
    }
}

#[test]
fn a_token_has_three_parts_in_strict_base64url() {
    let key = key();
    let token = craft(&key, &header(&key).to_string(), &claims().to_string());
    let parts: Vec<&str> = token.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let join = |parts: [&str; 3]| parts.join(".");
    let mut bad = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{head}.{body}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{head}..{body}.{signature}"),
        join(["", body, signature]),
        join([head, "", signature]),
        join([head, body, ""]),
        join([head, body, &signature[..84]]),
        join([head, body, &format!("{signature}AA")]),
    ];
    for junk in ["=", "==", "\n", "\r\n", " ", "+", "/", "\u{e9}", "\0"] {
        bad.push(format!("{junk}{token}"));
        bad.push(join([&format!("{head}{junk}"), body, signature]));
        bad.push(join([head, &format!("{body}{junk}"), signature]));
        bad.push(join([head, body, &format!("{signature}{junk}")]));
    }
    for bad in bad {
        assert!(matches!(refusal(&bad), TokenError::Malformed(_)), "{bad:?}");
    }
}

#[test]
fn bits_behind_the_end_of_a_part_are_refused() {
    let key = key();
    let token = craft(&key, &header(&key).to_string(), &claims().to_string());
    // 64 bytes leave four unused bits in the last character, which must be zero.
    let last = token.chars().last().unwrap();
    let other = char::from(last as u8 + 1);
    assert!("AQgw".contains(last), "{last}");
    let twin = format!("{}{other}", &token[..token.len() - 1]);
    assert_eq!(refusal(&twin), TokenError::Malformed("signature"));
}

#[test]
fn every_claim_is_required() {
    let key = key();
    for name in
        ["iss", "aud", "sub", "client_id", "scope", "exp", "iat", "jti", "auth_time", "workspaces"]
    {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name).unwrap();
        let token = craft(&key, &header(&key).to_string(), &claims.to_string());
        assert_eq!(refusal(&token), TokenError::Malformed("claims"), "without {name}");
        let token = craft(&key, &header(&key).to_string(), &changed(name, Value::Null));
        assert_eq!(refusal(&token), TokenError::Malformed("claims"), "null {name}");
    }
    for name in ["fam", "gen"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name).unwrap();
        let token = craft(&key, &header(&key).to_string(), &claims.to_string());
        assert!(Presented::parse(&token).is_ok(), "a client's own token has no {name}");
    }
}

#[test]
fn a_claim_of_another_shape_is_refused_and_an_unknown_one_ignored() {
    let key = key();
    let token = |claims: &str| craft(&key, &header(&key).to_string(), claims);
    let mut shapes = vec![
        changed("aud", json!(["https://mcp.example/mcp"])),
        changed("aud", json!("mcp")),
        changed("sub", json!("")),
        changed("sub", json!(7)),
        changed("scope", json!(["a"])),
        changed("workspaces", json!("12")),
        changed("workspaces", json!([12])),
        changed("workspaces", json!(["a b"])),
        changed("fam", json!("short")),
        changed("gen", json!(-1)),
        claims().to_string().replace(r#""iss""#, r#""exp":1,"iss""#),
        claims().to_string().replace(r#""iss""#, r#""x":{"a":1,"a":2},"iss""#),
        format!("[{}]", claims()),
        format!("{}x", claims()),
        "null".to_owned(),
    ];
    for name in ["exp", "iat", "auth_time", "nbf"] {
        let json = changed(name, json!(0));
        for number in
            ["1.5", "1800000300.0", "1e9", "1e308", "1e999", "-1", "-0", "\"1800000300\"", "true"]
        {
            shapes.push(json.replace(&format!("\"{name}\":0"), &format!("\"{name}\":{number}")));
        }
        for number in [u64::MAX, i64::MAX as u64, LAST_SECOND + 1] {
            shapes.push(changed(name, json!(number)));
        }
        shapes.push(
            json.replace(&format!("\"{name}\":0"), &format!("\"{name}\":99999999999999999999")),
        );
    }
    for bad in shapes {
        assert_eq!(refusal(&token(&bad)), TokenError::Malformed("claims"), "{bad}");
    }
    assert!(Presented::parse(&token(&changed("act", json!({"sub": [1.5, null]})))).is_ok());
    assert!(Presented::parse(&token(&changed("workspaces", json!([])))).is_ok());
}

#[test]
fn times_are_compared_with_the_given_moment() {
    let key = key();
    let check = |name: &str, value: u64, now: u64| {
        let token = craft(&key, &header(&key).to_string(), &changed(name, json!(value)));
        Presented::parse(&token).unwrap().check(ISSUER, &audience(), at(now))
    };
    assert_eq!(check("exp", NOW - 1, NOW), Err(TokenError::Expired));
    assert_eq!(check("exp", NOW, NOW), Err(TokenError::Expired));
    assert_eq!(check("exp", NOW + 1, NOW), Ok(()));
    assert_eq!(check("exp", 0, NOW), Err(TokenError::Expired));
    let skew = MAX_SKEW.as_secs();
    for name in ["nbf", "iat"] {
        assert_eq!(check(name, NOW + 120, NOW), Err(TokenError::NotYetValid), "{name}");
        assert_eq!(check(name, NOW + skew + 1, NOW), Err(TokenError::NotYetValid), "{name}");
        assert_eq!(check(name, NOW + skew, NOW), Ok(()), "{name}");
    }
    assert_eq!(check("nbf", NOW, NOW + Duration::from_secs(299).as_secs()), Ok(()));
}

#[test]
fn issuer_and_audience_are_compared_byte_by_byte() {
    let key = key();
    let check = |name: &str, value: &str| {
        let token = craft(&key, &header(&key).to_string(), &changed(name, json!(value)));
        Presented::parse(&token).unwrap().check(ISSUER, &audience(), at(NOW))
    };
    for issuer in ["https://auth.example/", "https://AUTH.example", "https://other.example", ""] {
        assert_eq!(check("iss", issuer), Err(TokenError::Issuer), "{issuer}");
    }
    for audience in ["https://mcp.example/mcp/", "https://mcp.example", "https://MCP.example/mcp"] {
        assert_eq!(check("aud", audience), Err(TokenError::Audience), "{audience}");
    }
    assert_eq!(check("iss", ISSUER), Ok(()));
}

#[test]
fn a_token_beyond_4096_bytes_is_neither_made_nor_read() {
    let key = key();
    let long = changed("padding", json!("x".repeat(4000)));
    let token = craft(&key, &header(&key).to_string(), &long);
    assert_eq!(refusal(&token), TokenError::TooLong);
    let claims: Value = serde_json::from_str(&long).unwrap();
    let error = sign(&key, ACCESS_TOKEN_TYPE, &claims).unwrap_err();
    assert_eq!(error, KeyError::TokenTooLong(token.len()));
}

#[test]
fn tokens_of_another_type_have_their_own_claims() {
    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    struct Identity {
        exp: u64,
        iat: u64,
        kind: String,
    }
    const TYPE: &str = "vestibule-identity+jwt";
    let key = key();
    let identity = Identity { exp: NOW + 60, iat: NOW, kind: "person".to_owned() };
    let token = sign(&key, TYPE, &identity).unwrap();
    assert_eq!(refusal(&token), TokenError::Type);
    let presented = Presented::<'_, Identity>::parse_as(&token, TYPE).unwrap();
    presented.check_times(at(NOW)).unwrap();
    assert_eq!(presented.check_times(at(NOW + 60)), Err(TokenError::Expired));
    assert_eq!(presented.verify(&key.verifying()).unwrap().into_claims(), identity);
}

#[test]
fn a_printed_token_cannot_be_used() {
    let key = key();
    let token = craft(&key, &header(&key).to_string(), &claims().to_string());
    let printed = format!("{:?}", Presented::parse(&token).unwrap());
    assert_eq!(printed, format!("Presented(at+jwt, {})", key.id()));
}
