//! A CRM on a port of its own, an issuer of identities, and a client that calls tools.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use crm::{Config, Workspace};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::time::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const ACME: &str = "ws_acme";
pub(crate) const GLOBEX: &str = "ws_globex";
pub(crate) const AUDIENCE: &str = "urn:example:crm";
pub(crate) const ISSUER: &str = "http://gateway.example/identity";
pub(crate) const NOW: u64 = 1_795_000_000;
pub(crate) const MODERN: &str = "2026-07-28";

/// Two keys made for these tests (PKCS #8), used nowhere else.
pub(crate) const KEYS: [&str; 2] = [
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoEdHWzXIxyCX7yvdygbXuOgBHiIesqXuFyswtkxy6dKhRANCAATUAHM8702rjajif5ECQCFX7PPgXr6ZJVisPQt8oSMiWN8ayvbJ4momL9j6EvZCIM4L1pLoDt1NiIHhUXonsh/i",
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdf3O+MdNp4yM8sJfRcdOo16Lb4D36hxXr90ggDxeOYqhRANCAAR5/WTwUoBuNYBeLVxpSMRJszXuTUKJa5WnlygRezHFwfO+PgoTdFqlyf8ZKI/YLDy5Yf9xtKOv1ujbFJVL57ic",
];

/// One CRM, its clock, and the key set it fetches.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) fetches: Arc<AtomicUsize>,
    pub(crate) published: Arc<Mutex<Value>>,
    pub(crate) url: String,
    client: reqwest::Client,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// A tool's answer.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Value);

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_file(None).await
    }

    pub(crate) async fn with_file(data_file: Option<PathBuf>) -> Self {
        let tasks = TaskTracker::new();
        let shutdown = CancellationToken::new();
        let published = Arc::new(Mutex::new(json!({ "keys": [public_key(0)] })));
        let fetches = Arc::new(AtomicUsize::new(0));
        let jwks = {
            let (published, fetches) = (Arc::clone(&published), Arc::clone(&fetches));
            let answer = move || async move {
                fetches.fetch_add(1, Ordering::SeqCst);
                Json(published.lock().unwrap().clone())
            };
            Router::new().route("/jwks.json", get(answer))
        };
        let issuer = serve(jwks, &tasks, &shutdown).await;
        let clock = Clock::manual(Timestamp::from_secs(NOW));
        let named = |id: &str, name: &str| Workspace { id: id.to_owned(), name: name.to_owned() };
        let config = Config {
            allowed_hosts: Vec::new(),
            audience: AUDIENCE.to_owned(),
            clock: clock.clone(),
            data_file,
            issuer: ISSUER.to_owned(),
            jwks_url: format!("{issuer}/jwks.json"),
            path: "/mcp".to_owned(),
            workspaces: vec![named(ACME, "Acme"), named(GLOBEX, "Globex")],
        };
        let router = crm::router(config, shutdown.clone()).await.unwrap();
        let url = format!("{}/mcp", serve(router, &tasks, &shutdown).await);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { clock, fetches, published, url, client, shutdown, tasks }
    }

    /// Ends the servers and waits until they let go of their files.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(10), self.tasks.wait()).await.unwrap();
    }

    /// Posts a message with the headers every client sends.
    pub(crate) async fn post(&self, token: Option<&str>, message: &Value) -> reqwest::Response {
        let mut request = self.request(message).header("mcp-protocol-version", "2025-11-25");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    /// A request without version or credentials.
    pub(crate) fn request(&self, message: &Value) -> reqwest::RequestBuilder {
        self.client
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .json(message)
    }

    /// The HTTP status and body of a `tools/list` with that token.
    pub(crate) async fn knock(&self, token: Option<&str>) -> (StatusCode, Value) {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let response = self.post(token, &list).await;
        let status = response.status();
        (status, response.json().await.unwrap())
    }

    /// Sends a request as that person and returns the whole JSON-RPC response.
    pub(crate) async fn rpc(&self, workspaces: &[&str], method: &str, params: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let response = self.post(Some(&self.person(workspaces)), &message).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        response.json().await.unwrap()
    }

    /// Calls a tool as a person with those workspaces.
    pub(crate) async fn call(&self, workspaces: &[&str], tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments });
        let response = self.rpc(workspaces, "tools/call", params).await;
        assert_eq!(response.get("error"), None, "{response}");
        Answer(response["result"].clone())
    }

    /// An identity of a person with those workspaces, good for a minute.
    pub(crate) fn person(&self, workspaces: &[&str]) -> String {
        sign(&self.claims("person", workspaces), |_| {})
    }

    pub(crate) fn claims(&self, kind: &str, workspaces: &[&str]) -> Value {
        let now = self.clock.now().secs();
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "p_1", "sub_iss": "http://auth.example",
            "client_id": "c_1", "kind": kind, "scope": "contacts:read contacts:write",
            "workspaces": workspaces, "iat": now, "exp": now + 60, "jti": "j_1",
        })
    }
}

impl Answer {
    /// The structured content, after checking that the text says the same.
    pub(crate) fn value(&self) -> &Value {
        assert_ne!(self.0["isError"], json!(true), "{}", self.0);
        let value = &self.0["structuredContent"];
        let text: Value =
            serde_json::from_str(self.0["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(value, &text);
        value
    }

    /// The text of a refusal.
    pub(crate) fn refusal(&self) -> &str {
        assert_eq!(self.0["isError"], json!(true), "{}", self.0);
        assert_eq!(self.0.get("structuredContent"), None);
        self.0["content"][0]["text"].as_str().unwrap()
    }

    /// One field of the records of a page.
    pub(crate) fn column(&self, name: &str) -> Vec<Value> {
        self.value()["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
    }
}

/// An identity signed with the first key, after a change to its header.
pub(crate) fn sign(claims: &Value, change: impl FnOnce(&mut Header)) -> String {
    sign_with(0, claims, change)
}

/// An identity signed with one of the keys, after a change to its header.
pub(crate) fn sign_with(key: usize, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("vestibule-identity+jwt".to_owned());
    header.kid = Some(format!("key-{key}"));
    change(&mut header);
    jsonwebtoken::encode(&header, claims, &private_key(key)).unwrap()
}

/// The public half of a key, as an issuer publishes it.
pub(crate) fn public_key(key: usize) -> Value {
    let mut jwk = Jwk::from_encoding_key(&private_key(key), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some(format!("key-{key}"));
    serde_json::to_value(jwk).unwrap()
}

fn private_key(key: usize) -> EncodingKey {
    EncodingKey::from_ec_der(&STANDARD.decode(KEYS[key]).unwrap())
}

async fn serve(router: Router, tasks: &TaskTracker, shutdown: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ended = shutdown.clone().cancelled_owned();
    tasks.spawn(async move { axum::serve(listener, router).with_graceful_shutdown(ended).await });
    format!("http://{address}")
}
