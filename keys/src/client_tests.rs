//! Assertions against keys of our making, the examples of RFC 7515, and another library.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::key::SigningKey;

fn es256() -> (SigningKey, Value) {
    let key = SigningKey::generate(crate::ring::Algorithm::Es256).unwrap();
    let crate::key::Public::Ec(point) = key.verifying().public().clone() else { unreachable!() };
    let encode = |bytes: [u8; 32]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": "one", "x": encode(point.x),
        "y": encode(point.y),
    });
    (key, jwk)
}

fn claims() -> Value {
    json!({"iss": "app", "sub": "app", "aud": "https://as.example", "exp": 100, "jti": "1"})
}

fn encode(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn signed(key: &SigningKey, header: &Value) -> String {
    let text = encode(header, &claims());
    let signature = key.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn set(keys: &[Value]) -> Result<ClientKeySet, ClientKeyError> {
    ClientKeySet::parse(&json!({"keys": keys}).to_string())
}

#[test]
fn an_assertion_holds_under_its_key_only() {
    let ((key, jwk), (_, other)) = (es256(), es256());
    let text = signed(&key, &json!({"alg": "ES256", "kid": "one", "typ": "JWT"}));
    let assertion = ClientAssertion::parse(&text).unwrap();
    assert!(set(std::slice::from_ref(&jwk)).unwrap().verify(&assertion));
    assert!(!set(std::slice::from_ref(&other)).unwrap().verify(&assertion));
    assert!(set(&[other, jwk.clone()]).unwrap().verify(&assertion));
    let mut renamed = jwk;
    renamed["kid"] = json!("../../etc/passwd");
    let renamed = set(&[renamed]).unwrap();
    assert!(!renamed.may_hold(&assertion) && !renamed.verify(&assertion));
    let anonymous = signed(&key, &json!({"alg": "ES256"}));
    assert!(renamed.verify(&ClientAssertion::parse(&anonymous).unwrap()));
}

#[test]
fn headers_that_bring_their_own_keys_or_rules_are_refused() {
    let (key, jwk) = es256();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/keys")),
        ("x5c", json!(["x"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "one"});
        header[name] = value;
        let text = signed(&key, &header);
        assert!(ClientAssertion::parse(&text).is_err(), "{name}");
    }
}

#[test]
fn only_algorithms_with_public_keys_are_read() {
    let (key, jwk) = es256();
    for alg in ["none", "None", "HS256", "HS512", "ES384", "RS512", ""] {
        let text = signed(&key, &json!({"alg": alg, "kid": "one"}));
        assert_eq!(ClientAssertion::parse(&text).unwrap_err(), TokenError::Algorithm, "{alg}");
    }
    let text = signed(&key, &json!({"alg": "RS256", "kid": "one"}));
    assert!(!set(&[jwk]).unwrap().verify(&ClientAssertion::parse(&text).unwrap()));
}

#[test]
fn what_is_no_assertion_is_refused_without_a_panic() {
    let long = "a".repeat(MOST_BYTES + 1);
    let twice = format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","alg":"none"}"#), "");
    for text in ["", ".", "..", "a.b.c", "e30.e30.", &long, &twice] {
        assert!(ClientAssertion::parse(text).is_err(), "{text}");
    }
}

#[test]
fn sets_with_secrets_or_weak_keys_are_refused_whole() {
    let (_, good) = es256();
    let with = |bad: Value| set(&[good.clone(), bad]).unwrap_err();
    assert_eq!(with(json!({"kty": "oct", "k": "AAAA"})), ClientKeyError::Private);
    let mut private = good.clone();
    private["d"] = json!("AAAA");
    assert_eq!(with(private), ClientKeyError::Private);
    let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
    assert_eq!(with(json!({"kty": "RSA", "n": short, "e": "AQAB"})), ClientKeyError::Weak);
    assert_eq!(set(&vec![good.clone(); 17]).unwrap_err(), ClientKeyError::TooMany);
    assert_eq!(set(&[]).unwrap_err(), ClientKeyError::Empty);
    assert_eq!(set(&[json!({"kty": "EC", "crv": "P-521"})]).unwrap_err(), ClientKeyError::Empty);
    for text in ["", "[]", "{}", r#"{"keys":1}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(ClientKeySet::parse(text).unwrap_err(), ClientKeyError::Malformed, "{text}");
    }
}

#[test]
fn another_librarys_eddsa_assertion_verifies() {
    // RFC 8037 appendix A.1, with the private half in PKCS #8.
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend(seed);
    let header = Header { kid: Some("ed".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let key = EncodingKey::from_ed_der(&der);
    let text = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "ed",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let assertion = ClientAssertion::parse(&text).unwrap();
    assert!(set(&[jwk]).unwrap().verify(&assertion));
    assert!(assertion.unverified_claims().aud.is_only("https://as.example"));
}

#[test]
fn the_rs256_signature_of_rfc_7515_appendix_a_2_verifies() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1\
             Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaS\
             HSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT\
             6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_l\
                     F5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75v\
                     RK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWE\
                     sqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm\
                     tVrBp0igcN_IoypGlUPQGe77Rw";
    let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9l\
                   eGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let jwk = json!({"kty": "RSA", "n": n, "e": "AQAB"});
    let verifier = PublicVerifier::of("RS256", jwk.as_object().unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(verifier.verify(message.as_bytes(), &signature));
    assert!(!verifier.verify(b"another message", &signature));
    assert!(set(&[jwk]).is_ok());
}
