//! The deployment whose resource takes API keys and no tokens.

use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::json;
use tests::{Account, Browser, Mcp, NewKey, World, headers, request};

use crate::{
    mcp_cases::tool_error,
    profile_cases::{KEYS_ONLY, ada, deployed, document, done, names},
};

const HOST: &str = "https://crm.example";
const WORKSPACE: &str = "5f0c2f3e-8a54-4a1c-9d2b-6c1b2f6a7d10";

async fn key(world: &World, access: &str) -> String {
    let mut account = Account::of(world, Browser::of(world, ada())).await;
    account.make_key(NewKey { access, workspaces: &[WORKSPACE], ..NewKey::default() }).await
}

#[tokio::test]
async fn there_is_nothing_to_discover_and_nobody_to_ask_for_tokens() {
    let world = deployed(KEYS_ONLY).await;
    let reply = Mcp::new(&world, None).legacy("tools/list", json!({})).await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer"));
    for (method, path) in [
        (Method::GET, "/.well-known/oauth-protected-resource"),
        (Method::GET, "/.well-known/oauth-protected-resource/api/v1/mcp"),
        (Method::GET, "/.well-known/oauth-authorization-server"),
        (Method::GET, "/.well-known/openid-configuration"),
        (Method::GET, "/authorize"),
        (Method::POST, "/register"),
        (Method::POST, "/token"),
    ] {
        let url = format!("{HOST}{path}");
        let reply = world.http.send(method, &url, HeaderMap::new(), String::new()).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
    }
}

#[tokio::test]
async fn a_key_travels_in_its_own_header_or_as_a_bearer() {
    let world = deployed(KEYS_ONLY).await;
    let key = key(&world, "read").await;
    let none = Mcp::new(&world, None);
    let list = || request("tools/list", json!({}));
    let own = headers([("x-api-key", &key)]);
    let bearer = headers([("authorization", &format!("Bearer {key}"))]);
    for sent in [own.clone(), bearer.clone()] {
        assert_eq!(none.send(&list(), sent).await.status, 200);
    }
    let mut both = own;
    both.insert(AUTHORIZATION, bearer[AUTHORIZATION].clone());
    assert_eq!(none.send(&list(), both).await.status, 400, "one credential, once");
}

#[tokio::test]
async fn records_are_found_read_and_changed_and_mistakes_are_told() {
    let world = deployed(KEYS_ONLY).await;
    let mcp = Mcp::with_key(&world, &key(&world, "read_write").await);
    let found = done(&mcp.call("list_deals", json!({ "stage": "won" })).await);
    let count = found["total"].as_u64().unwrap();
    assert_eq!(found["items"].as_array().unwrap().len() as u64, count.min(25), "{found}");
    let words = tool_error(&mcp.call("list_deals", json!({ "stage": "wonn" })).await, "a typo");
    assert!(words.starts_with("Validation error:") && words.contains("won"), "{words}");
    let made = done(&mcp.call("create_note", json!({ "title": "Called" })).await);
    let change = json!({ "id": made["id"], "body": "They will call back." });
    assert_eq!(done(&mcp.call("update_note", change).await)["workspace_id"], WORKSPACE);
    // Deleting is for keys that were made for it, and for others there is no such tool.
    let gone = mcp.call("delete_note", json!({ "id": made["id"] })).await;
    assert_eq!(gone.message()["error"]["code"], -32602, "{}", gone.text);
    let reader = Mcp::with_key(&world, &key(&world, "read").await);
    let hidden = reader.call("create_note", json!({ "title": "Called" })).await;
    assert_eq!(hidden.message()["error"], gone.message()["error"].clone());
}

#[tokio::test]
async fn an_address_can_name_fewer_tools() {
    let world = deployed(KEYS_ONLY).await;
    let mcp = Mcp::with_key(&world, &key(&world, "read_write").await);
    let narrow = Mcp { url: format!("{}?toolset=notes", mcp.url), ..mcp.clone() };
    assert_eq!(names(&narrow).await, ["create_note", "get_note", "update_note"]);
    let outside = narrow.call("list_deals", json!({})).await;
    assert_eq!(outside.message()["error"]["code"], -32602, "{}", outside.text);
    done(&mcp.call("list_deals", json!({})).await);
}

#[tokio::test]
async fn the_description_is_where_the_deployment_has_it() {
    let world = deployed(KEYS_ONLY).await;
    let described = document(&world, &format!("{HOST}/api/v1/openapi")).await;
    assert_eq!(described["openapi"], "3.1.0");
    let tools = described["paths"]["/api/v1/mcp"]["post"]["x-mcp-tools"].as_array().unwrap();
    assert_eq!(tools.len(), 30);
    assert!(described["components"]["securitySchemes"]["key.x-api-key"].is_object());
    for path in ["/openapi.json", "/.well-known/mcp.json", "/api/v1/mcp/server-card"] {
        assert_eq!(world.http.get(&format!("{HOST}{path}")).await.status, 404, "{path}");
    }
}
