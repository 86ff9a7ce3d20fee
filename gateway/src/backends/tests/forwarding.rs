//! What goes out to a backend, and when.

#[path = "endings.rs"]
mod endings;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use keys::{KeySet, Presented, Purpose};
use serde_json::json;
use shared::{
    internal::{Cursor, Events, Principal, PrincipalQuery, Usage},
    time::Timestamp,
};

use super::*;
use crate::{
    authority::{Answer, Authority, AuthorityError},
    backends::{BackendError, Relayed, Upstream, UpstreamBody, credential::IDENTITY_TYPE},
    claims::{Admitted, ClaimsCache},
    config::{Config, RawBackend, RawGateway},
    human, limit, once,
    rules::{
        caller::tests::caller,
        permit::permit,
        rpc::{Call, Message, read},
    },
    state::{App, AppParts, IdentityKeys, tests::parts},
    surface,
};

#[derive(Debug)]
struct Nobody;

impl Nobody {
    fn answer<T: Send + 'static>() -> Answer<'static, T> {
        Box::pin(async { Err(AuthorityError::Unavailable("none".to_owned())) })
    }
}

impl Authority for Nobody {
    fn events(&self, _after: Option<Cursor>) -> Answer<'_, Events> {
        Self::answer()
    }

    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        Self::answer()
    }

    fn metadata(&self) -> Answer<'_, Vec<u8>> {
        Self::answer()
    }

    fn principal(&self, _: PrincipalQuery) -> Answer<'_, Option<Principal>> {
        Box::pin(async { Ok(None) })
    }
    fn report(&self, _usage: Usage) -> Answer<'_, ()> {
        Self::answer()
    }
}

#[derive(serde::Deserialize)]
struct File {
    gateway: RawGateway,
    backend: Vec<RawBackend>,
}

/// A gateway in front of the double, with its catalogue read.
struct Gateway {
    app: App,
    caller: Arc<Admitted>,
    set: KeySet,
}

impl Gateway {
    async fn start(double: &Double, terms: &str) -> Self {
        let file = format!(
            r#"
            [[gateway.route]]
            resource = "http://localhost:7400/mcp"
            backends = ["crm"]
            [[gateway.route]]
            resource = "http://127.0.0.1:7400/mcp"
            backends = ["crm"]
            [[backend]]
            name = "crm"
            audience = "crm"
            url = "http://{}/mcp"
            {terms}
            [[backend.tool]]
            match = "*"
            scopes = ["contacts:read"]
            "#,
            double.address
        );
        let File { gateway, backend } = toml::from_str(&file).unwrap();
        let config = Config::resolve(gateway, backend, &config::tests::deployment()).unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let set = KeySet::first(Purpose::GatewayIdentity, now).unwrap();
        let gateway = crate::Gateway::new(AppParts {
            identity: Arc::new(ArcSwap::from_pointee(IdentityKeys::of(&set).unwrap())),
            ..parts(Arc::new(Nobody), config, now)
        });
        let app = gateway.current();
        app.backends.start(&gateway, &app.tracker);
        let read = async {
            while app.backends.find("crm").unwrap().catalogue().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), read).await.unwrap();
        let caller = ClaimsCache::new().keep(caller("contacts:read", &["a"]), [7; 32], 0);
        Self { app, caller, set }
    }

    async fn send(&self, call: &Call) -> Result<Upstream, BackendError> {
        let surface = surface::current(&self.app, &self.app.config.routes[0]).unwrap();
        let permit = permit(&surface, &self.caller.caller, call, &HeaderMap::new()).unwrap();
        let mut seen = limit::Seen::default();
        let ticket = self.app.limits.ticket(&self.caller, &permit, &mut seen).await.unwrap();
        let clearance = human::clear(&permit, &once::check(call, &permit));
        crate::backends::forward(&self.app, &self.caller, call, &permit, ticket, clearance).await
    }

    /// The result of a call, however it came.
    async fn result(&self, call: &Call) -> Value {
        let body = match self.send(call).await.unwrap().body {
            UpstreamBody::Json(bytes) => bytes.to_vec(),
            UpstreamBody::Stream(mut events) => events.next().await.unwrap().unwrap().data.unwrap(),
            UpstreamBody::Empty => panic!("no answer"),
        };
        serde_json::from_slice::<Value>(&body).unwrap()["result"].take()
    }
}

fn call(method: &str, params: &Value, headers: &[(&'static str, &'static str)]) -> Call {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    match read(&Bytes::from(body.to_string()), &map, "workspace_id") {
        Ok(Message::Request(call)) => call,
        other => panic!("{other:?}"),
    }
}

fn tools_call() -> Call {
    call("tools/call", &json!({ "name": "a", "arguments": {}, "vendor": 1 }), &[])
}

fn both_eras(seen: &Seen) -> Response {
    match seen.rpc_method() {
        "server/discover" => result(
            seen,
            &json!({ "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} } }),
        ),
        "initialize" => result(
            seen,
            &json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} } }),
        ),
        "tools/list" => result(seen, &json!({ "tools": [{ "name": "a", "inputSchema": {} }] })),
        "tools/call" => result(seen, &json!({ "content": [], "kept": true })),
        _ => respond(202, "text/plain", ""),
    }
}

#[tokio::test]
async fn a_backend_gets_the_callers_bytes_and_an_identity_of_ours() {
    let double = Double::start(both_eras).await;
    let gateway = Gateway::start(&double, "").await;
    let legacy = tools_call();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "a")];
    let modern = call("tools/call", &json!({ "name": "a", "_meta": meta }), &headers);
    for (call, version) in [(legacy, "2025-11-25"), (modern, "2026-07-28")] {
        assert_eq!(gateway.result(&call).await, json!({ "content": [], "kept": true }));
        let seen = double.seen().pop().unwrap();
        assert_eq!(seen.body, serde_json::from_slice::<Value>(&call.body).unwrap());
        assert_eq!(seen.headers["mcp-protocol-version"], version);
        assert_eq!(seen.headers.get("mcp-name").is_some(), version == "2026-07-28");
        let token = seen.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ");
        let presented = Presented::<Value>::parse_as(token.unwrap(), IDENTITY_TYPE).unwrap();
        let key = gateway.set.signing().unwrap().verifying();
        let claims = presented.verify(&key).unwrap().into_claims();
        assert_eq!(claims["aud"], "crm");
        assert_eq!(claims["iss"], "http://localhost:7400");
        assert_eq!((&claims["sub"], &claims["kind"]), (&json!("usr_1"), &json!("person")));
        assert_eq!(claims["workspaces"], json!(["a"]));
    }
}

/// A legacy backend with sessions that it forgets when told so.
fn with_sessions(forgotten: Arc<Mutex<Vec<String>>>) -> impl Fn(&Seen) -> Response {
    let opened = Mutex::new(0);
    move |seen| {
        if seen.rpc_method() == "initialize" {
            let mut opened = opened.lock().unwrap();
            *opened += 1;
            let offer = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} } });
            let mut response = result(seen, &offer);
            let id = HeaderValue::from_str(&format!("s{opened}")).unwrap();
            response.headers_mut().insert("mcp-session-id", id);
            return response;
        }
        let session = seen.headers.get("mcp-session-id").and_then(|id| id.to_str().ok());
        match (session, seen.rpc_method()) {
            (None, _) => respond(400, "text/plain", "no session"),
            (Some(id), _) if forgotten.lock().unwrap().iter().any(|gone| gone == id) => {
                respond(404, "text/plain", "no such session")
            }
            (Some(id), "tools/call") => result(seen, &json!({ "session": id })),
            _ => both_eras(seen),
        }
    }
}

#[tokio::test]
async fn pooled_sessions_are_reused_and_silently_opened_anew() {
    let forgotten = Arc::new(Mutex::new(Vec::new()));
    let double = Double::start(with_sessions(Arc::clone(&forgotten))).await;
    let gateway = Gateway::start(&double, "session = \"pooled\"").await;
    // The catalogue took the first session.
    assert_eq!(gateway.result(&tools_call()).await["session"], "s2");
    assert_eq!(gateway.result(&tools_call()).await["session"], "s2");
    forgotten.lock().unwrap().push("s2".to_owned());
    assert_eq!(gateway.result(&tools_call()).await["session"], "s3");
    assert_eq!(gateway.result(&tools_call()).await["session"], "s3");
    let upstream = gateway.send(&tools_call()).await.unwrap();
    assert_eq!(upstream.session, None);
}

#[tokio::test]
async fn a_backend_that_goes_away_keeps_its_catalogue() {
    let away = Arc::new(Mutex::new(false));
    let is_away = Arc::clone(&away);
    let double = Double::start(move |seen| {
        let is_away = *is_away.lock().unwrap();
        if is_away { respond(503, "text/plain", "back soon") } else { both_eras(seen) }
    })
    .await;
    let gateway = Gateway::start(&double, "").await;
    *away.lock().unwrap() = true;
    let backend = gateway.app.backends.find("crm").unwrap();
    let before = double.seen().len();
    backend.notice("notifications/tools/list_changed");
    let refreshed = async {
        while double.seen().len() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refreshed).await.unwrap();
    assert!(backend.catalogue().is_some());
    let error = gateway.send(&tools_call()).await.unwrap_err();
    assert_eq!(error.status(), http::StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_changed_list_is_read_again() {
    let tools = Arc::new(Mutex::new(vec!["a"]));
    let served = Arc::clone(&tools);
    let double = Double::start(move |seen| match seen.rpc_method() {
        "tools/list" => {
            let tools = served.lock().unwrap();
            let tools: Vec<Value> =
                tools.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect();
            result(seen, &json!({ "tools": tools }))
        }
        "tools/call" => {
            let note = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
            let done = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": {} });
            respond(200, "text/event-stream", format!("data: {note}\n\ndata: {done}\n\n"))
        }
        _ => both_eras(seen),
    })
    .await;
    let gateway = Gateway::start(&double, "").await;
    tools.lock().unwrap().push("b");
    gateway.result(&tools_call()).await;
    let backend = gateway.app.backends.find("crm").unwrap();
    let changed = async {
        while backend.catalogue().unwrap().tools.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), changed).await.unwrap();
}

#[tokio::test]
async fn only_a_question_that_was_asked_can_be_answered() {
    let double = Double::start(|seen| match seen.method {
        HttpMethod::GET => respond(
            200,
            "text/event-stream",
            "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n\n",
        ),
        _ => both_eras(seen),
    })
    .await;
    let gateway = Gateway::start(&double, "").await;
    let relayed = |method, body: &'static str, session: &str| Relayed {
        backend: "crm".into(),
        body: Bytes::from_static(body.as_bytes()),
        last_event_id: Some(HeaderValue::from_static("e1")),
        method,
        passed: HeaderMap::new(),
        session: Some(session.to_owned()),
        version: None,
    };
    let relay = |relayed| crate::backends::relay(&gateway.app, &gateway.caller, relayed);
    let answer = r#"{"jsonrpc":"2.0","id":"q","result":{}}"#;
    let unasked = relay(relayed(HttpMethod::POST, answer, "s1")).await.unwrap_err();
    assert!(matches!(unasked, BackendError::NotAsked));
    let stream = relay(relayed(HttpMethod::GET, "", "s1")).await.unwrap();
    let UpstreamBody::Stream(mut events) = stream.body else { panic!("no stream") };
    assert!(events.next().await.unwrap().is_ok());
    assert_eq!(double.seen().pop().unwrap().headers["last-event-id"], "e1");
    assert!(relay(relayed(HttpMethod::POST, answer, "s2")).await.is_err());
    let accepted = relay(relayed(HttpMethod::POST, answer, "s1")).await.unwrap();
    assert_eq!(accepted.status, http::StatusCode::ACCEPTED);
    assert!(relay(relayed(HttpMethod::POST, answer, "s1")).await.is_err());
}

#[tokio::test]
async fn a_pooled_session_learns_that_nobody_waits_and_that_nobody_can_be_asked() {
    let double = Double::start(|seen| match seen.rpc_method() {
        "initialize" => {
            let mut response = both_eras(seen);
            response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("s1"));
            response
        }
        "tools/call" => {
            let questions = concat!(
                "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n",
                "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"roots/list\"}\n\n",
                ": still at work\n\n",
            );
            let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(questions))]);
            respond(200, "text/event-stream", Body::from_stream(begun.chain(stream::pending())))
        }
        "server/discover" => respond(404, "text/plain", ""),
        _ => both_eras(seen),
    })
    .await;
    let gateway = Gateway::start(&double, "session = \"pooled\"").await;
    let upstream = gateway.send(&tools_call()).await.unwrap();
    let UpstreamBody::Stream(mut events) = upstream.body else { panic!("no stream") };
    assert_eq!(events.next().await.unwrap().unwrap().raw, ": still at work\n");
    drop(events);
    let wanted = async {
        loop {
            let seen: Vec<Value> = double
                .seen()
                .into_iter()
                .filter(|seen| seen.headers.get("mcp-session-id").is_some())
                .map(|seen| seen.body)
                .collect();
            let cancelled = seen.iter().any(|body| body["params"]["requestId"] == 7);
            let pong = seen.iter().any(|body| body["id"] == 1 && body["result"].is_object());
            let declined =
                seen.iter().any(|body| body["id"] == 2 && body["error"]["code"] == -32601);
            if cancelled && pong && declined {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wanted).await.unwrap();
}
