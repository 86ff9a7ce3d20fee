//! A backend's double over real HTTP, and what the gateway makes of its answers.

mod answers;
mod catalogue;
mod failing;
mod forwarding;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method as HttpMethod, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{Backend, BackendError, BreakerLimits, PoolLimits, mcp::Outgoing};
use crate::{
    config::{self, Connection, IdentityMode, IdentitySettings, UpstreamSession},
    rules::policy::Policies,
};

/// A request that reached the double.
#[derive(Clone, Debug)]
struct Seen {
    body: Value,
    headers: HeaderMap,
    method: HttpMethod,
}

impl Seen {
    fn rpc_method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// An HTTP server that answers as the test says and keeps what it saw.
struct Double {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    async fn start(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let seen = Seen { body, headers: head.headers, method: head.method };
                log.lock().unwrap().push(seen.clone());
                answer(&seen)
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn rpc_methods(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.rpc_method())).collect()
    }

    fn config(&self) -> config::Backend {
        let url = Url::parse(&format!("http://{}/mcp", self.address)).unwrap();
        config::Backend { url, ..config() }
    }

    fn backend(&self) -> Arc<Backend> {
        Arc::new(
            Backend::new(self.config(), &TaskTracker::new(), &CancellationToken::new()).unwrap(),
        )
    }
}

/// A backend with little patience and little room.
pub(super) fn config() -> config::Backend {
    config::Backend {
        api: None,
        audience: "crm".to_owned(),
        catalogue_life: Duration::from_mins(5),
        connection: connection(),
        credential: None,
        fingerprint: [0; 32],
        forwarded: Vec::new(),
        identity: IdentitySettings {
            header: http::header::AUTHORIZATION,
            mode: IdentityMode::Reused,
        },
        largest_answer: 2000,
        name: "crm".into(),
        naming: Arc::default(),
        policies: Arc::new(Policies::default()),
        response_timeout: Duration::from_secs(5),
        session: UpstreamSession::None,
        tls: None,
        url: Url::parse("http://127.0.0.1:1/mcp").unwrap(),
    }
}

/// A backend that is never spared, and gets one more try.
pub(super) fn connection() -> Connection {
    let breaker = BreakerLimits { failures: 0, pause: Duration::from_secs(5) };
    let pool = PoolLimits { connect: Duration::from_secs(1), ..PoolLimits::default() };
    Connection { breaker, pool, retries: 1, whole: None }
}

fn respond(status: u16, media: &str, body: impl Into<Body>) -> Response {
    let builder = Response::builder().status(status).header(CONTENT_TYPE, media);
    builder.body(body.into()).unwrap()
}

fn json(body: &Value) -> Response {
    respond(200, "application/json", body.to_string())
}

/// A result for the request that was seen.
fn result(seen: &Seen, result: &Value) -> Response {
    json(&serde_json::json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": result }))
}

static IDENTITY: HeaderValue = HeaderValue::from_static("Bearer identity");

fn identity() -> HeaderValue {
    IDENTITY.clone()
}
