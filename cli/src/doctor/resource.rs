//! The gateway's side: the challenge (RFC 6750 section 3) and the resource's metadata
//! (RFC 9728 section 3) wherever clients look for it.

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    client::{Http, Reply, remedy},
    finding::Findings,
    text, texts, well_known,
};

const NAME: &str = "oauth-protected-resource";

/// Looks at a resource and returns its issuers; nothing where there is no resource.
pub(super) async fn walk(
    typed: &str,
    url: &Url,
    http: &Http,
    found: &mut Findings,
) -> Option<Vec<String>> {
    let named = challenge(url, http, found).await?;
    let inserted = well_known(url, NAME, url.path());
    if named.as_ref() != Some(&inserted) {
        let what =
            format!("the challenge does not name {inserted}, where clients look by themselves");
        found.warn("challenge", what, "let the gateway write the challenge; a proxy must not");
    }
    let document = http.document("resource metadata", &inserted, found).await?;
    let resource = text(&document, "resource");
    if resource == typed {
        found.ok("resource metadata", format!("{inserted} names the URL as it was typed"));
    } else {
        let what =
            format!("{inserted} says the resource is {resource}, which is not what was typed");
        let fix = "write the public URL in [[resource]] url, and give people exactly that";
        found.bad("resource metadata", what, fix);
    }
    if let Some(named) = named.filter(|named| *named != inserted)
        && http.document("resource metadata", &named, found).await.is_some_and(|d| d != document)
    {
        let what = format!("{named} and {inserted} are different documents");
        found.bad("resource metadata", what, "lead both to the same gateway");
    }
    root(url, &document, http, found).await;
    rejects(url, http, found).await;
    let issuers: Vec<String> =
        texts(&document, "authorization_servers").into_iter().map(str::to_owned).collect();
    if issuers.is_empty() {
        let fix = "lead the path to the gateway: its document names the issuer";
        found.bad("resource metadata", "no authorization server is named", fix);
    }
    Some(issuers)
}

/// Whether the URL is an issuer's instead.
pub(super) async fn is_issuer(url: &Url, http: &Http) -> bool {
    let metadata = well_known(url, "oauth-authorization-server", url.path());
    let reply = http.get(&metadata).await;
    reply.is_ok_and(|reply| {
        let document: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        // A resource may mirror another's.
        let named = text(&document, "issuer").trim_end_matches('/');
        reply.status == 200 && named == url.as_str().trim_end_matches('/')
    })
}

/// The challenge to a request without a token, and the address it names.
async fn challenge(url: &Url, http: &Http, found: &mut Findings) -> Option<Option<Url>> {
    let reply = match call(url, http, None).await {
        Ok(reply) => reply,
        Err(why) => {
            found.bad("connection", format!("{url}: {why}"), remedy(&why));
            return None;
        }
    };
    if reply.status != 401 {
        let what = format!("{url} answers {} to a call without a token, not 401", reply.status);
        found.bad("challenge", what, "type the MCP URL exactly, and lead it to the gateway");
        return None;
    }
    let header = reply.header("www-authenticate");
    let is_bearer = header.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let named = parameter(header, "resource_metadata").and_then(|named| Url::parse(&named).ok());
    if !is_bearer || named.is_none() {
        let what = format!("401 with the challenge \"{header}\", which names no resource_metadata");
        found.bad("challenge", what, "pass WWW-Authenticate through as the gateway sends it");
        return Some(None);
    }
    found.ok("challenge", "401 names the resource's metadata");
    let exposed = reply.header("access-control-expose-headers").to_ascii_lowercase();
    if reply.headers.contains_key("access-control-allow-origin")
        && !exposed.contains("www-authenticate")
    {
        let what = "pages may call, and may not read WWW-Authenticate";
        found.warn("CORS", what, "pass Access-Control-Expose-Headers through");
    }
    Some(named)
}

/// The document at the root of the host, where some clients look first or only.
async fn root(url: &Url, document: &Value, http: &Http, found: &mut Findings) {
    let root = well_known(url, NAME, "");
    let reply = http.get(&root).await;
    let same = reply.as_ref().is_ok_and(|reply| {
        serde_json::from_slice::<Value>(&reply.body).is_ok_and(|other| other == *document)
    });
    if same {
        found.ok("resource metadata", format!("{root} is the same document"));
    } else {
        let fix = "lead it to the gateway, or make this resource the default of its host";
        let what = format!("{root} is not this resource's document; some clients look only there");
        found.warn("resource metadata", what, fix);
    }
}

/// A token that is none must be called that.
async fn rejects(url: &Url, http: &Http, found: &mut Findings) {
    let token = HeaderValue::from_static("Bearer not-a-token");
    match call(url, http, Some(token)).await {
        Ok(reply) if reply.status == 401 => {
            let error = parameter(reply.header("www-authenticate"), "error");
            if error.as_deref() == Some("invalid_token") {
                found.ok("bad token", "401 with invalid_token");
            } else {
                let fix = "let the gateway judge tokens; a proxy must not";
                found.bad(
                    "bad token",
                    "401 without error=\"invalid_token\": clients do not refresh",
                    fix,
                );
            }
        }
        Ok(reply) if reply.status == 503 => {
            let fix = "see the gateway's /readyz for what it waits for";
            found.bad("bad token", "503: the gateway cannot verify tokens now", fix);
        }
        Ok(reply) => {
            let what = format!("a token that is none is answered {}, not 401", reply.status);
            found.bad("bad token", what, "lead the MCP URL to the gateway, not to the backend");
        }
        Err(why) => found.bad("connection", format!("{url}: {why}"), remedy(&why)),
    }
}

async fn call(url: &Url, http: &Http, token: Option<HeaderValue>) -> Result<Reply, String> {
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    headers.extend(token.map(|token| (AUTHORIZATION, token)));
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    http.send(Method::POST, url, headers, ping).await
}

/// A quoted parameter of a challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let rest = challenge.split_once(&format!("{name}=\""))?.1;
    Some(rest.split('"').next()?.to_owned())
}
