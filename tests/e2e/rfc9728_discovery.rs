//! How a resource is found (RFC 9728), and what stands at the gateway's other addresses.

use reqwest::{Method, header::HOST};
use serde_json::json;
use tests::{Client, Mcp, Options, Reply, World, headers};

const PATH: &str = "/.well-known/oauth-protected-resource";

async fn fetch(world: &World, path: &str) -> Reply {
    world.http.get(&world.gateway_url(path)).await
}

#[tokio::test]
async fn the_document_says_whose_tokens_open_the_resource() {
    let world = World::demo().await;
    let reply = fetch(&world, &format!("{PATH}/mcp")).await.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/json", "RFC 9728 section 3.2");
    let document = reply.json();
    assert_eq!(document["resource"], *world.resource, "RFC 9728 section 3.3");
    assert_eq!(document["authorization_servers"], json!([world.issuer]));
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    let scopes: Vec<&str> = document["scopes_supported"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|s| s.as_str())
        .collect();
    assert!(scopes.contains(&"contacts:read") && !scopes.contains(&"contacts:delete"));
    for private in ["offline_access", "openid", "*"] {
        assert!(!scopes.contains(&private), "{private}");
    }
}

#[tokio::test]
async fn the_root_and_the_path_have_the_same_bytes() {
    let world = World::demo().await;
    let inserted = fetch(&world, &format!("{PATH}/mcp")).await;
    let root = fetch(&world, PATH).await;
    assert_eq!((root.status, root.text), (200, inserted.text));
}

#[tokio::test]
async fn each_host_has_its_own_resource() {
    let world = World::demo().await;
    let numeric = world.gateway_url(&format!("{PATH}/mcp")).replace("localhost", "127.0.0.1");
    let document = world.http.get(&numeric).await.expect_status(200).json();
    assert_eq!(document["resource"], *world.resource.replace("localhost", "127.0.0.1"));
}

#[tokio::test]
async fn an_unknown_host_is_misdirected() {
    let world = World::demo().await;
    for path in ["/mcp", PATH, "/.well-known/oauth-protected-resource/mcp", "/nothing"] {
        for host in ["attacker.example", "localhost.attacker.example", "localhost"] {
            let sent = headers([(HOST.as_str(), host)].map(|(_, value)| ("host", value)));
            let url = world.gateway_url(path);
            let reply = world.http.send(Method::GET, &url, sent, String::new()).await;
            assert_eq!(reply.status, 421, "{host}{path}: {}", reply.text);
            let words = reply.json()["error_description"].as_str().unwrap().to_owned();
            assert!(words.contains("RFC 9110 section 15.5.20"), "{words}");
            assert!(!reply.text.contains("attacker"), "{}", reply.text);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_json_miss() {
    let world = World::demo().await;
    for path in [
        "/",
        "/mcp/",
        "/mcp/more",
        "/MCP",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resource/mcp/",
        "/mcp/.well-known/oauth-protected-resource",
        "/register",
        "/token",
    ] {
        let reply = fetch(&world, path).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
        assert_eq!(reply.error(), "not_found", "{path}");
    }
    let url = world.gateway_url(PATH);
    let posted = world.http.send(Method::POST, &url, headers([]), String::new()).await;
    assert_eq!(posted.status, 405, "RFC 9110 section 15.5.6: {}", posted.text);
}

#[tokio::test]
async fn odd_versions_do_not_matter_to_documents() {
    let world = World::demo().await;
    for version in ["2024-11-05", "2026-07-28", "1999-01-01", "nonsense"] {
        let sent = headers([("mcp-protocol-version", version)]);
        let url = world.gateway_url(&format!("{PATH}/mcp"));
        let reply = world.http.send(Method::GET, &url, sent, String::new()).await;
        assert_eq!(reply.status, 200, "{version}");
    }
}

#[tokio::test]
async fn scripts_of_any_origin_may_read_documents_and_never_with_cookies() {
    let world = World::demo().await;
    let url = world.gateway_url(&format!("{PATH}/mcp"));
    let sent = headers([("origin", "https://app.example")]);
    let reply = world.http.send(Method::GET, &url, sent, String::new()).await;
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    let preflight = headers([
        ("access-control-request-headers", "mcp-protocol-version"),
        ("access-control-request-method", "GET"),
        ("origin", "https://app.example"),
    ]);
    let reply = world.http.send(Method::OPTIONS, &url, preflight, String::new()).await;
    assert!(reply.status < 300, "{}", reply.status);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert!(reply.header("access-control-allow-headers").contains("MCP-Protocol-Version"));
}

#[tokio::test]
async fn scripts_of_this_machine_may_call_the_endpoint_and_read_the_challenge() {
    let world = World::demo().await;
    for origin in ["http://localhost:6274", "http://127.0.0.1:6274"] {
        let preflight = headers([
            ("access-control-request-headers", "authorization, content-type"),
            ("access-control-request-method", "POST"),
            ("origin", origin),
        ]);
        let reply =
            world.http.send(Method::OPTIONS, &world.resource, preflight, String::new()).await;
        assert!(reply.status < 300, "{origin}: {}", reply.status);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        let allowed = reply.header("access-control-allow-headers").to_ascii_lowercase();
        for name in [
            "authorization",
            "content-type",
            "accept",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-session-id",
            "last-event-id",
        ] {
            assert!(allowed.contains(name), "{name} in {allowed}");
        }
        let sent = headers([("origin", origin)]);
        let reply = Mcp::new(&world, None).send(&json!({}), sent).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        let exposed = reply.header("access-control-expose-headers").to_ascii_lowercase();
        for name in ["www-authenticate", "mcp-session-id", "retry-after"] {
            assert!(exposed.contains(name), "{name} in {exposed}");
        }
    }
}

#[tokio::test]
async fn the_issuer_is_found_at_the_resource_too_with_the_same_bytes() {
    let world = World::demo().await;
    let own = Client::discover(&world).await.metadata;
    for path in
        ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp"]
    {
        let reply = fetch(&world, path).await.expect_status(200);
        assert_eq!(reply.json(), own, "RFC 8414 section 3: {path}");
    }
    let reply = fetch(&world, "/authorize?client_id=a%26b&state=x").await;
    assert_eq!(reply.status, 302);
    let expected = format!("{}/authorize?client_id=a%26b&state=x", world.issuer);
    assert_eq!(reply.header("location"), expected);
}

#[tokio::test]
async fn mirrors_can_be_turned_off() {
    let edit: fn(String) -> String =
        |text| text.replace("backends = [\"crm\"]", "backends = [\"crm\"]\naliases = false");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    for path in ["/.well-known/oauth-authorization-server", "/authorize?client_id=x"] {
        assert_eq!(fetch(&world, path).await.status, 404, "{path}");
    }
    assert_eq!(fetch(&world, PATH).await.status, 200);
}

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let edit: fn(String) -> String =
        |text| text.replace("[gateway]\n", "[gateway]\nfeed_silence_seconds = 1\n");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    assert_eq!(fetch(&world, "/healthz").await.status, 200);
    assert_eq!(fetch(&world, "/readyz").await.json()["status"], "ready");
    world.cut_authority(true);
    let is_waiting = async || fetch(&world, "/readyz").await.status == 503;
    world.until("the loss", is_waiting).await;
    let missing = fetch(&world, "/readyz").await.json()["dependencies"].to_string();
    assert!(missing.contains("revocations"), "{missing}");
    assert_eq!(fetch(&world, "/healthz").await.status, 200);
}
