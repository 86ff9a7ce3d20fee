//! Requests as a client makes them: no redirects followed, no proxy, limits of time and size.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header::ORIGIN};
use reqwest::{Certificate, Client, redirect::Policy};
use serde_json::Value;
use shared::problem::chain;
use url::Url;

use super::finding::Findings;

/// How long one request may take.
const TIME: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const LARGEST: usize = 1024 * 1024;
/// The origin of a page that asks.
const PAGE: HeaderValue = HeaderValue::from_static("https://client.example");

/// The client.
#[derive(Debug)]
pub(super) struct Http(Client);

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    pub(super) headers: HeaderMap,
    pub(super) status: u16,
}

impl Http {
    /// A client that also trusts these authorities.
    pub(super) fn new(authorities: Option<&str>) -> Result<Self, String> {
        let mut client = Client::builder().no_proxy().redirect(Policy::none()).timeout(TIME);
        if let Some(pem) = authorities {
            let bundle = Certificate::from_pem_bundle(pem.as_bytes());
            for one in bundle.map_err(|error| format!("the authorities cannot be read: {error}"))? {
                client = client.add_root_certificate(one);
            }
        }
        Ok(Self(client.build().map_err(|error| error.to_string())?))
    }

    /// A document, asked for by a page of another origin.
    pub(super) async fn get(&self, url: &Url) -> Result<Reply, String> {
        let headers = HeaderMap::from_iter([(ORIGIN, PAGE)]);
        self.send(Method::GET, url, headers, String::new()).await
    }

    /// Any request.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: String,
    ) -> Result<Reply, String> {
        let request = self.0.request(method, url.clone()).headers(headers).body(body);
        let mut response = request.send().await.map_err(|error| chain(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err("the answer has more than a mebibyte".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { body, headers, status })
    }

    /// A JSON document, or a finding that says why there is none.
    pub(super) async fn document(
        &self,
        check: &'static str,
        url: &Url,
        found: &mut Findings,
    ) -> Option<Value> {
        let reply = match self.get(url).await {
            Ok(reply) => reply,
            Err(why) => {
                found.bad(check, format!("{url}: {why}"), remedy(&why));
                return None;
            }
        };
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let (200, Some(body)) = (reply.status, body.filter(Value::is_object)) else {
            let what = format!("{url} answers {} and no JSON document", reply.status);
            found.bad(check, what, "let this path through to the service, unchanged");
            return None;
        };
        if !reply.headers.contains_key("access-control-allow-origin") {
            let fix = "keep the Access-Control-Allow-Origin header that the service sends";
            found.bad("CORS", format!("{url} cannot be read by a page of another origin"), fix);
        }
        Some(body)
    }
}

impl Reply {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What to do about a connection that failed.
pub(super) fn remedy(why: &str) -> &'static str {
    if why.contains("certificate") {
        "send the whole chain of a certificate for this name, or name its authority with --ca"
    } else if why.contains("dns") || why.contains("lookup") {
        "publish the name in DNS"
    } else {
        "start the service, or open the way to it"
    }
}
