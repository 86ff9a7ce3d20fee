//! What strangers send, in every form that `fuzz` can think of. Targets stand here as unit tests
//! because what they feed is private to this crate.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderValue, header::ACCEPT};
use keys::{KeySet, Purpose};
use serde_json::{Map, Value};
use shared::{
    ids::{ClientId, FamilyId},
    time::Timestamp,
};
use url::Url;

use crate::{
    endpoints::{introspect::is_signed_answer_wanted, token::family_of_code},
    rules::{
        authorization_request, client_assertion,
        client_auth::Presented,
        client_document, client_metadata,
        outbound_url::{OutboundPolicy, OutboundUrl},
        params::Params,
        pkce::CodeChallenge,
        redirect_uri::{RedirectKind, RedirectTarget, check_registration, without_loopback_port},
        refresh_token::RefreshToken,
    },
    testing,
};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECTS: [&str; 7] = [
    "https://app.example/cb",
    "http://127.0.0.1:33418/callback",
    "http://localhost/cb?a=b",
    "http://[::1]:1/cb",
    "cursor://anysphere.cursor-retrieval/oauth/callback",
    "com.example.app:/cb",
    "https://app.example:8443/a/../b%2e",
];

fn seeds<'a>(texts: &'a [&'a str]) -> Vec<&'a [u8]> {
    texts.iter().map(|text| text.as_bytes()).collect()
}

#[test]
fn parameters_are_read_once_and_with_a_value() {
    let texts = [
        "grant_type=refresh_token&refresh_token=rt_a&client_id=app&resource=http://localhost:7400/mcp",
        "a=1&a=2&resource=x&resource=y",
        "a=%C3%A9&b=+&c=&%61=2",
        "=&&=a&a",
    ];
    fuzz::run("params", &seeds(&texts), |input| {
        let read = Params::parse(input);
        if let Ok(params) = &read {
            for (name, value) in url::form_urlencoded::parse(input) {
                let expected = Some(value.as_ref()).filter(|value| !value.is_empty());
                if expected.is_some() && name != "resource" {
                    assert_eq!(params.one(&name), expected, "{name}");
                }
            }
        }
        read.map(|params| format!("{params:?}"))
    });
}

#[test]
fn an_authorization_request_is_checked_or_refused() {
    let good = format!(
        "response_type=code&client_id=app&code_challenge={CHALLENGE}&code_challenge_method=S256\
         &resource=http://localhost:7400/mcp&scope=contacts:read openid&state=s&prompt=consent"
    );
    let texts =
        [good.as_str(), "response_type=code&prompt=none login&response_mode=fragment&request=a"];
    let deployment = testing::deployment();
    let client = ClientId::parse("app").unwrap();
    fuzz::run("authorize", &seeds(&texts), |input| {
        let params = Params::parse(input).unwrap_or_default();
        let target = RedirectTarget::find(&[REDIRECTS[0].to_owned()], None).unwrap();
        let outcome = authorization_request::check(&params, &client, target, &deployment);
        if let Ok(request) = &outcome {
            let sealed = serde_json::to_vec(request).unwrap();
            assert_eq!(serde_json::from_slice(&sealed).ok().as_ref(), Some(request));
        }
        format!("{outcome:?}")
    });
}

#[test]
fn client_credentials_are_read_from_one_place() {
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let texts = [
        basic("app:secret"),
        basic("a%3Ab:p%20w"),
        "basic YTpi".to_owned(),
        "Bearer x".to_owned(),
        format!("{}\nclient_id=app&client_secret=s", basic("app:")),
        "\nclient_id=app".to_owned(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    fuzz::run("client-authentication", &seeds(&texts), |input| {
        let (header, body) = lines(input);
        let header = String::from_utf8_lossy(header).into_owned();
        let params = Params::parse(body).unwrap_or_default();
        let header = Some(header.as_str()).filter(|header| !header.is_empty());
        let outcome = Presented::read(header, &params);
        if let (Ok(presented), Some(body)) = (&outcome, params.one("client_id")) {
            assert_eq!(presented.client.as_str(), body, "two clients in one request");
        }
        // Secrets never show.
        format!("{:?}", outcome.map(|presented| presented.client))
    });
}

#[test]
fn only_a_registered_redirect_is_found_and_it_stays_as_it_was_asked() {
    fuzz::run("redirect", &seeds(&REDIRECTS), |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        let fits = check_registration(&text);
        if fits.is_ok() {
            let url = Url::parse(&text).unwrap();
            assert!(!matches!(
                url.scheme(),
                "javascript" | "data" | "file" | "vbscript" | "blob" | "about"
            ));
            assert_eq!((url.fragment(), url.username(), url.password()), (None, "", None));
            let stored = without_loopback_port(&text);
            assert_eq!(without_loopback_port(&stored), stored, "it is not stored once for all");
            let found = RedirectTarget::find(std::slice::from_ref(&stored), Some(&text)).unwrap();
            assert_eq!(found.as_str(), text);
            let answer = Url::parse(&found.with(&[("code", "a&b=c"), ("state", "#")])).unwrap();
            let pair = |name: &str| answer.query_pairs().filter(|(own, _)| own == name).last();
            assert_eq!(pair("code").unwrap().1, "a&b=c");
            assert_eq!(pair("state").unwrap().1, "#");
            assert_eq!((answer.scheme(), answer.host_str()), (url.scheme(), url.host_str()));
        }
        let registered = REDIRECTS.map(str::to_owned);
        let found = RedirectTarget::find(&registered, Some(&text));
        if let Ok(found) = &found {
            let exact = REDIRECTS.contains(&text.as_str());
            assert!(exact || found.kind() == RedirectKind::Loopback, "{text} was never registered");
        }
        format!("{fits:?} {found:?}")
    });
}

#[test]
fn a_registration_has_one_id_whatever_else_it_says() {
    let texts = [
        r#"{"client_name":"A","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"scope":"a b","client_uri":"https://app.example/"}"#,
        r#"{"redirect_uris":["http://127.0.0.1:1/cb","http://127.0.0.1:2/cb"],"client_name":"\u202e<b>","logo_uri":"data:x"}"#,
        r#"{"redirect_uris":[],"grant_types":null,"response_types":["token"],"scope":1}"#,
    ];
    fuzz::run("registration", &seeds(&texts), |input| {
        let body: Map<String, Value> = serde_json::from_slice(input).unwrap_or_default();
        let outcome =
            client_metadata::check(&body, &OutboundPolicy::default(), &keys::Algorithm::SIGNING);
        if let Ok(registration) = &outcome {
            let id = registration.content_address();
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
            let mut more = body.clone();
            more.insert("software_unheard_of".to_owned(), Value::from("x"));
            assert_eq!(
                client_metadata::check(
                    &more,
                    &OutboundPolicy::default(),
                    &keys::Algorithm::SIGNING
                )
                .unwrap()
                .content_address(),
                id
            );
            assert!(registration.redirects.iter().all(|uri| check_registration(uri).is_ok()));
        }
        format!("{outcome:?}")
    });
}

#[test]
fn no_other_verifier_fits_a_challenge() {
    fuzz::run("pkce", &seeds(&[VERIFIER, CHALLENGE, "plain", ""]), |input| {
        let text = String::from_utf8_lossy(input);
        let challenge = CodeChallenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        let outcome = challenge.verify(Some(&text)).map(|_| ());
        assert_eq!(outcome.is_ok(), text == VERIFIER);
        let parsed = CodeChallenge::parse(Some(&text), Some("S256"));
        assert!(parsed.is_err() || text.len() == 43, "{text}");
        format!("{outcome:?} {parsed:?}")
    });
}

#[test]
fn a_refresh_token_reads_as_what_it_was_written_as() {
    let ring = KeySet::first(Purpose::RefreshMac, Timestamp::default()).unwrap().secrets();
    let token = RefreshToken {
        family: FamilyId::from_bytes([7; 16]),
        generation: 3,
        issued: Timestamp::from_millis(1_234_567),
        nonce: [9; 16],
        terms: crate::rules::terms::TermsId([5; 12]),
    };
    let written = token.encode(ring.current()).expose().to_owned();
    fuzz::run("refresh-token", &seeds(&[&written, "rt_", "rt_AAAA"]), |input| {
        let text = String::from_utf8_lossy(input);
        let read = RefreshToken::decode(&text, &ring);
        assert!(read.is_err() || text == written, "{text} is no token of ours");
        read
    });
}

#[test]
fn a_code_names_its_family_or_nothing() {
    let family = FamilyId::from_bytes([7; 16]);
    let code = format!("ac_{family}.{}", "A".repeat(43));
    fuzz::run("code", &seeds(&[&code, "ac_", "ac_.", "rt_x.y"]), |input| {
        let text = String::from_utf8_lossy(input);
        let found = family_of_code(&text);
        if let Some(family) = found {
            assert!(text.starts_with(&format!("ac_{family}.")), "{text}");
        }
        found
    });
}

#[test]
fn nothing_opens_that_was_not_sealed_into_a_page() {
    let ring = KeySet::first(Purpose::PageSeal, Timestamp::default()).unwrap().secrets();
    let sealed = ring.current().seal(b"browser", b"request").unwrap();
    fuzz::run("sealed-page", &seeds(&[&sealed, "", "AAAA"]), |input| {
        let text = String::from_utf8_lossy(input);
        let opened = ring.open(b"browser", &text).ok();
        assert!(opened.is_none() || text == sealed, "{text} opens");
        assert!(ring.open(b"another browser", &text).is_err());
        opened
    });
}

/// The parts of an input, one on each line.
fn lines(input: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[test]
fn an_assertion_that_holds_claims_what_it_must() {
    const ISSUER: &str = "https://as.example";
    const NOW: u64 = 1_800_000_000;
    let texts = [
        "{\"alg\":\"ES256\"}\n{\"iss\":\"app\",\"sub\":\"app\",\"aud\":\"https://as.example\",\"exp\":1800000300,\"jti\":\"j\"}",
        "{\"alg\":\"RS256\",\"kid\":\"k\"}\n{\"iss\":\"app\",\"sub\":\"app\",\"aud\":[\"https://as.example/\"],\"exp\":1800000300,\"iat\":1800000000,\"nbf\":1,\"jti\":\"j\"}",
        "{\"alg\":\"none\"}\n{\"iss\":\"app\",\"iss\":\"other\",\"sub\":\"app\",\"aud\":[],\"exp\":18446744073709551615}",
    ];
    let client = ClientId::parse("app").unwrap();
    fuzz::run("client-assertion", &seeds(&texts), |input| {
        let (header, claims) = lines(input);
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("{}.{}.AA", part(header), part(claims));
        let assertion = client_assertion::read(&text);
        let outcome = assertion.as_ref().map(|assertion| {
            client_assertion::check(assertion, &client, ISSUER, Timestamp::from_secs(NOW))
        });
        if let Ok(Ok((jti, ends))) = &outcome {
            // Read by another reader, it says the same.
            let said: Value = serde_json::from_slice(claims).unwrap();
            assert_eq!((&said["iss"], &said["sub"]), (&"app".into(), &"app".into()));
            let audience = said["aud"].as_str().or_else(|| said["aud"][0].as_str()).unwrap();
            assert_eq!(audience.trim_end_matches('/'), ISSUER);
            assert!(said["aud"].as_array().is_none_or(|all| all.len() == 1));
            assert_eq!(said["jti"], *jti);
            assert!((NOW + 1..=NOW + 630).contains(&ends.secs()));
            let header: Value = serde_json::from_slice(header).unwrap();
            assert_ne!(header["alg"], "none");
        }
        format!("{outcome:?}")
    });
}

#[test]
fn a_document_that_passes_speaks_of_itself_and_holds_no_secret() {
    const URL: &str = "https://app.example/client.json";
    let texts = [
        r#"{"client_id":"https://app.example/client.json","client_name":"App","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none"}"#,
        r#"{"client_id":"https://app.example/client.json","redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_methods_supported":["client_secret_basic","private_key_jwt"],"jwks_uri":"https://app.example/keys.json"}"#,
        r#"{"client_id":"https://app.example/client.json","client_id":"https://other.example/","client_secret":"s","redirect_uris":["javascript:alert(1)"]}"#,
    ];
    let policy = OutboundPolicy::default();
    let url = OutboundUrl::parse(URL, &policy).unwrap();
    fuzz::run("client-document", &seeds(&texts), |input| {
        let outcome = client_document::check(&url, input, &policy, &keys::Algorithm::SIGNING);
        if let Ok(document) = &outcome {
            let said: Map<String, Value> = serde_json::from_slice(input).unwrap();
            assert_eq!(said["client_id"], URL);
            assert!(!said.keys().any(|name| name.starts_with("client_secret")));
            assert!(!document.redirects.is_empty());
            assert!(document.redirects.iter().all(|uri| check_registration(uri).is_ok()));
            assert!(!document.name.chars().any(char::is_control), "{}", document.name);
        }
        format!("{outcome:?}")
    });
}

#[test]
fn a_question_about_a_token_is_one_and_its_answer_signed_only_on_demand() {
    const SIGNED: &str = "application/token-introspection+jwt";
    let texts = [
        "application/token-introspection+jwt\ntoken=a.b.c&token_type_hint=access_token&client_id=service",
        "application/json, Application/Token-Introspection+JWT;q=0.5\ntoken=a&token=b",
        "*/*\ntoken=&client_id=service&client_secret=s",
    ];
    fuzz::run("introspection", &seeds(&texts), |input| {
        let (accept, body) = lines(input);
        let mut headers = HeaderMap::new();
        let is_header = HeaderValue::from_bytes(accept).map(|value| headers.insert(ACCEPT, value));
        let wanted = is_signed_answer_wanted(&headers);
        let said = String::from_utf8_lossy(accept).to_ascii_lowercase();
        assert!(!wanted || said.contains(SIGNED), "{said}");
        if is_header.is_ok() && accept.is_ascii() {
            let more = [accept, b", ", SIGNED.as_bytes()].concat();
            headers.insert(ACCEPT, HeaderValue::from_bytes(&more).unwrap());
            assert!(is_signed_answer_wanted(&headers), "{said}");
        }
        let params = Params::parse(body);
        if let Ok(params) = &params {
            let tokens: Vec<_> = url::form_urlencoded::parse(body)
                .filter(|(name, value)| name == "token" && !value.is_empty())
                .collect();
            assert!(tokens.len() <= 1, "two tokens in one question");
            assert_eq!(params.one("token"), tokens.first().map(|(_, token)| token.as_ref()));
        }
        format!("{wanted} {:?}", params.map(|params| params.one("token").is_some()))
    });
}
