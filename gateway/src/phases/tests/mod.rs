//! The gateway's router against a backend's double: what a client sees, and what the backend gets.

mod answers;
mod bounds;
mod entrance;
mod relay;
mod workspaces;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use axum::{Router, body::to_bytes, extract::Request};
use http::{HeaderMap, header::WWW_AUTHENTICATE};
use keys::{KeySet, Purpose};
use serde_json::{Value, json};
use shared::{
    deployment::{Deployment, RawDeployment, RawResource},
    ids::{FamilyId, UserId},
    internal::{Cursor, Event, Events, Principal, PrincipalQuery, Receipt, Usage},
    time::Timestamp,
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::*;
use crate::{
    Authority, AuthorityError, Config, Gateway, RawBackend, RawGateway, authority::Answer, router,
    state::tests::parts,
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example";
const HOST: &str = "localhost:7400";

/// The auth-server's double.
#[derive(Debug)]
struct Office {
    events: Mutex<Vec<Event>>,
    fetches: AtomicU64,
    is_away: AtomicBool,
    jwks: Vec<u8>,
    key_set_version: AtomicU64,
    usage: Mutex<Vec<Usage>>,
}

impl Authority for Office {
    fn events(&self, after: Option<Cursor>) -> Answer<'_, Events> {
        Box::pin(async move {
            if self.is_away.load(Ordering::SeqCst) {
                return Err(AuthorityError::Unavailable("away".to_owned()));
            }
            let all = self.events.lock().unwrap().clone();
            let cursor = Cursor { epoch: "e".to_owned(), seq: all.len() as u64 };
            let seen = after.as_ref().map_or(0, |after| usize::try_from(after.seq).unwrap());
            let events = all[seen..].to_vec();
            let key_set_version = self.key_set_version.load(Ordering::SeqCst);
            Ok(Events { cursor, events, key_set_version, snapshot: after.is_none() })
        })
    }
    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(self.jwks.clone()) })
    }
    fn metadata(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async {
            Ok(br#"{"issuer":"https://auth.example","authorization_endpoint":"https://auth.example/authorize"}"#.to_vec())
        })
    }
    fn principal(&self, _: PrincipalQuery) -> Answer<'_, Option<Principal>> {
        Box::pin(async { Ok(None) })
    }
    fn report(&self, usage: Usage) -> Answer<'_, ()> {
        self.usage.lock().unwrap().push(usage);
        Box::pin(async { Ok(()) })
    }
}

struct World {
    app: App,
    gateway: Gateway,
    issuer: KeySet,
    office: Arc<Office>,
    seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
    }
}

fn backend_answer(body: &Value) -> Value {
    let schema = json!({"type": "object", "properties": {"workspace_id": {"type": "string"}}});
    let tools = json!([
        {"name": "list_contacts", "inputSchema": schema, "annotations": {"readOnlyHint": true}},
        {"name": "create_contact", "inputSchema": schema},
        {"name": "delete_contact", "inputSchema": schema},
    ]);
    let result = match body["method"].as_str().unwrap_or_default() {
        "initialize" => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "double", "version": "1"}})
        }
        "server/discover" => json!({"supportedVersions": ["2026-07-28"], "resultType": "complete",
            "capabilities": {"tools": {}}, "ttlMs": 1, "cacheScope": "public"}),
        "tools/list" => json!({"tools": tools, "resultType": "complete", "ttlMs": 1,
            "cacheScope": "public"}),
        "tasks/result" => {
            let rows =
                json!([{"id": 1, "workspace_id": "acme"}, {"id": 2, "workspace_id": "beta"}]);
            json!({"content": [{"type": "text", "text": rows.to_string()}]})
        }
        "tasks/get" => json!({"taskId": body["params"]["taskId"], "status": "working"}),
        "tools/call" if body["params"].get("task").is_some() => {
            json!({"task": {"taskId": "t-1", "status": "working"}})
        }
        "tools/call" if body["params"]["arguments"]["workspace_id"] == "beta" => {
            let rows =
                json!([{"id": 1, "workspace_id": "acme"}, {"id": 2, "workspace_id": "beta"}]);
            json!({"content": [{"type": "text", "text": rows.to_string()}]})
        }
        "tools/call" => json!({"content": [{"type": "text", "text": "done"}], "odd": 1.0e2}),
        _ => {
            return json!({"jsonrpc": "2.0", "id": body["id"],
            "error": {"code": -32601, "message": "no such method"}});
        }
    };
    json!({"jsonrpc": "2.0", "id": body["id"], "result": result})
}

/// A notification and the response to an earlier call, each with a row of a workspace; then
/// another notification.
const ROWS: &str = concat!(
    "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",",
    "\"params\":{\"data\":{\"workspace_id\":\"acme\"}}}\n\n",
    "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[],",
    "\"structuredContent\":{\"rows\":[{\"workspace_id\":\"acme\"}]}}}\n\n",
    "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",",
    "\"params\":{\"data\":{\"workspace_id\":\"beta\"}}}\n\n",
);

async fn double(seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>) -> String {
    let app = Router::new().fallback(move |request: Request| {
        let seen = Arc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            seen.lock().unwrap().push((head.headers, body.clone()));
            if head.method == "GET" {
                let events = if seen.lock().unwrap().last().unwrap().0.contains_key("last-event-id")
                {
                    ROWS
                } else {
                    "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n"
                };
                let mut response = web::problem::json(StatusCode::OK, events);
                let media = http::HeaderValue::from_static("text/event-stream");
                response.headers_mut().insert(http::header::CONTENT_TYPE, media);
                return response;
            }
            if body.get("id").is_none() {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::ACCEPTED;
                return response;
            }
            let answer = backend_answer(&body).to_string();
            let mut response = web::problem::json(StatusCode::OK, answer);
            if body["method"] == "initialize" {
                let id = http::HeaderValue::from_static("backend-session");
                response.headers_mut().insert("mcp-session-id", id);
            }
            response
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/mcp")
}

fn deployment() -> Deployment {
    let raw: RawDeployment =
        toml::from_str(&format!("name = \"Demo\"\nissuer = \"{ISSUER}\"")).unwrap();
    let resource: RawResource = toml::from_str(
        r#"
        url = "http://localhost:7400/mcp"
        name = "CRM"
        default = true
        default_scopes = ["contacts:read"]
        prm_scopes = ["contacts:read", "contacts:write"]
        workspace = "optional_argument"
        scope = [
            { name = "contacts:read", description = "See contacts" },
            { name = "contacts:write", description = "Change contacts" },
            { name = "contacts:delete", description = "Delete contacts" },
        ]
        "#,
    )
    .unwrap();
    Deployment::resolve(raw, vec![resource]).unwrap()
}

async fn world(more: &str) -> World {
    world_of(more, "session = \"stateless\"").await
}

async fn world_of(more: &str, route: &str) -> World {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let url = double(Arc::clone(&seen)).await;
    let gateway: RawGateway = toml::from_str(&format!(
        "{more}\n[[route]]\nresource = \"http://localhost:7400/mcp\"\nbackends = [\"crm\"]\n{route}\n"
    ))
    .unwrap();
    let backend: RawBackend = toml::from_str(&format!(
        "name = \"crm\"\nurl = \"{url}\"\n\
         tool = [\n\
         {{ match = \"list_{{module}}\", scopes = [\"{{module}}:read\"] }},\n\
         {{ match = \"create_contact\", scopes = [\"contacts:write\"] }},\n\
         {{ match = \"delete_contact\", scopes = [\"contacts:delete\"] }},\n]"
    ))
    .unwrap();
    let issuer = KeySet::first(Purpose::Issuer, NOW).unwrap();
    let office = Arc::new(Office {
        events: Mutex::default(),
        fetches: AtomicU64::new(0),
        is_away: AtomicBool::new(false),
        jwks: issuer.jwks(),
        key_set_version: AtomicU64::new(0),
        usage: Mutex::default(),
    });
    let gateway = Gateway::new(parts(
        Arc::clone(&office) as Arc<dyn Authority>,
        Config::resolve(gateway, vec![backend], &deployment()).unwrap(),
        NOW,
    ));
    gateway.start();
    let world = World { app: gateway.current(), gateway, issuer, office, seen };
    world.until(|answer| answer.status == 200, "/readyz").await;
    world.seen.lock().unwrap().clear();
    world
}

struct Answered {
    body: Value,
    headers: HeaderMap,
    status: u16,
}

impl World {
    fn token(&self, change: &Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "http://localhost:7400/mcp", "sub": "usr_1", "client_id": "app",
            "scope": "contacts:read contacts:write", "exp": NOW.secs() + 300, "iat": NOW.secs(),
            "jti": "t1", "auth_time": NOW.secs(), "workspaces": ["acme", "beta"],
            "fam": FamilyId::from_bytes([7; 16]), "gen": 3,
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims: shared::claims::AccessTokenClaims = serde_json::from_value(claims).unwrap();
        keys::sign(&self.issuer.signing().unwrap(), "at+jwt", &claims).unwrap()
    }

    async fn send(&self, request: http::request::Builder, body: &Value) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(Body::from(body)).unwrap();
        let response = router(self.gateway.clone()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answered {
            body: serde_json::from_slice(&body).unwrap_or_default(),
            headers: head.headers,
            status: head.status.as_u16(),
        }
    }

    async fn find(&self, path: &str) -> Answered {
        self.send(Request::builder().uri(path).header("host", HOST), &Value::Null).await
    }

    fn post(token: &str) -> http::request::Builder {
        Request::builder()
            .method("POST")
            .uri("/mcp")
            .header("host", HOST)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
    }

    async fn legacy(&self, token: &str, method: &str, params: Value) -> Answered {
        let body = json!({"jsonrpc": "2.0", "id": "a-1", "method": method, "params": params});
        self.send(Self::post(token), &body).await
    }

    async fn modern(&self, token: &str, method: &str, mut params: Value) -> Answered {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}});
        let mut post = Self::post(token)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            post = post.header("mcp-name", name);
        }
        let body = json!({"jsonrpc": "2.0", "id": 9, "method": method, "params": params});
        self.send(post, &body).await
    }

    /// Asks again until the answer is as wanted, for some seconds.
    async fn until(&self, wanted: impl Fn(&Answered) -> bool, path: &str) {
        let asking = async {
            loop {
                if wanted(&self.find(path).await) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), asking).await.unwrap();
    }
}
