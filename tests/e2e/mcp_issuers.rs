//! A further issuer of a resource: another auth-server, which may assert what the operator says
//! and nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keys::{KeySet, Purpose, SigningKey};
use serde_json::{Value, json};
use shared::time::Clock;
use tempfile::TempDir;
use tests::{Backend, Browser, Client, Mcp, Options, RESOURCE, Reply, World};

use crate::mcp_cases::{challenge, signed_in, tool_error};

struct Two {
    backend: Backend,
    other: World,
    world: World,
}

/// A gateway whose second resource also trusts another auth-server, for reading in one workspace.
async fn two() -> Two {
    let (other, backend) = (World::start().await, Backend::start().await);
    let more = format!(
        "\n[[gateway.route.issuer]]\nissuer = \"{}\"\naudience = \"{RESOURCE}\"\n\
         advertise = true\nscopes = [\"contacts:read\"]\nworkspaces = [\"ws_acme\"]\n\
         workspaces_claim = \"workspaces\"\n",
        other.issuer
    );
    let options = Options {
        backend: Some(backend.address),
        gateway: true,
        more: Box::leak(more.into_boxed_str()),
        ..Options::default()
    };
    Two { backend, other, world: World::with(options).await }
}

impl Two {
    fn second_resource(&self) -> String {
        self.world.resource.replace("localhost", "127.0.0.1")
    }

    /// The person of the other auth-server, at the resource that trusts it.
    async fn guest(&self) -> Mcp {
        let client = Client::public(&self.other).await;
        let tokens = client.tokens(&mut Browser::new(&self.other)).await;
        Mcp { url: self.second_resource(), ..Mcp::new(&self.world, Some(&tokens)) }
    }
}

fn identity(backend: &Backend) -> Value {
    let calls = backend.calls();
    let token = calls.last().unwrap().header("authorization").to_owned();
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn another_issuers_token_opens_what_that_issuer_may_give() {
    let two = two().await;
    let guest = two.guest().await;
    let list = async |workspace: &str| {
        guest.call("list_contacts", json!({ "workspace_id": workspace })).await
    };
    assert_eq!(list("ws_acme").await.status, 200);
    let identity = identity(&two.backend);
    assert_eq!(
        (&identity["sub"], &identity["sub_iss"]),
        (&"usr_demo".into(), &two.other.issuer.as_str().into())
    );
    assert_eq!(identity["scope"], "contacts:read", "it also asserts what it may not");
    tool_error(&list("ws_globex").await, "a workspace that it may not give");
    let write = guest.call("create_contact", json!({ "workspace_id": "ws_acme" })).await;
    assert_eq!(write.status, 403, "{}", write.text);
    assert_eq!(two.backend.calls().len(), 1);
}

#[tokio::test]
async fn a_person_of_one_issuer_is_not_the_person_of_the_same_name_of_another() {
    let two = two().await;
    let guest = two.guest().await;
    let arguments = json!({ "workspace_id": "ws_acme" });
    assert_eq!(guest.call("list_contacts", arguments.clone()).await.status, 200);
    // Our own person of that name is signed out everywhere, and nobody else.
    let own = Client::public(&two.world).await;
    let tokens = own.tokens(&mut Browser::new(&two.world)).await;
    let person = Mcp::new(&two.world, Some(&tokens));
    assert_eq!(person.call("list_contacts", arguments.clone()).await.status, 200);
    let path = "/admin/v1/users/usr_demo/sign-out";
    let out = two.world.admin(reqwest::Method::POST, path, Value::Null).await;
    assert!(out.status < 300, "{}", out.text);
    let gone = async || person.call("list_contacts", arguments.clone()).await.status == 401;
    two.world.until("the end of our own person's grants", gone).await;
    assert_eq!(guest.call("list_contacts", arguments.clone()).await.status, 200);
    // What the other one's keys sign is not our issuer's word, and the other way round.
    let elsewhere = Mcp { url: two.world.resource.clone(), ..guest.clone() };
    let refused = elsewhere.call("list_contacts", arguments).await;
    assert_eq!(refused.status, 401, "only the route that names it trusts it");
}

#[tokio::test]
async fn the_metadata_of_the_resource_names_the_issuers_that_are_to_be_known() {
    let two = two().await;
    let metadata =
        |resource: &str| resource.replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    let own = two.world.http.get(&metadata(&two.world.resource)).await.expect_status(200).json();
    assert_eq!(own["authorization_servers"], json!([two.world.issuer]));
    let both = two.world.http.get(&metadata(&two.second_resource())).await.expect_status(200);
    assert_eq!(both.json()["authorization_servers"], json!([two.world.issuer, two.other.issuer]));
}

/// An issuer of which there is nothing but a key, in a file, and tokens that say what a test likes.
struct Stranger {
    backend: Backend,
    folder: TempDir,
    key: SigningKey,
    world: World,
}

const STRANGER: &str = "https://stranger.example";

impl Stranger {
    async fn start() -> Self {
        let set = KeySet::first(Purpose::Issuer, Clock::System.now()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, set.jwks()).unwrap();
        let more = format!(
            "\n[[gateway.route.issuer]]\nissuer = \"{STRANGER}\"\naudience = \"api://crm\"\n\
             jwks_file = {path:?}\nscopes = [\"contacts:read\"]\nworkspaces = [\"ws_acme\"]\n\
             workspaces_claim = \"workspaces\"\n"
        );
        let backend = Backend::start().await;
        let options = Options {
            backend: Some(backend.address),
            edit: |text| text.replace("[gateway]", "[gateway]\njwks_refetch_seconds = 1"),
            gateway: true,
            more: Box::leak(more.into_boxed_str()),
            ..Options::default()
        };
        let world = World::with(options).await;
        Self { backend, folder, key: set.signing().unwrap(), world }
    }

    fn token(&self, typ: &str, change: &Value) -> String {
        let now = self.world.clock.now().secs();
        let mut claims = json!({
            "iss": STRANGER, "aud": ["api://crm"], "sub": "usr_demo", "client_id": "app",
            "scope": "contacts:read contacts:write *", "exp": now + 300, "iat": now,
            "workspaces": ["ws_acme", "ws_globex"], "fam": "f", "gen": 1, "kind": "gateway",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        keys::sign(&self.key, typ, &claims).unwrap()
    }

    async fn list(&self, token: String, workspace: &str) -> Reply {
        let url = self.world.resource.replace("localhost", "127.0.0.1");
        let mcp = Mcp { token: Some(token), url, http: self.world.http.clone() };
        mcp.call("list_contacts", json!({ "workspace_id": workspace })).await
    }
}

#[tokio::test]
async fn what_a_further_issuer_may_not_say_is_refused_or_left_out() {
    let stranger = Stranger::start().await;
    let now = stranger.world.clock.now().secs();
    let good = stranger.token("at+jwt", &json!({}));
    assert_eq!(stranger.list(good.clone(), "ws_acme").await.status, 200);
    tool_error(&stranger.list(good, "ws_globex").await, "a workspace that it may not give");
    let said = identity(&stranger.backend);
    for (claim, value) in [
        ("sub", json!("usr_demo")),
        ("sub_iss", json!(STRANGER)),
        ("scope", json!("contacts:read")),
        ("workspaces", json!(["ws_acme"])),
        ("kind", json!("person")),
    ] {
        assert_eq!(said[claim], value, "{claim}");
    }
    for (typ, change, about) in [
        ("at+jwt", json!({ "iss": stranger.world.issuer }), "our own issuer under another's key"),
        ("at+jwt", json!({ "iss": format!("{STRANGER}/") }), "an issuer that nobody named"),
        ("at+jwt", json!({ "aud": RESOURCE }), "another audience"),
        ("at+jwt", json!({ "exp": now }), "the past"),
        ("at+jwt", json!({ "iat": now + 600 }), "the future"),
        ("at+jwt", json!({ "sub": "https://other.example usr_demo" }), "a name of two words"),
        ("at+jwt", json!({ "sub": null }), "nobody"),
        ("at+jwt", json!({ "cnf": { "jkt": "x" } }), "a bound token, RFC 7800 section 3"),
        ("JWT", json!({}), "an ID token"),
        ("vestibule-identity+jwt", json!({}), "an identity"),
    ] {
        let reply = stranger.list(stranger.token(typ, &change), "ws_acme").await;
        assert_eq!(reply.status, 401, "{about}: {}", reply.text);
        assert_eq!(challenge(&reply, about)["error"], "invalid_token", "{about}");
    }
    let no_scope = stranger.token("at+jwt", &json!({ "scope": "contacts:delete" }));
    assert_eq!(stranger.list(no_scope, "ws_acme").await.status, 403);
    assert_eq!(stranger.backend.calls().len(), 1);
}

#[tokio::test]
async fn an_issuer_whose_keys_are_away_harms_its_own_callers_alone() {
    let stranger = Stranger::start().await;
    let seen = stranger.token("at+jwt", &json!({}));
    assert_eq!(stranger.list(seen.clone(), "ws_acme").await.status, 200);
    std::fs::remove_file(stranger.folder.path().join("jwks.json")).unwrap();
    // Under a key that is known already nothing changes; what another one signed cannot be known.
    assert_eq!(stranger.list(seen, "ws_acme").await.status, 200);
    let other = KeySet::first(Purpose::Issuer, Clock::System.now()).unwrap().signing().unwrap();
    let claims = json!({ "iss": STRANGER, "aud": "api://crm", "sub": "u", "client_id": "a",
        "exp": stranger.world.clock.now().secs() + 60 });
    let unknown = keys::sign(&other, "at+jwt", &claims).unwrap();
    let is_away = async || {
        let reply = stranger.list(unknown.clone(), "ws_acme").await;
        reply.status == 503 && reply.headers.contains_key("retry-after")
    };
    stranger.world.until("that nothing is known of the key", is_away).await;
    let own = signed_in(&stranger.world).await;
    let reply = own.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
    assert_eq!(reply.status, 200, "our own people do not notice");
    let ready = stranger.world.http.get(&stranger.world.gateway_url("/readyz")).await;
    let ready = ready.expect_status(200).json();
    let mut dependencies = ready["dependencies"].as_array().unwrap().iter();
    assert!(dependencies.any(|one| one["name"] == format!("issuer {STRANGER}")), "{ready}");
}
