//! Cases of the table of attacks (docs/attacks.md) that stand in no other test.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, ClientKey, Credential, Judge, Options, RESOURCE, Tokens, World, present};

use crate::cases::is_problem;

async fn operator(world: &World, method: Method, path: &str, body: Value) -> Value {
    let reply = world.admin(method, &format!("/admin/v1{path}"), body).await;
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.text);
    if reply.text.is_empty() { Value::Null } else { reply.json() }
}

#[tokio::test]
async fn a_wildcard_is_no_redirect_uri() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    for uri in ["https://*.example/callback", "https://app.example/*", "*", "https://*/callback"] {
        let mut metadata = Client::public_metadata();
        metadata["redirect_uris"] = json!([uri]);
        let reply = client.register(&metadata).await;
        let Ok(registered) = serde_json::from_str::<Value>(&reply.text) else { panic!("{uri}") };
        if reply.status == 400 {
            is_problem(&reply, 400, "invalid_redirect_uri", uri);
            continue;
        }
        // A star in a path is a letter like any other, and matches itself alone.
        let id = registered["client_id"].as_str().unwrap().to_owned();
        let mut other = client.returning_to("https://app.example/callback");
        other.id = id;
        let page = world.http.get(&other.authorization().url()).await;
        assert_eq!((page.status, page.location()), (400, None), "{uri}");
        assert_eq!(uri, "https://app.example/*");
    }
}

#[tokio::test]
async fn an_answer_comes_in_no_mode_that_is_not_offered() {
    let world = World::start().await;
    let client = Client::kiosk(&world).await;
    for mode in ["web_message", "fragment", "jwt", "form_post.jwt"] {
        let request = client.authorization().with("response_mode", mode);
        let request = request.with("state", "<script>alert(1)</script>");
        let reply = world.http.get(&request.url()).await;
        assert!(!reply.text.contains("<script>alert"), "{mode}");
        let back = reply.location().unwrap_or_else(|| panic!("{mode}: {}", reply.text));
        let told = |name: &str| {
            back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        assert_eq!(told("error").as_deref(), Some("invalid_request"), "{mode}");
        assert_eq!(back.fragment(), None, "{mode}");
    }
    let modes = &client.metadata["response_modes_supported"];
    assert_eq!(*modes, json!(["query", "form_post"]));
}

#[tokio::test]
async fn grants_that_are_not_offered_are_refused_by_name() {
    let world = World::start().await;
    let client = Client::partner(&world).await;
    for grant in [
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "password",
    ] {
        let mut post = client.credentials();
        post.set("grant_type", grant);
        is_problem(&post.send().await, 400, "unsupported_grant_type", "RFC 6749 section 5.2");
        let offered = client.metadata["grant_types_supported"].as_array().unwrap();
        assert!(!offered.iter().any(|one| one == grant), "{grant}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_prove_itself_is_answered_401_in_every_form() {
    let world = World::start().await;
    let partner = Client::partner(&world).await;
    let basic = |secret: &str| Credential::Basic(secret.to_owned());
    let post = |secret: &str| Credential::Post(secret.to_owned());
    for (credential, challenged) in [
        (basic("wrong"), true),
        (basic(""), true),
        (post("wrong"), false),
        (post(""), false),
        (Credential::None, false),
    ] {
        let client = partner.proving(credential.clone());
        let refresh = client.refresh("a token").send().await;
        for reply in [client.credentials().send().await, refresh] {
            is_problem(&reply, 401, "invalid_client", "RFC 6749 section 5.2");
            let challenge = reply.header("www-authenticate");
            assert_eq!(challenge.starts_with("Basic"), challenged, "{credential:?}: {challenge}");
        }
    }
    let mut unknown = partner;
    unknown.id = "nobody".to_owned();
    is_problem(&unknown.credentials().send().await, 401, "invalid_client", "RFC 6749 section 5.2");
}

/// A client with a key of its own.
async fn signer(world: &World) -> (Client, ClientKey) {
    let key = ClientKey::new("own");
    let mut metadata = Client::public_metadata();
    metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
    metadata["jwks"] = key.jwks();
    let mut client = Client::discover(world).await;
    let answer = client.register(&metadata).await.expect_status(201).json();
    client.id = answer["client_id"].as_str().unwrap().to_owned();
    (client, key)
}

#[tokio::test]
async fn a_key_id_is_compared_and_never_followed() {
    let world = World::start().await;
    let (client, key) = signer(&world).await;
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "http://169.254.169.254/key",
        "own\u{0}",
        "",
        "\u{202e}",
    ] {
        let foreign = ClientKey::new(kid);
        let mut post = client.refresh("a token");
        present(&mut post, &foreign.sign(&foreign.claims(&world, &client.id)));
        is_problem(&post.send().await, 401, "invalid_client", "RFC 7523 section 3");
    }
    let mut post = client.refresh("a token");
    key.prove(&world, &client.id, &mut post);
    is_problem(&post.send().await, 400, "invalid_grant", "RFC 6749 section 6");
}

#[tokio::test]
async fn no_client_is_called_like_a_person() {
    let world = World::start().await;
    let asked = json!({ "id": "usr_demo", "name": "X", "redirect_uris": ["https://a.example/cb"] });
    let reply = world.admin(Method::POST, "/admin/v1/clients", asked).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert!(reply.text.contains("usr_"), "{}", reply.text);
}

#[tokio::test]
async fn a_service_works_where_the_plan_allows_it() {
    let world = World::with(Options::default()).await;
    let workspace = json!({ "id": "ws_red", "name": "Red" });
    operator(&world, Method::POST, "/workspaces", workspace).await;
    let service = json!({ "scopes": ["contacts:read"], "workspaces": ["ws_red", "ws_gone"] });
    let asked = json!({ "id": "export", "name": "Export", "service": service });
    let made = operator(&world, Method::POST, "/clients", asked).await;
    let secret = made["client_secret"].as_str().unwrap();
    let client = Client::with_secret(&world, "export", secret).await;
    let workspaces = async || {
        let tokens = Tokens::of(&client.credentials().send().await);
        let judge = Judge::of(&world).await;
        judge.access_token(&world, &tokens.access, RESOURCE)["workspaces"].clone()
    };
    assert_eq!(workspaces().await, json!(["ws_red"]));
    let none = json!({ "resources": [] });
    operator(&world, Method::PUT, "/workspaces/ws_red/plan", none).await;
    assert_eq!(workspaces().await, json!([]));
    // A new secret beside the old one, and then instead of it.
    let rotate = async |seconds: u64| {
        let body = json!({ "overlap_seconds": seconds });
        let rotated = operator(&world, Method::POST, "/clients/export/secret", body).await;
        rotated["client_secret"].as_str().unwrap().to_owned()
    };
    let second = rotate(60).await;
    for secret in [secret, &second] {
        let client = Client::with_secret(&world, "export", secret).await;
        assert_eq!(client.credentials().send().await.status, 200);
    }
    let third = rotate(0).await;
    for (secret, status) in [(secret, 401), (&*second, 401), (&*third, 200)] {
        let client = Client::with_secret(&world, "export", secret).await;
        assert_eq!(client.credentials().send().await.status, status);
    }
    operator(&world, Method::DELETE, "/clients/export", Value::Null).await;
    let client = Client::with_secret(&world, "export", &third).await;
    is_problem(&client.credentials().send().await, 401, "invalid_client", "RFC 6749 section 5.2");
}
