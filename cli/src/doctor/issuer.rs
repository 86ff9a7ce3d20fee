//! The authorization server's side: metadata wherever clients look (RFC 8414 section 3), keys,
//! the clock, and that nobody is sent where no client is registered (RFC 9700 section 4.11).

use std::{collections::BTreeSet, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN},
};
use serde_json::Value;
use shared::time::{Clock, Timestamp};
use url::Url;

use super::{
    client::{Http, remedy},
    finding::Findings,
    text, texts, transport, well_known,
};

const NAMES: [&str; 2] = ["oauth-authorization-server", "openid-configuration"];

/// A clock that is farther off makes tokens look as if they came from the future.
const SKEW: Duration = Duration::from_mins(1);
const NOTABLE: Duration = Duration::from_secs(10);

/// Where a stranger would like codes to go.
const STRANGER: &str = "https://doctor.invalid/callback";

/// Looks at an issuer, and at its mirror at the resource's origin.
pub(super) async fn walk(
    issuer: &str,
    resource: Option<&Url>,
    (http, clock): (&Http, &Clock),
    found: &mut Findings,
) {
    let Ok(url) = Url::parse(issuer) else {
        let fix = "write the issuer as an https URL";
        found.bad("issuer", format!("{issuer} is no URL"), fix);
        return;
    };
    transport("issuer", &url, found);
    let Some(metadata) = documents(issuer, &url, http, found).await else { return };
    if let Some(resource) = resource.filter(|resource| resource.origin() != url.origin()) {
        mirror(resource, &metadata, http, found).await;
    }
    content(&metadata, &url, found);
    keys(&metadata, http, found).await;
    tells_time(&url, (http, clock), found).await;
    token_endpoint(&metadata, http, found).await;
    redirects(&metadata, http, found).await;
}

/// The metadata at each of its addresses; the first one found.
async fn documents(issuer: &str, url: &Url, http: &Http, found: &mut Findings) -> Option<Value> {
    let mut places: Vec<Url> =
        NAMES.map(|name| well_known(url, name, url.path())).into_iter().collect();
    let mut appended = url.clone();
    appended.set_path(&format!(
        "{}/.well-known/openid-configuration",
        url.path().trim_end_matches('/')
    ));
    if !places.contains(&appended) {
        places.push(appended);
    }
    let mut first: Option<Value> = None;
    for place in places {
        let Some(document) = http.document("issuer metadata", &place, found).await else {
            continue;
        };
        let named = text(&document, "issuer");
        if named == issuer {
            found.ok("issuer metadata", format!("{place} names the issuer"));
        } else {
            let what = format!("{place} says the issuer is {named}, not {issuer}");
            let fix = "write the same issuer everywhere, without a trailing slash";
            found.bad("issuer metadata", what, fix);
        }
        first.get_or_insert(document);
    }
    first
}

/// Some hosted clients look for the issuer's metadata at the resource only.
async fn mirror(resource: &Url, metadata: &Value, http: &Http, found: &mut Findings) {
    let place = well_known(resource, "oauth-authorization-server", "");
    let same = http.get(&place).await.is_ok_and(|reply| {
        serde_json::from_slice::<Value>(&reply.body).is_ok_and(|other| other == *metadata)
    });
    if same {
        found.ok("issuer metadata", format!("{place} mirrors it"));
    } else {
        let what = format!("{place} does not mirror it; some hosted clients look only there");
        found.warn("issuer metadata", what, "leave aliases on for the route");
    }
}

/// What the metadata promises.
fn content(metadata: &Value, issuer: &Url, found: &mut Findings) {
    if texts(metadata, "code_challenge_methods_supported").contains(&"S256") {
        found.ok("PKCE", "S256 is announced");
    } else {
        let fix = "pass the metadata through unchanged; MCP clients refuse to go on without it";
        found.bad("PKCE", "S256 is not announced", fix);
    }
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        match Url::parse(text(metadata, name)) {
            Ok(url) if url.origin() == issuer.origin() => {}
            // Another origin of the deployment's, or the inner address of a proxy that rewrites:
            // what is asked of it below tells which.
            Ok(url) if url.scheme() == issuer.scheme() => {
                transport("endpoints", &url, found);
                let origin = url.origin().ascii_serialization();
                let what = format!(
                    "{name} is at {origin}, another origin than the issuer's: see that it is yours"
                );
                found.ok("endpoints", what);
            }
            Ok(url) => {
                let what = format!(
                    "{name} ({url}) has another scheme than the issuer, so it is no address for others"
                );
                let fix = "pass the metadata through unchanged";
                found.bad("endpoints", what, fix);
            }
            Err(_) => {
                let fix = "pass the metadata through unchanged";
                found.bad("endpoints", format!("{name} is missing or no URL"), fix);
            }
        }
    }
    let registers = !text(metadata, "registration_endpoint").is_empty();
    let documents =
        metadata.get("client_id_metadata_document_supported") == Some(&Value::Bool(true));
    match (registers, documents) {
        (false, false) => {
            let what = "clients can neither register nor bring a document: each needs the operator";
            found.warn("registration", what, "set auth.registration, or auth.outbound.documents");
        }
        (true, _) => found.ok("registration", "clients can register"),
        (false, true) => found.ok("registration", "clients can bring their own document"),
    }
}

/// The keys that tokens are signed with.
async fn keys(metadata: &Value, http: &Http, found: &mut Findings) {
    let Ok(url) = Url::parse(text(metadata, "jwks_uri")) else { return };
    let Some(set) = http.document("keys", &url, found).await else { return };
    let keys = set.get("keys").and_then(Value::as_array);
    let keys: Vec<&Value> = keys.into_iter().flatten().collect();
    let kids: BTreeSet<&str> = keys.iter().map(|key| text(key, "kid")).collect();
    if keys.iter().any(|key| key.get("d").is_some() || key.get("k").is_some()) {
        let fix = "revoke that key now: vestibule keys revoke";
        found.bad("keys", "a private key is published", fix);
    } else if keys.is_empty() {
        let fix = "lead jwks_uri to auth-server; it never publishes an empty set";
        found.bad("keys", format!("{url} holds no key"), fix);
    } else if kids.len() < keys.len() || kids.contains("") {
        let fix = "lead jwks_uri to auth-server and nowhere else";
        found.bad("keys", format!("{url} has keys without an id of their own"), fix);
    } else {
        found.ok("keys", format!("{} published", keys.len()));
    }
}

/// How far the issuer's clock is from ours.
async fn tells_time(issuer: &Url, (http, clock): (&Http, &Clock), found: &mut Findings) {
    let metadata = well_known(issuer, NAMES.first().copied().unwrap_or_default(), issuer.path());
    let Ok(reply) = http.get(&metadata).await else { return };
    let Ok(told) = httpdate::parse_http_date(reply.header("date")) else {
        found.warn("clock", "answers carry no Date", "let the proxy keep or add it");
        return;
    };
    let told = told.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (told, now) = (Timestamp::from_secs(told.as_secs()), clock.now());
    let off = told.since(now).max(now.since(told));
    let what = format!("it is {} s off this machine's", off.as_secs());
    let fix = "keep both machines' clocks with NTP";
    if off > SKEW {
        found.bad("clock", what, fix);
    } else if off > NOTABLE {
        found.warn("clock", what, fix);
    } else {
        found.ok("clock", "within ten seconds of this machine's");
    }
}

/// The token endpoint refuses in the way clients understand, also for a page.
async fn token_endpoint(metadata: &Value, http: &Http, found: &mut Findings) {
    let Ok(url) = Url::parse(text(metadata, "token_endpoint")) else { return };
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, form)]);
    let body = "grant_type=refresh_token&refresh_token=doctor&client_id=doctor".to_owned();
    match http.send(Method::POST, &url, headers, body).await {
        Ok(reply) => {
            let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let error = text(&body, "error");
            if matches!(reply.status, 400 | 401) && !error.is_empty() {
                found.ok("token endpoint", format!("refuses a stranger with {error}"));
            } else {
                let what = format!("a stranger is answered {} {error}", reply.status);
                let fix = "see auth-server's /readyz; pass its answers through unchanged";
                found.bad("token endpoint", what, fix);
            }
        }
        Err(why) => found.bad("token endpoint", format!("{url}: {why}"), remedy(&why)),
    }
    let headers = HeaderMap::from_iter([
        (ORIGIN, HeaderValue::from_static("https://client.example")),
        (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST")),
    ]);
    let preflight = http.send(Method::OPTIONS, &url, headers, String::new()).await;
    if preflight.is_ok_and(|reply| reply.headers.contains_key("access-control-allow-origin")) {
        found.ok("CORS", "pages may ask for tokens");
    } else {
        let fix = "pass OPTIONS and the Access-Control headers through";
        found.bad("CORS", format!("pages of other origins cannot ask {url}"), fix);
    }
}

/// Nobody is sent to an address that no client registered.
async fn redirects(metadata: &Value, http: &Http, found: &mut Findings) {
    let Ok(mut url) = Url::parse(text(metadata, "authorization_endpoint")) else { return };
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "doctor")
        .append_pair("redirect_uri", STRANGER)
        .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        .append_pair("code_challenge_method", "S256");
    match http.send(Method::GET, &url, HeaderMap::new(), String::new()).await {
        Ok(reply) if reply.header("location").starts_with(STRANGER) => {
            let what = "an unknown client's redirect_uri is followed: anybody can use this server \
                        to send people away";
            found.bad("redirects", what, "lead the endpoint to auth-server and nowhere else");
        }
        Ok(reply) if reply.status >= 500 || reply.status == 404 => {
            let what = format!("the authorization endpoint answers {}", reply.status);
            found.bad(
                "redirects",
                what,
                "see auth-server's /readyz, and that the path leads there",
            );
        }
        Ok(_) => found.ok("redirects", "an unknown client's address is not followed"),
        Err(why) => {
            found.bad("redirects", format!("the authorization endpoint: {why}"), remedy(&why));
        }
    }
}
