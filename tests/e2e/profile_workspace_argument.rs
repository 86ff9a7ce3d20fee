//! The deployment whose issuer is at another host below a path, and whose calls name a workspace.

use serde_json::{Value, json};
use tests::{Account, Browser, Choice, Client, Mcp, NewKey, Tokens, World, headers};

use crate::{
    mcp_cases::{challenge, tool_error},
    profile_cases::{
        WORKSPACE_ARGUMENT, ada, client_for, connected, deployed, document, done, names, tools,
    },
};

const BASE: &str = "https://base.crm.example";
const BOTH: &str = "mcp:read mcp:write";

async fn key(world: &World, access: &str) -> Mcp {
    let mut account = Account::of(world, Browser::of(world, ada())).await;
    let wish = NewKey { access, workspaces: &["wp_hotels"], ..NewKey::default() };
    let key = account.make_key(wish).await;
    assert!(key.starts_with("crmapi_"), "{key}");
    Mcp::with_key(world, &key)
}

#[tokio::test]
async fn the_issuer_is_found_at_its_own_host_from_the_resource() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let asked = Mcp::new(&world, None).legacy("initialize", json!({})).await;
    let place = "https://api.crm.example/.well-known/oauth-protected-resource/v1/mcp";
    assert_eq!(challenge(&asked, "no token")["resource_metadata"], place);
    let resource = document(&world, place).await;
    assert_eq!(resource["authorization_servers"], json!([format!("{BASE}/oauth/mcp")]));
    assert_eq!(resource["scopes_supported"], json!(["mcp:read", "mcp:write"]));
    let place = format!("{BASE}/.well-known/oauth-authorization-server/oauth/mcp");
    let issuer = document(&world, &place).await;
    assert_eq!(issuer["issuer"], format!("{BASE}/oauth/mcp"));
    assert_eq!(issuer["authorization_endpoint"], format!("{BASE}/oauth/mcp/authorize"));
    assert!(issuer["scopes_supported"].as_array().unwrap().contains(&json!("offline_access")));
    // Some clients cut the path off; the document names its issuer there too.
    let root = format!("{BASE}/.well-known/oauth-authorization-server");
    assert_eq!(document(&world, &root).await, issuer);
}

#[tokio::test]
async fn refresh_tokens_are_for_who_asks_for_them() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let (_, tokens) = client_for(&world, ada(), BOTH).await;
    assert_eq!((tokens.refresh.as_str(), tokens.scope.as_str()), ("", BOTH));
    let (client, tokens) = client_for(&world, ada(), "mcp:read offline_access").await;
    assert!(!tokens.refresh.is_empty());
    let next = client.refreshed(&tokens.refresh).await;
    done(&Mcp::new(&world, Some(&next)).call("list_workspaces", json!({})).await);
}

#[tokio::test]
async fn a_person_ticks_workspaces_and_takes_writing_away() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let client = Client::public(&world).await;
    let request = client.authorization().with("scope", BOTH);
    let mut browser = Browser::of(&world, ada());
    let choice = Choice { deny: false, scopes: Some(&["mcp:read"]), workspaces: Some(&["wp_spa"]) };
    let code = client.code_of(&mut browser, request, choice).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!(tokens.scope, "mcp:read");
    let mcp = Mcp::new(&world, Some(&tokens));
    let told = done(&mcp.call("list_workspaces", json!({})).await);
    assert_eq!(told["workspaces"], json!(["wp_spa"]));
    done(&mcp.call("list_contacts", json!({ "workspace_id": "wp_spa" })).await);
    let ticked_not = mcp.call("list_contacts", json!({ "workspace_id": "wp_hotels" })).await;
    let words = tool_error(&ticked_not, "a workspace that was not ticked");
    assert!(words.contains("list_workspaces") && words.contains("wp_spa"), "{words}");
    let refused = mcp.call("create_contact", json!({ "workspace_id": "wp_spa" })).await;
    assert_eq!(challenge(&refused, "a write")["scope"], BOTH);
}

#[tokio::test]
async fn every_call_names_a_workspace_whose_plan_has_the_resource() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let mcp = connected(&world, ada(), BOTH).await;
    let told = done(&mcp.call("list_workspaces", json!({})).await);
    assert_eq!(told["workspaces"], json!(["wp_hotels", "wp_spa"]), "the plan leaves one out");
    for arguments in
        [json!({}), json!({ "workspace_id": "wp_trial" }), json!({ "workspace_id": 7 })]
    {
        let words = tool_error(&mcp.call("list_contacts", arguments).await, "no such workspace");
        assert!(words.starts_with("Validation error:"), "{words}");
        assert!(words.contains("workspace_id"), "{words}");
    }
    let made = json!({ "workspace_id": "wp_hotels", "name": "Bea Hall" });
    let made = done(&mcp.call("create_contact", made).await);
    let get = |workspace: &str| json!({ "workspace_id": workspace, "id": made["id"] });
    done(&mcp.call("get_contact", get("wp_hotels")).await);
    let elsewhere = tool_error(&mcp.call("get_contact", get("wp_spa")).await, "elsewhere");
    let nowhere = json!({ "workspace_id": "wp_spa", "id": "con_0000000000000000" });
    let unknown = tool_error(&mcp.call("get_contact", nowhere).await, "nowhere");
    let id = made["id"].as_str().unwrap();
    assert_eq!(elsewhere.replace(id, "ID"), unknown.replace("con_0000000000000000", "ID"));
    let refused = mcp.call("delete_contact", get("wp_hotels")).await;
    assert_eq!(refused.status, 403, "nobody ticked deleting: {}", refused.text);
}

#[tokio::test]
async fn keys_read_unless_they_were_made_to_write() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let contact = json!({ "workspace_id": "wp_hotels", "name": "Bea Hall" });
    let reader = key(&world, "read").await;
    done(&reader.call("list_contacts", json!({ "workspace_id": "wp_hotels" })).await);
    assert_eq!(reader.call("create_contact", contact.clone()).await.status, 403);
    let writer = key(&world, "read_write").await;
    done(&writer.call("create_contact", contact).await);
    let foreign = writer.call("list_contacts", json!({ "workspace_id": "wp_spa" })).await;
    tool_error(&foreign, "a workspace that the key has not");
}

#[tokio::test]
async fn a_script_reaches_the_endpoint_with_what_its_vendor_documented() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let mcp = key(&world, "read").await;
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "curl", "version": "1.0" },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let reply = mcp.send(&message, headers([])).await.expect_status(200);
    let told = reply.message()["result"].clone();
    assert_eq!(told["protocolVersion"], "2025-06-18");
    assert!(told["capabilities"]["tools"].is_object() && told["serverInfo"].is_object(), "{told}");
}

#[tokio::test]
async fn tools_have_the_deployments_names_and_say_what_they_do() {
    let world = deployed(WORKSPACE_ARGUMENT).await;
    let mcp = connected(&world, ada(), BOTH).await;
    let names = names(&mcp).await;
    for (name, is_there) in [("list_tickets", true), ("get_ticket", true), ("list_tasks", false)] {
        assert_eq!(names.iter().any(|one| one == name), is_there, "{name}");
    }
    done(&mcp.call("list_tickets", json!({ "workspace_id": "wp_spa" })).await);
    for tool in tools(&mcp).await {
        let name = tool["name"].as_str().unwrap();
        for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
            let told = &tool["annotations"][hint];
            // What only reads is neither destructive nor in need of being repeatable.
            let is_moot = tool["annotations"]["readOnlyHint"] == true
                && ["destructiveHint", "idempotentHint"].contains(&hint);
            assert!(told.is_boolean() || is_moot, "{name} {hint}: {told}");
        }
        let argument = &tool["inputSchema"]["properties"]["workspace_id"]["enum"];
        let expected = (name != "list_workspaces").then(|| json!(["wp_hotels", "wp_spa"]));
        assert_eq!(*argument, expected.unwrap_or_default(), "{name}");
        let required = tool["inputSchema"]["required"].as_array();
        let asks = required.is_some_and(|all| all.contains(&json!("workspace_id")));
        assert_eq!(asks, name != "list_workspaces", "{name}: {}", tool["inputSchema"]);
    }
    let refused = Mcp { token: Some("none".to_owned()), ..mcp }.legacy("ping", Value::Null).await;
    assert_eq!(challenge(&refused, "no token")["realm"], "crm");
}
