//! An MCP server of both eras to stand behind the gateway: it keeps what it receives and answers
//! tool calls as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::Response,
};
use futures_util::stream;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::services::{address, listen};

/// How whatever a client asks of the server, and the GET of a session, is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A response that never ends.
    Endless,
    /// No answer at all.
    Never,
    /// A media type and a body; `{id}` in it is the call's id.
    Raw(&'static str, String),
    /// A status and an error in JSON-RPC.
    Refusal(u16, Value),
    /// A result.
    Result(Value),
    /// A status without a body.
    Status(u16),
    /// An event stream that the test writes.
    Stream,
}

/// The eras of MCP that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Both,
    Legacy,
    Modern,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub body: String,
    pub headers: HeaderMap,
    pub message: Value,
    /// The HTTP method.
    pub method: String,
}

/// The server.
#[derive(Clone, Debug)]
pub struct Backend {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    answer: Mutex<Answer>,
    capabilities: Value,
    received: Mutex<Vec<Received>>,
    speaks: Speaks,
    streams: Mutex<Vec<mpsc::Sender<String>>>,
    tools: Value,
}

impl Backend {
    /// Speaks both eras and answers every tool call with the text `done`.
    pub async fn start() -> Self {
        Self::speaking(Speaks::Both).await
    }

    /// Speaks these eras, has tools, and answers every call with the text `done`.
    pub async fn speaking(speaks: Speaks) -> Self {
        Self::offering(speaks, tools()).await
    }

    /// Speaks these eras, has these tools, and answers every call with the text `done`.
    pub async fn offering(speaks: Speaks, tools: Value) -> Self {
        Self::with(speaks, json!({ "tools": {} }), tools).await
    }

    /// Speaks these eras, has all that MCP knows of, and answers every call with the text `done`.
    pub async fn whole(speaks: Speaks) -> Self {
        let capabilities = json!({
            "completions": {},
            "extensions": { "io.modelcontextprotocol/tasks": {} },
            "logging": {},
            "prompts": {},
            "resources": { "subscribe": true },
            "tasks": {},
            "tools": {},
        });
        Self::with(speaks, capabilities, tools()).await
    }

    async fn with(speaks: Speaks, capabilities: Value, tools: Value) -> Self {
        let state = Arc::new(State {
            answer: Mutex::new(Answer::Result(done())),
            capabilities,
            received: Mutex::default(),
            speaks,
            streams: Mutex::default(),
            tools,
        });
        let shared = Arc::clone(&state);
        let router = Router::new().fallback(move |request: Request| {
            let state = Arc::clone(&shared);
            async move { state.answer(request).await }
        });
        let listener = listen(0).await;
        let address = address(&listener);
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// Answers like this from now on.
    pub fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    /// Everything that arrived.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// The tool calls that arrived.
    pub fn calls(&self) -> Vec<Received> {
        self.heard("tools/call")
    }

    /// The messages of a method that arrived.
    pub fn heard(&self, method: &str) -> Vec<Received> {
        let is_one = |one: &Received| one.message["method"] == method;
        self.received().into_iter().filter(is_one).collect()
    }

    /// The pen of the next stream that is opened, or was opened and not yet taken.
    pub async fn stream(&self) -> mpsc::Sender<String> {
        let start = Instant::now();
        loop {
            if let Some(stream) = self.state.streams.lock().unwrap().pop() {
                return stream;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "nobody opens a stream");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Received {
    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl State {
    async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 22).await.unwrap();
        let body = String::from_utf8(body.into()).unwrap();
        let message: Value = serde_json::from_str(&body).unwrap_or_default();
        let method = head.method.to_string();
        let received = Received { body, headers: head.headers, message, method };
        self.received.lock().unwrap().push(received.clone());
        let id = &received.message["id"];
        let result = match received.message["method"].as_str().unwrap_or_default() {
            "initialize" if self.speaks == Speaks::Modern => return no_such_method(id),
            "server/discover" if self.speaks == Speaks::Legacy => return no_such_method(id),
            "initialize" => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": self.capabilities,
                "serverInfo": { "name": "double", "version": "1" },
            }),
            "server/discover" => json!({
                "supportedVersions": ["2026-07-28"],
                "resultType": "complete",
                "capabilities": self.capabilities,
                "ttlMs": 1,
                "cacheScope": "public",
            }),
            "tools/list" => list("tools", &self.tools),
            "prompts/list" => list("prompts", &json!([{ "name": "summarise_account" }])),
            "resources/list" => list("resources", &resources()),
            "resources/templates/list" => {
                let template = json!({ "uriTemplate": "crm://contacts/{id}", "name": "A contact" });
                list("resourceTemplates", &json!([template]))
            }
            "ping" => json!({}),
            method if SCRIPTED.contains(&method) => return self.scripted(id).await,
            _ if received.method == "GET" => return self.scripted(id).await,
            _ if received.method == "DELETE" => return response(200, None, Body::empty()),
            _ => return response(202, None, Body::empty()),
        };
        let message = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let mut answer = response(200, Some("application/json"), message.to_string().into());
        if received.message["method"] == "initialize" {
            answer.headers_mut().insert("mcp-session-id", "upstream-1".parse().unwrap());
        }
        answer
    }

    async fn scripted(&self, id: &Value) -> Response {
        let answer = self.answer.lock().unwrap().clone();
        let mut response = match answer {
            Answer::Endless => {
                let chunk = || Ok::<_, std::convert::Infallible>(Bytes::from("[".repeat(4096)));
                let endless = stream::repeat_with(chunk);
                response(200, Some("application/json"), Body::from_stream(endless))
            }
            Answer::Never => std::future::pending().await,
            Answer::Raw(media, body) => {
                response(200, Some(media), body.replace("{id}", &id.to_string()).into())
            }
            Answer::Refusal(status, error) => {
                let message = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                response(status, Some("application/json"), message.to_string().into())
            }
            Answer::Result(result) => {
                let message = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                response(200, Some("application/json"), message.to_string().into())
            }
            Answer::Status(status) => response(status, None, Body::empty()),
            Answer::Stream => {
                let (pen, paper) = mpsc::channel::<String>(8);
                self.streams.lock().unwrap().push(pen);
                let events = stream::unfold(paper, async |mut paper| {
                    let text = paper.recv().await?;
                    Some((Ok::<_, std::convert::Infallible>(text), paper))
                });
                response(200, Some("text/event-stream"), Body::from_stream(events))
            }
        };
        // What no client may receive from a backend.
        let headers = response.headers_mut();
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("location", "https://elsewhere.example/"),
            ("set-cookie", "backend=1"),
            ("www-authenticate", "Bearer realm=\"backend\""),
            ("x-backend", "1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        response
    }
}

/// What a test decides the answer to.
const SCRIPTED: [&str; 12] = [
    "completion/complete",
    "logging/setLevel",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/update",
    "tools/call",
];

/// A list as the modern era has it; the legacy one does not mind.
fn list(member: &str, entries: &Value) -> Value {
    json!({ member: entries, "resultType": "complete", "ttlMs": 1, "cacheScope": "public" })
}

fn no_such_method(id: &Value) -> Response {
    let error = json!({ "code": -32601, "message": "no such method" });
    let message = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    response(200, Some("application/json"), message.to_string().into())
}

fn done() -> Value {
    json!({ "content": [{ "type": "text", "text": "done" }], "resultType": "complete" })
}

/// Named as the demo's policy names them.
fn tools() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "filter": { "type": "object" },
            "name": { "type": "string" },
            "region": { "type": "string", "x-mcp-header": "Region" },
            "workspace_id": { "type": "string" },
        },
    });
    json!([
        { "name": "create_contact", "inputSchema": schema },
        { "name": "delete_contact", "inputSchema": schema },
        { "name": "list_contacts", "inputSchema": schema, "annotations": { "readOnlyHint": true } },
    ])
}

/// One of nobody's in particular, one of the demo's workspaces, and one that the demo's people
/// are not in.
fn resources() -> Value {
    json!([
        { "uri": "crm://contacts/1", "name": "Ada" },
        { "uri": "crm://contacts/2?workspace_id=ws_acme", "name": "Bo" },
        { "uri": "crm://contacts/3?workspace_id=ws_initech", "name": "Cy" },
    ])
}

fn response(status: u16, media: Option<&str>, body: Body) -> Response {
    let mut response = Response::builder().status(status);
    if let Some(media) = media {
        response = response.header(CONTENT_TYPE, media);
    }
    response.body(body).unwrap()
}
