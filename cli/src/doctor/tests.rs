//! A good deployment passes, and each way to break one is named with its remedy.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, extract::Request, response::IntoResponse, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, LOCATION, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;

/// What is wrong with a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    AnotherResource,
    BareChallenge,
    /// The authorization endpoint is at another origin, which answers.
    Elsewhere,
    EmptyKeys,
    NoChallenge,
    NoCors,
    NoKeyIds,
    NoPkce,
    NoRoot,
    NoWayToRegister,
    Nothing,
    OpenRedirect,
    /// The authorization endpoint is where a proxy's inside would be.
    Plain,
    PrivateKey,
    SlashedIssuer,
    TokenAccepted,
    TokenPage,
}

/// A deployment's double; its URL.
async fn deployment(broken: Broken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = router(broken, origin.clone());
    TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    origin
}

/// What a deployment at this origin answers.
pub(super) fn router(broken: Broken, origin: String) -> Router {
    Router::new().fallback(move |request: Request| {
        let mut response = answer(broken, &origin, &request);
        if broken != Broken::NoCors {
            let any = HeaderValue::from_static("*");
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
            let exposed = HeaderValue::from_static("WWW-Authenticate");
            response.headers_mut().insert("access-control-expose-headers", exposed);
        }
        std::future::ready(response)
    })
}

fn document(value: &Value) -> Response {
    web::problem::json(StatusCode::OK, value.to_string())
}

fn refused(status: StatusCode, error: &str) -> Response {
    web::problem::json(status, json!({ "error": error }).to_string())
}

fn answer(broken: Broken, origin: &str, request: &Request) -> Response {
    let typed = format!("{origin}/mcp");
    match request.uri().path() {
        "/mcp" => mcp(broken, origin, request),
        "/.well-known/oauth-protected-resource" if broken == Broken::NoRoot => {
            refused(StatusCode::NOT_FOUND, "not_found")
        }
        "/.well-known/oauth-protected-resource/mcp" | "/.well-known/oauth-protected-resource" => {
            let other = if broken == Broken::AnotherResource { "/" } else { "" };
            let resource = format!("{typed}{other}");
            document(&json!({ "resource": resource, "authorization_servers": [origin] }))
        }
        "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => {
            document(&metadata(broken, origin))
        }
        "/jwks" => document(&json!({ "keys": keys(broken) })),
        "/token" if broken == Broken::TokenPage => {
            (StatusCode::BAD_GATEWAY, "<html>Bad gateway</html>").into_response()
        }
        "/token" => refused(StatusCode::UNAUTHORIZED, "invalid_client"),
        "/authorize" if broken == Broken::OpenRedirect => {
            let to = HeaderValue::from_static("https://doctor.invalid/callback?error=x");
            (StatusCode::FOUND, [(LOCATION, to)]).into_response()
        }
        "/authorize" => (StatusCode::BAD_REQUEST, "<p>Unknown client</p>").into_response(),
        _ => refused(StatusCode::NOT_FOUND, "not_found"),
    }
}

fn mcp(broken: Broken, origin: &str, request: &Request) -> Response {
    let has_token = request.headers().contains_key(AUTHORIZATION);
    if broken == Broken::NoChallenge || (has_token && broken == Broken::TokenAccepted) {
        return document(&json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    }
    let named = match broken {
        Broken::BareChallenge => String::new(),
        _ => format!("resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\""),
    };
    let error = if has_token { ", error=\"invalid_token\"" } else { "" };
    let challenge = HeaderValue::try_from(format!("Bearer {named}{error}")).unwrap();
    let mut response = refused(StatusCode::UNAUTHORIZED, "invalid_token");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn metadata(broken: Broken, origin: &str) -> Value {
    let slash = if broken == Broken::SlashedIssuer { "/" } else { "" };
    let methods = if broken == Broken::NoPkce { json!(["plain"]) } else { json!(["S256"]) };
    let mut metadata = json!({
        "issuer": format!("{origin}{slash}"), "jwks_uri": format!("{origin}/jwks"),
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"), "code_challenge_methods_supported": methods,
    });
    match broken {
        Broken::Elsewhere => {
            let other = origin.replace("127.0.0.1", "localhost");
            metadata["authorization_endpoint"] = format!("{other}/authorize").into();
        }
        Broken::Plain => {
            metadata["authorization_endpoint"] = "http://auth.invalid:8080/authorize".into();
        }
        _ => {}
    }
    if broken != Broken::NoWayToRegister {
        metadata["registration_endpoint"] = format!("{origin}/register").into();
    }
    metadata
}

fn keys(broken: Broken) -> Value {
    match broken {
        Broken::EmptyKeys => json!([]),
        Broken::NoKeyIds => json!([{ "kty": "EC" }]),
        Broken::PrivateKey => json!([{ "kty": "EC", "kid": "a", "d": "secret" }]),
        _ => json!([{ "kty": "EC", "kid": "a" }, { "kty": "EC", "kid": "b" }]),
    }
}

async fn found(url: &str) -> Vec<Finding> {
    walk(url, None, &Clock::System).await.unwrap()
}

pub(super) fn verdicts(found: &[Finding], verdict: Verdict) -> BTreeSet<&str> {
    found.iter().filter(|one| one.verdict == verdict).map(|one| one.check).collect()
}

#[tokio::test]
async fn a_good_deployment_has_nothing_to_fix_by_its_mcp_url_and_by_its_issuer() {
    let origin = deployment(Broken::Nothing).await;
    for url in [format!("{origin}/mcp"), origin] {
        let found = found(&url).await;
        assert!(found.iter().all(|one| one.verdict == Verdict::Ok), "{url}: {found:?}");
        assert!(found.len() > 8, "{url}: {found:?}");
    }
}

#[tokio::test]
async fn each_fault_is_found_where_it_is_and_comes_with_a_remedy() {
    for (broken, check, verdict) in [
        (Broken::AnotherResource, "resource metadata", Verdict::Bad),
        (Broken::BareChallenge, "challenge", Verdict::Bad),
        (Broken::EmptyKeys, "keys", Verdict::Bad),
        (Broken::NoChallenge, "challenge", Verdict::Bad),
        (Broken::NoCors, "CORS", Verdict::Bad),
        (Broken::NoKeyIds, "keys", Verdict::Bad),
        (Broken::NoPkce, "PKCE", Verdict::Bad),
        (Broken::NoRoot, "resource metadata", Verdict::Warning),
        (Broken::NoWayToRegister, "registration", Verdict::Warning),
        (Broken::OpenRedirect, "redirects", Verdict::Bad),
        (Broken::PrivateKey, "keys", Verdict::Bad),
        (Broken::SlashedIssuer, "issuer metadata", Verdict::Bad),
        (Broken::TokenAccepted, "bad token", Verdict::Bad),
        (Broken::TokenPage, "token endpoint", Verdict::Bad),
    ] {
        // Without a challenge the double would be taken for its issuer.
        let origin = deployment(broken).await;
        let found = found(&format!("{origin}/mcp")).await;
        assert_eq!(verdicts(&found, verdict), BTreeSet::from([check]), "{broken:?}: {found:?}");
        let fixes = found.iter().filter(|one| one.verdict != Verdict::Ok);
        assert!(fixes.clone().count() > 0 && fixes.clone().all(|one| one.fix.is_some()));
    }
}

#[tokio::test]
async fn an_endpoint_at_another_origin_is_asked_there() {
    let origin = deployment(Broken::Elsewhere).await;
    let walked = found(&format!("{origin}/mcp")).await;
    assert!(walked.iter().all(|one| one.verdict == Verdict::Ok), "{walked:?}");
    assert!(walked.iter().any(|one| one.check == "endpoints"), "{walked:?}");
    let origin = deployment(Broken::Plain).await;
    let walked = found(&format!("{origin}/mcp")).await;
    let bad = BTreeSet::from(["endpoints", "redirects"]);
    assert_eq!(verdicts(&walked, Verdict::Bad), bad, "{walked:?}");
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_is_found() {
    let origin = deployment(Broken::Nothing).await;
    for (minutes, verdict) in [(0, Verdict::Ok), (10, Verdict::Bad)] {
        let ahead = Clock::System.now().plus(Duration::from_mins(minutes));
        let found = walk(&format!("{origin}/mcp"), None, &Clock::manual(ahead)).await.unwrap();
        let clock = found.iter().find(|one| one.check == "clock").unwrap();
        assert_eq!(clock.verdict, verdict, "{clock:?}");
    }
}

#[tokio::test]
async fn a_deployment_that_is_not_there_is_said_not_to_be_there() {
    let found = found("http://127.0.0.1:1/mcp").await;
    assert_eq!(verdicts(&found, Verdict::Bad), BTreeSet::from(["connection"]), "{found:?}");
    for nonsense in ["mcp.example/mcp", "ftp://mcp.example", "data:,x"] {
        assert!(walk(nonsense, None, &Clock::System).await.is_err(), "{nonsense}");
    }
}

#[tokio::test]
async fn plain_http_to_another_machine_is_bad() {
    let mut found = Findings::default();
    transport("URL", &Url::parse("http://mcp.example/mcp").unwrap(), &mut found);
    transport("URL", &Url::parse("https://mcp.example/mcp").unwrap(), &mut found);
    transport("URL", &Url::parse("http://localhost:7400/mcp").unwrap(), &mut found);
    let verdicts: Vec<Verdict> = found.0.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Bad, Verdict::Ok, Verdict::Ok]);
}
