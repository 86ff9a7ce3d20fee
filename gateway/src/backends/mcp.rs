//! A request to another MCP server, built afresh: only the headers listed here go out.
//!
//! Invariant: nothing of the client's own headers is copied but `Mcp-Param-*`, `Last-Event-ID` and
//! those that the backend's configuration lists, which the caller of this module hands over; its
//! credential never is.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use url::{Host, Url};

use crate::rules::{
    headers::{METHOD, NAME, SESSION, VERSION},
    protocol::Version,
};

/// Where a backend is: what a connection and each request need of its URL.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Name or address to connect to, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The `Host` header: the backend's own, which servers compare against rebinding.
    pub(crate) authority: HeaderValue,
    path: Uri,
}

/// A request in parts.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<'a> {
    /// The signed identity.
    pub(crate) authorization: &'a HeaderValue,
    /// Empty for GET and DELETE.
    pub(crate) body: Bytes,
    pub(crate) last_event_id: Option<&'a HeaderValue>,
    pub(crate) method: Method,
    /// Headers of the client's that the backend is to get.
    pub(crate) passed: Option<&'a HeaderMap>,
    /// What repeats the body in headers, in the modern era.
    pub(crate) repeated: Option<Repeated<'a>>,
    /// The backend's own session id.
    pub(crate) session: Option<&'a HeaderValue>,
    pub(crate) version: Option<Version>,
}

/// What headers repeat of a modern request (MCP 2026-07-28, transports).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeated<'a> {
    pub(crate) method: &'a str,
    pub(crate) name: Option<&'a str>,
    /// `Mcp-Param-*`, checked before.
    pub(crate) params: Option<&'a HeaderMap>,
}

impl Target {
    /// The target of an `http` or `https` URL.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        let path = url
            .query()
            .map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Some(Self {
            authority: HeaderValue::try_from(authority).ok()?,
            host,
            path: Uri::try_from(path).ok()?,
            port: url.port_or_known_default()?,
        })
    }

    /// Path and query.
    pub(crate) fn path(&self) -> &Uri {
        &self.path
    }

    /// The request as it goes out.
    pub(crate) fn request(&self, outgoing: &Outgoing<'_>) -> Request<Full<Bytes>> {
        let posts = outgoing.method == Method::POST;
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        match outgoing.passed {
            Some(passed) if !passed.is_empty() => headers.clone_from(passed),
            _ => {}
        }
        headers.reserve(OWN_HEADERS);
        headers.insert(HOST, self.authority.clone());
        headers.insert(AUTHORIZATION, outgoing.authorization.clone());
        if posts {
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(ACCEPT, JSON_OR_EVENTS);
        } else {
            headers.insert(ACCEPT, EVENTS);
        }
        if let Some(version) = outgoing.version {
            headers.insert(VERSION, HeaderValue::from_static(version.as_str()));
        }
        if let Some(session) = outgoing.session {
            headers.insert(SESSION, session.clone());
        }
        if let Some(last) = outgoing.last_event_id {
            headers.insert(LAST_EVENT_ID, last.clone());
        }
        if let Some(repeated) = &outgoing.repeated {
            headers.insert(METHOD, encode(repeated.method));
            if let Some(name) = repeated.name {
                headers.insert(NAME, encode(name));
            }
            headers
                .extend(repeated.params.into_iter().flatten().map(|(n, v)| (n.clone(), v.clone())));
        }
        request
    }
}

/// Room for as many as are added to those of the client's.
const OWN_HEADERS: usize = 6;
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A header's value: plain where that says the same to every reader, else in the base64 sentinel.
fn encode(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && text.trim() == text
        && !text.starts_with("=?base64?");
    let written = if plain { Ok(HeaderValue::from_str(text)) } else { Err(()) };
    match written {
        Ok(Ok(value)) => value,
        _ => HeaderValue::try_from(format!("=?base64?{}?=", STANDARD.encode(text)))
            .unwrap_or(HeaderValue::from_static("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::headers;

    fn target(url: &str) -> Target {
        Target::of(&Url::parse(url).unwrap()).unwrap()
    }

    static BEARER: HeaderValue = HeaderValue::from_static("Bearer identity");

    fn outgoing<'a>() -> Outgoing<'a> {
        Outgoing {
            authorization: &BEARER,
            body: Bytes::from_static(b"{}"),
            last_event_id: None,
            method: Method::POST,
            passed: None,
            repeated: None,
            session: None,
            version: Some(Version::November2025),
        }
    }

    #[test]
    fn a_url_becomes_address_host_header_and_path() {
        for (url, host, port, authority, path) in [
            ("http://localhost:7420/mcp", "localhost", 7420, "localhost:7420", "/mcp"),
            ("http://crm.internal", "crm.internal", 80, "crm.internal", "/"),
            ("https://crm.example/mcp", "crm.example", 443, "crm.example", "/mcp"),
            ("http://[::1]:9/a?b=c", "::1", 9, "[::1]:9", "/a?b=c"),
        ] {
            let target = target(url);
            let request = target.request(&outgoing());
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
            assert_eq!(request.headers()[HOST], authority, "{url}");
            assert_eq!(request.uri(), path, "{url}");
        }
        assert!(Target::of(&Url::parse("ftp://crm.example").unwrap()).is_none());
    }

    #[test]
    fn a_legacy_request_carries_these_headers_only() {
        let request = target("http://crm/mcp").request(&outgoing());
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["accept", "authorization", "content-type", "host", "mcp-protocol-version"]
        );
        assert_eq!(request.headers()[VERSION], "2025-11-25");
    }

    #[test]
    fn a_modern_request_repeats_its_body_in_headers() {
        let mut params = HeaderMap::new();
        params.insert("mcp-param-region", HeaderValue::from_static("eu"));
        for name in ["list contacts", "caf\u{e9}", " spaced", "=?base64?x?=", "a\nb"] {
            let repeated =
                Repeated { method: "tools/call", name: Some(name), params: Some(&params) };
            let outgoing = Outgoing { repeated: Some(repeated), ..outgoing() };
            let request = target("http://crm/mcp").request(&outgoing);
            assert_eq!(request.headers()[METHOD], "tools/call");
            assert_eq!(request.headers()["mcp-param-region"], "eu");
            let value = request.headers()[NAME].to_str().unwrap();
            assert_eq!(headers::decode(value).as_deref(), Some(name));
        }
    }
}
