//! An MCP client of our own over streamable HTTP: one request, one answer.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::{
    client::Tokens,
    http::{Http, Reply, header_map},
    world::World,
};

/// The last protocol version with sessions, and the first without.
pub const LEGACY: &str = "2025-11-25";
pub const MODERN: &str = "2026-07-28";

/// A client with or without a token.
#[derive(Clone, Debug)]
pub struct Mcp {
    pub http: Http,
    pub token: Option<String>,
    pub url: String,
}

impl Mcp {
    /// A client of the world's gateway.
    pub fn new(world: &World, token: Option<&Tokens>) -> Self {
        let token = token.map(|tokens| tokens.access.clone());
        Self { token, url: world.resource.clone(), http: world.http.clone() }
    }

    /// Sends a request of the era with sessions.
    pub async fn legacy(&self, method: &str, params: Value) -> Reply {
        let version = header_map([(VERSION, LEGACY)]);
        self.send(&request(method, params), version).await
    }

    /// Sends a request of the era without sessions.
    pub async fn modern(&self, method: &str, mut params: Value) -> Reply {
        let mut headers = header_map([(VERSION, MODERN), (METHOD, method)]);
        let named = ["name", "uri", "taskId"].iter().find_map(|member| params[member].as_str());
        if let Some(name) = named {
            headers.insert(NAME, HeaderValue::from_str(name).unwrap());
        }
        let own = params["_meta"].take();
        params["_meta"] = modern_meta();
        for (name, value) in own.as_object().into_iter().flatten() {
            params["_meta"][name] = value.clone();
        }
        self.send(&request(method, params), headers).await
    }

    /// Calls a tool in the era with sessions.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.legacy("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Sends any message with these headers beside the usual ones.
    pub async fn send(&self, message: &Value, headers: HeaderMap) -> Reply {
        self.send_text(message.to_string(), headers).await
    }

    /// Sends any body with these headers beside the usual ones.
    pub async fn send_text(&self, body: String, headers: HeaderMap) -> Reply {
        self.http.send(Method::POST, &self.url, self.headers(headers), body).await
    }

    /// Sends any message and reads no more than the head of the answer.
    pub async fn open(&self, message: &Value, headers: HeaderMap) -> reqwest::Response {
        let headers = self.headers(headers);
        self.http.open(Method::POST, &self.url, headers, message.to_string()).await
    }

    /// Sends a request without a body, such as the GET or DELETE of a session.
    pub async fn ask(&self, method: Method, headers: HeaderMap) -> reqwest::Response {
        self.http.open(method, &self.url, self.headers(headers), String::new()).await
    }

    fn headers(&self, own: HeaderMap) -> HeaderMap {
        let accept = "application/json, text/event-stream";
        let mut all = header_map([(ACCEPT, accept), (CONTENT_TYPE, "application/json")]);
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            all.insert(AUTHORIZATION, value);
        }
        all.extend(own);
        all
    }
}

impl Reply {
    /// The JSON-RPC message of an answer, be it JSON or the last event of a stream.
    pub fn message(&self) -> Value {
        if !self.header("content-type").starts_with("text/event-stream") {
            return self.json();
        }
        let data = self.text.lines().filter_map(|line| line.strip_prefix("data:"));
        let last = data.map(str::trim).rfind(|data| !data.is_empty());
        serde_json::from_str(last.expect("an event with data")).unwrap()
    }
}

/// Headers by name and value, names as on the wire.
pub fn headers<const N: usize>(pairs: [(&'static str, &str); N]) -> HeaderMap {
    header_map(pairs.map(|(name, value)| (HeaderName::from_static(name), value)))
}

/// What every modern request carries in `_meta`.
pub fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "end to end", "version": "1" },
        "io.modelcontextprotocol/protocolVersion": MODERN,
    })
}

/// A JSON-RPC request with an id that no other has.
pub fn request(method: &str, params: Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
    message["params"] = params;
    message
}

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
