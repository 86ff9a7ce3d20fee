//! What a backend is shown of its callers: proofs of single calls, a token of its own, a credential
//! of the gateway's, and the headers of clients that it asked for.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, response::IntoResponse, routing::post};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};
use tests::{
    Backend, CRM_AUDIENCE, Judge, LEGACY, Mcp, Options, Received, World, headers, request,
};
use tokio_util::task::TaskTracker;

use crate::mcp_cases::{signed_in, tool_error};

async fn before(backend: &Backend, more: String) -> World {
    let more: &'static str = Box::leak(more.into_boxed_str());
    let options =
        Options { backend: Some(backend.address), gateway: true, more, ..Options::default() };
    World::with(options).await
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap_or_else(|| panic!("no JWS: {token}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims, as a server judges them that reads the gateway's keys.
async fn verified(world: &World, token: &str, audience: &str) -> Value {
    let origin = world.gateway_url("").replace("localhost", "127.0.0.1");
    let jwks = format!("{origin}/.well-known/jwks.json");
    let published = json!({ "issuer": origin, "jwks_uri": jwks });
    let judge = Judge::with_metadata(&world.http, &published).await;
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("vestibule-identity+jwt"));
    judge.claims(token, audience).unwrap()
}

fn bearer(received: &Received) -> &str {
    received.header("authorization").strip_prefix("Bearer ").unwrap_or_default()
}

async fn list(mcp: &Mcp, workspace: &str) -> u16 {
    mcp.call("list_contacts", json!({ "workspace_id": workspace })).await.status
}

#[tokio::test]
async fn a_proof_of_a_call_names_tool_workspace_arguments_and_an_id_and_is_never_used_again() {
    let backend = Backend::start().await;
    let world = before(&backend, "\n[backend.identity]\nmode = \"per_call\"\n".to_owned()).await;
    let mcp = signed_in(&world).await;
    for _ in 0..2 {
        assert_eq!(list(&mcp, "ws_acme").await, 200);
    }
    let calls = backend.calls();
    let said: Vec<Value> = calls.iter().map(|call| claims(bearer(call))).collect();
    for (call, said) in calls.iter().zip(&said) {
        #[derive(serde::Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            params: Params<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            arguments: &'a RawValue,
        }
        let message: Message<'_> = serde_json::from_str(&call.body).unwrap();
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(message.params.arguments.get()));
        assert_eq!(said["args_sha256"], digest);
        assert_eq!(verified(&world, bearer(call), CRM_AUDIENCE).await, *said);
        assert_eq!(
            (&said["tool"], &said["workspace"]),
            (&"list_contacts".into(), &"ws_acme".into())
        );
        assert_eq!(said["workspaces"], json!(["ws_acme"]));
    }
    assert_ne!(said[0]["request_id"], said[1]["request_id"]);
    assert!(said[0]["request_id"].as_str().unwrap().len() >= 20);
    // Without arguments it is of nothing, so that nobody can add any.
    assert_eq!(mcp.legacy("tools/call", json!({ "name": "list_contacts" })).await.status, 200);
    let bare = claims(bearer(backend.calls().last().unwrap()));
    assert_eq!(bare["args_sha256"], URL_SAFE_NO_PAD.encode(Sha256::digest("")));
    assert_eq!(bare.get("workspace"), None);
    let lists: Vec<Received> = backend
        .received()
        .into_iter()
        .filter(|one| one.message["method"] == "tools/list")
        .collect();
    assert_eq!(claims(bearer(&lists[0]))["request_id"], Value::Null, "the catalogue is no call");
}

#[tokio::test]
async fn a_credential_of_the_gateways_goes_along_and_follows_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let write = |value: &str| {
        let part = folder.path().join("part");
        fs::write(&part, value).unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&part, &path).unwrap();
    };
    write("first\n");
    let backend = Backend::start().await;
    let more = format!(
        "\n[backend.identity]\nheader = \"X-Caller\"\n[backend.credential]\n\
         header = \"Authorization\"\nprefix = \"Bearer \"\nfile = {path:?}\n"
    );
    let world = before(&backend, more).await;
    let mcp = signed_in(&world).await;
    assert_eq!(list(&mcp, "ws_acme").await, 200);
    let [call]: [Received; 1] = backend.calls().try_into().unwrap();
    assert_eq!(bearer(&call), "first");
    assert_eq!(claims(call.header("x-caller"))["sub"], "usr_demo");
    write("second\n");
    let changed = async || {
        list(&mcp, "ws_acme").await;
        bearer(backend.calls().last().unwrap()) == "second"
    };
    world.until("the new credential", changed).await;
}

#[tokio::test]
async fn headers_of_clients_pass_if_the_backend_asked_for_them_and_no_others() {
    let backend = Backend::start().await;
    let edit = |text: String| {
        text.replace("[[backend]]", "[[backend]]\nforward_headers = [\"X-Request-Id\"]")
    };
    let world = crate::mcp_cases::before(&backend, edit).await;
    let mcp = signed_in(&world).await;
    let call = request("tools/call", json!({ "name": "list_contacts", "arguments": {} }));
    let sent = headers([
        ("connection", "x-request-id"),
        ("cookie", "session=secret"),
        ("mcp-protocol-version", LEGACY),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-other", "o"),
        ("x-request-id", "r-1"),
    ]);
    assert_eq!(mcp.send(&call, sent).await.status, 200);
    let [received]: [Received; 1] = backend.calls().try_into().unwrap();
    assert_eq!(received.header("x-request-id"), "r-1");
    for name in ["cookie", "proxy-authorization", "x-forwarded-for", "x-other"] {
        assert!(!received.headers.contains_key(name), "{name}");
    }
    assert_ne!(bearer(&received), mcp.token.clone().unwrap(), "an identity, never the token");
}

#[tokio::test]
async fn a_backend_that_needs_no_identity_gets_none() {
    let backend = Backend::start().await;
    let world = before(&backend, "\n[backend.identity]\nmode = \"none\"\n".to_owned()).await;
    let mcp = signed_in(&world).await;
    assert_eq!(list(&mcp, "ws_acme").await, 200);
    let [call]: [Received; 1] = backend.calls().try_into().unwrap();
    assert!(!call.headers.contains_key("authorization"), "{:?}", call.headers);
}

/// A credential, and the parameters that came with it.
type Asked = (String, Vec<(String, String)>);

/// How long the endpoint's tokens last.
const LIFE: Duration = Duration::from_mins(2);
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// A token endpoint that keeps what it was asked and answers as a test says.
struct TokenEndpoint {
    answer: Arc<Mutex<(u16, Value)>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    url: String,
}

impl TokenEndpoint {
    async fn start() -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let answer = Arc::new(Mutex::new((200, json!({}))));
        let (log, answers) = (Arc::clone(&asked), Arc::clone(&answer));
        let handler = move |request: Request| {
            let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let form = url::form_urlencoded::parse(&body).into_owned().collect();
                let credential = head.headers["authorization"].to_str().unwrap().to_owned();
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push((credential, form));
                    log.len()
                };
                let (status, change) = answers.lock().unwrap().clone();
                let mut body = json!({ "access_token": format!("theirs-{number}"),
                    "expires_in": LIFE.as_secs(), "token_type": "Bearer",
                    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token" });
                for (name, value) in change.as_object().unwrap() {
                    body[name] = value.clone();
                }
                let status = axum::http::StatusCode::from_u16(status).unwrap();
                (status, [("location", "/token")], axum::Json(body)).into_response()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let router = Router::new().route("/token", post(handler));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { answer, asked, url }
    }

    /// Answers with this status and these members from now on.
    fn answer(&self, status: u16, change: Value) {
        *self.answer.lock().unwrap() = (status, change);
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// How often it was asked for identities that are bound to this workspace.
    fn asked_for(&self, workspace: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        let is_bound = |(_, form): &&Asked| {
            let subject = form.iter().find(|(name, _)| name == "subject_token");
            subject.is_some_and(|(_, token)| claims(token)["workspaces"] == json!([workspace]))
        };
        asked.iter().filter(is_bound).count()
    }
}

/// A world whose backend's identities are exchanged at the endpoint.
async fn exchanging(backend: &Backend, endpoint: &TokenEndpoint, folder: &Path) -> World {
    let path = folder.join("secret");
    fs::write(&path, "s3:cret\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let more = format!(
        "\n[backend.identity.exchange]\ntoken_endpoint = \"{}\"\nclient_id = \"gateway\"\n\
         client_secret_file = {path:?}\naudience = \"api://crm\"\nscope = \"crm\"\n",
        endpoint.url
    );
    before(backend, more).await
}

/// RFC 8693 section 2.1.
#[tokio::test]
async fn a_backend_gets_a_token_of_its_own_that_is_exchanged_once_while_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, endpoint) = (Backend::start().await, TokenEndpoint::start().await);
    let world = exchanging(&backend, &endpoint, folder.path()).await;
    assert_eq!(bearer(&backend.received()[0]), "theirs-1", "for the catalogue");
    let before = endpoint.count();
    let mcp = signed_in(&world).await;
    let together = (0..5).map(|_| list(&mcp, "ws_acme"));
    for status in futures_util::future::join_all(together).await {
        assert_eq!(status, 200);
    }
    assert_eq!(endpoint.count(), before + 1, "five calls, one exchange");
    assert_eq!(list(&mcp, "ws_globex").await, 200);
    assert_eq!(endpoint.count(), before + 2, "another workspace");
    assert_ne!(bearer(&backend.calls()[0]), bearer(&backend.calls()[5]));
    let own = mcp.token.clone().unwrap();
    assert!(backend.received().iter().all(|one| bearer(one).starts_with("theirs-")));
    let (credential, form) = endpoint.asked.lock().unwrap()[before].clone();
    assert_eq!(credential, format!("Basic {}", STANDARD.encode("gateway:s3%3Acret")));
    let value = |name: &str| {
        form.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!(value("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(value("subject_token_type"), "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!((value("audience"), value("scope")), ("api://crm", "crm"));
    let subject = verified(&world, value("subject_token"), &endpoint.url).await;
    assert_eq!(subject["sub"], "usr_demo");
    assert_eq!(subject["workspaces"], json!(["ws_acme"]));
    assert!(form.iter().all(|(_, value)| *value != own), "never the client's token");

    // Its life is what the endpoint says, and no longer.
    world.pass(LIFE.saturating_sub(Duration::from_secs(11)));
    assert_eq!(list(&mcp, "ws_acme").await, 200);
    let asked = endpoint.asked_for("ws_acme");
    world.pass(Duration::from_secs(2));
    assert_eq!(list(&mcp, "ws_acme").await, 200);
    assert_eq!(endpoint.asked_for("ws_acme"), asked + 1);
    // Another credential of the same person has nothing of it.
    let other = signed_in(&world).await;
    assert_eq!(list(&other, "ws_acme").await, 200);
    assert_eq!(endpoint.asked_for("ws_acme"), asked + 2);
}

/// RFC 8693 section 2.2.
#[tokio::test]
async fn without_a_token_of_the_backends_nothing_is_sent_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, endpoint) = (Backend::start().await, TokenEndpoint::start().await);
    let world = exchanging(&backend, &endpoint, folder.path()).await;
    let (refused, away) = ("gives no token for this caller", "is not available now");
    for (status, change, said) in [
        (400, json!({ "error": "invalid_target" }), refused),
        (401, json!({ "error": "invalid_client" }), refused),
        (302, json!({}), refused),
        (200, json!({ "access_token": "two words" }), refused),
        (200, json!({ "access_token": null }), refused),
        (200, json!({ "token_type": "N_A" }), refused),
        (200, json!({ "token_type": "DPoP" }), refused),
        (200, json!({ "issued_token_type": ID_TOKEN }), refused),
        (429, json!({}), away),
        (500, json!({}), away),
    ] {
        endpoint.answer(status, change.clone());
        let mcp = signed_in(&world).await;
        let calls = backend.calls().len();
        for _ in 0..2 {
            let reply = mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
            let message = tool_error(&reply, &change.to_string());
            assert!(message.contains(said), "{message}");
            assert_eq!(reply.headers.contains_key("retry-after"), said == away);
        }
        assert_eq!(backend.calls().len(), calls, "nothing is sent");
    }
}
