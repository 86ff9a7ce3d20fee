//! Tokens and key sets of strangers, in every form that `fuzz` can think of.

use serde_json::json;
use shared::{
    claims::{ACCESS_TOKEN_TYPE, AccessTokenClaims},
    time::Timestamp,
};

use crate::{KeySet, Presented, Purpose, VerifyingKeys};

#[test]
fn no_token_verifies_but_the_one_that_was_signed() {
    let now = Timestamp::from_secs(1_800_000_000);
    let set = KeySet::first(Purpose::Issuer, now).unwrap();
    let keys = VerifyingKeys::parse(&set.jwks()).unwrap();
    let claims = json!({
        "iss": "https://auth.example",
        "aud": "https://mcp.example/mcp",
        "sub": "usr_1",
        "client_id": "app",
        "scope": "contacts:read",
        "exp": 1_800_000_300,
        "iat": 1_800_000_000,
        "jti": "t1",
        "auth_time": 1_800_000_000,
        "workspaces": ["12"],
    });
    let claims: AccessTokenClaims = serde_json::from_value(claims).unwrap();
    let token = crate::sign(&set.signing().unwrap(), ACCESS_TOKEN_TYPE, &claims).unwrap();
    let none = token.replacen("ey", "eyJhbGciOiJub25lIn0", 1);
    fuzz::run("access-token", &[token.as_bytes(), none.as_bytes(), b"a.b.c", b".."], |input| {
        let text = String::from_utf8_lossy(input);
        let presented = match Presented::parse(&text) {
            Ok(presented) => presented,
            Err(error) => return error.to_string(),
        };
        let Some(key) = keys.find(&presented.kid().clone()) else { return "no key".to_owned() };
        let verified = presented.verify(key);
        assert!(verified.is_err() || text == token, "{text} verifies");
        verified.map_or_else(|error| error.to_string(), |_| "verified".to_owned())
    });
}

#[test]
fn a_key_set_is_read_or_refused() {
    let set = KeySet::first(Purpose::Issuer, Timestamp::from_secs(1_800_000_000)).unwrap();
    let own = set.jwks();
    let seeds: [&[u8]; 4] = [
        &own,
        br#"{"keys":[]}"#,
        br#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"}]}"#,
        br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","x":"AA","y":"AA"}],"version":1}"#,
    ];
    fuzz::run("jwks", &seeds, |input| match VerifyingKeys::parse(input) {
        Ok(keys) => {
            let ids: Vec<String> = keys.ids().map(ToString::to_string).collect();
            assert!(keys.ids().all(|id| keys.find(id).is_some()));
            format!("{} {ids:?}", keys.version())
        }
        Err(error) => error.to_string(),
    });
}
