//! The deployment whose issuer is a path of the resource's own host (RFC 8414 section 3.1).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tests::{Backend, Mcp, Options, Speaks, World, headers};

use crate::{
    mcp_cases::{challenge, tool_error},
    profile_cases::{
        PATH_ISSUER, ada, client_for, connected, deployed, document, done, grace, names,
    },
};

const HOST: &str = "https://crm.example";
const ALL: &str = "organizations:read tasks:read tasks:write";

/// A part of a token, unverified.
fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn documents_stand_between_the_host_and_the_paths() {
    let world = deployed(PATH_ISSUER).await;
    let asked = Mcp::new(&world, None).legacy("initialize", json!({})).await;
    assert_eq!(asked.status, 401);
    let place = format!("{HOST}/.well-known/oauth-protected-resource/api/mcp");
    assert_eq!(challenge(&asked, "no token")["resource_metadata"], place);
    let resource = document(&world, &place).await;
    assert_eq!(resource["resource"], format!("{HOST}/api/mcp"));
    assert_eq!(resource["authorization_servers"], json!([format!("{HOST}/auth")]));
    assert_eq!(resource["bearer_methods_supported"], json!(["header"]));
    assert_eq!(resource["scopes_supported"].as_array().unwrap().len(), 3);
    let place = format!("{HOST}/.well-known/oauth-authorization-server/auth");
    let issuer = document(&world, &place).await;
    for (member, url) in [
        ("issuer", "/auth"),
        ("jwks_uri", "/auth/jwks"),
        ("authorization_endpoint", "/auth/oauth2/authorize"),
        ("token_endpoint", "/auth/oauth2/token"),
        ("registration_endpoint", "/auth/oauth2/register"),
        ("revocation_endpoint", "/auth/revoke"),
    ] {
        assert_eq!(issuer[member], format!("{HOST}{url}"), "{member}");
    }
    assert_eq!(issuer["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(issuer["authorization_response_iss_parameter_supported"], true);
    for path in ["/auth/authorize", "/auth/token", "/auth/login", "/oauth2/token", "/token"] {
        assert_eq!(world.http.get(&format!("{HOST}{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_a_signed_document_for_this_resource() {
    let world = deployed(PATH_ISSUER).await;
    let (client, tokens) = client_for(&world, ada(), ALL).await;
    assert_eq!((tokens.expires_in, tokens.scope.as_str()), (3600, ALL));
    let (header, claims) = (part(&tokens.access, 0), part(&tokens.access, 1));
    assert_eq!(header["typ"], "at+jwt");
    let keys = document(&world, client.endpoint("jwks_uri")).await;
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
    assert_eq!(claims["iss"], format!("{HOST}/auth"));
    assert_eq!(claims["aud"], format!("{HOST}/api/mcp"));
    assert_eq!(claims["workspaces"], json!(["1", "2"]));
}

#[tokio::test]
async fn the_endpoint_takes_posts_without_sessions_and_nothing_else() {
    let world = deployed(PATH_ISSUER).await;
    let mcp = connected(&world, ada(), ALL).await;
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let reply = mcp.ask(method.clone(), HeaderMap::new()).await;
        assert_eq!(reply.status(), 405, "{method}");
        assert_eq!(reply.headers()["allow"], "POST", "{method}");
    }
    let message = tests::request("tools/list", json!({}));
    let reply = mcp.send(&message, headers([("mcp-session-id", "x")])).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, ""));
    let expected = ["create_task", "get_task", "list_organizations", "list_tasks", "update_task"];
    assert_eq!(names(&mcp).await, expected);
}

#[tokio::test]
async fn a_workspace_may_be_left_out_where_there_is_only_one() {
    let world = deployed(PATH_ISSUER).await;
    let (several, one) =
        (connected(&world, ada(), ALL).await, connected(&world, grace(), ALL).await);
    let told = done(&several.call("list_organizations", json!({})).await);
    assert_eq!(told["workspaces"], json!(["1", "2"]));
    tool_error(&several.call("list_organizations", json!({ "x": 1 })).await, "no argument");
    let rows = done(&several.call("list_tasks", json!({ "limit": 100 })).await);
    let of = |id: &str| rows["items"].as_array().unwrap().iter().any(|r| r["workspace_id"] == id);
    assert!(of("1") && of("2"), "reads cover both: {rows}");
    let task = json!({ "title": "Call back" });
    let words = tool_error(&several.call("create_task", task.clone()).await, "which of the two");
    assert!(words.contains("list_organizations"), "{words}");
    let made = done(&one.call("create_task", task).await);
    assert_eq!((&made["status"], &made["workspace_id"]), (&json!("open"), &json!("1")));
    let foreign = json!({ "title": "Call back", "workspace_id": "2" });
    tool_error(&one.call("create_task", foreign).await, "somebody else's");
    let words = tool_error(&one.call("list_tasks", json!({ "status": "X" })).await, "no status");
    assert!(words.starts_with("Validation error:"), "{words}");
    for status in ["open", "in_progress", "done", "cancelled"] {
        assert!(words.contains(status), "{words}");
    }
    let change = json!({ "id": made["id"], "title": "Call back today" });
    let changed = done(&one.call("update_task", change).await);
    assert_eq!(
        (&changed["status"], &changed["title"]),
        (&json!("open"), &json!("Call back today"))
    );
}

#[tokio::test]
async fn each_tool_needs_its_scope() {
    let world = deployed(PATH_ISSUER).await;
    let mcp = connected(&world, grace(), "tasks:read").await;
    done(&mcp.call("list_tasks", json!({})).await);
    for (tool, arguments, needed) in [
        ("create_task", json!({ "title": "Call back" }), "tasks:read tasks:write"),
        ("list_organizations", json!({}), "organizations:read tasks:read"),
    ] {
        let refused = mcp.call(tool, arguments).await;
        assert_eq!(refused.status, 403, "{tool}: {}", refused.text);
        assert_eq!(challenge(&refused, tool)["scope"], needed);
    }
}

#[tokio::test]
async fn calls_go_on_without_the_authorization_server() {
    let world = deployed(PATH_ISSUER).await;
    let mcp = connected(&world, grace(), ALL).await;
    done(&mcp.call("list_tasks", json!({})).await);
    let asked = world.jwks_fetches();
    world.cut_authority(true);
    for _ in 0..20 {
        done(&mcp.call("list_tasks", json!({})).await);
    }
    assert_eq!(world.jwks_fetches(), asked);
}

#[tokio::test]
async fn the_argument_and_the_ids_may_be_the_backends_own() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["title"],
        "properties": {
            "title": { "type": "string" }, "description": {},
            "organizationId": { "type": "integer" },
        },
    });
    let tools = json!([{ "name": "create_task", "inputSchema": schema }]);
    let backend = Backend::offering(Speaks::Both, tools).await;
    let edit: fn(String) -> String = |text| {
        let mode = "workspace = \"optional_argument\"";
        text.replace(mode, &format!("{mode}\nworkspace_argument = \"organizationId\""))
    };
    let world = World::with(Options {
        backend: Some(backend.address),
        edit,
        gateway: true,
        profile: PATH_ISSUER,
        ..Options::default()
    })
    .await;
    let (several, one) =
        (connected(&world, ada(), ALL).await, connected(&world, grace(), ALL).await);
    let words = tool_error(&several.call("create_task", json!({ "title": "a" })).await, "which");
    assert!(words.contains("organizationId") && words.contains("list_organizations"), "{words}");
    assert!(backend.calls().is_empty());
    for (mcp, given, sent) in [
        (&several, json!({ "title": "a", "organizationId": 2 }), 2),
        (&one, json!({ "title": "a", "description": [1, { "b": null }] }), 1),
    ] {
        assert_eq!(mcp.call("create_task", given).await.status, 200);
        let arguments = backend.calls().pop().unwrap().message["params"]["arguments"].clone();
        assert_eq!(arguments["organizationId"], sent);
    }
}
