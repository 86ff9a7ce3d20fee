//! The deployment that hides what a credential does not open, and refuses every bad one alike.

use std::collections::BTreeSet;

use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use tests::{Account, Browser, Mcp, NewKey, World};

use crate::profile_cases::{
    HIDDEN_TOOLS, ada, client_for, connected, deployed, document, done, names,
};

const URL: &str = "https://crm.example/api/mcp";

async fn key(world: &World, scopes: &[&str]) -> (String, Mcp) {
    let mut account = Account::of(world, Browser::of(world, ada())).await;
    let wish = NewKey { access: "chosen", scopes, workspaces: &["7"], ..NewKey::default() };
    let key = account.make_key(wish).await;
    let mcp = Mcp::with_key(world, &key);
    (key, mcp)
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

async fn seen(mcp: &Mcp) -> BTreeSet<String> {
    names(mcp).await.into_iter().collect()
}

#[tokio::test]
async fn every_bad_credential_gets_the_same_answer_to_the_byte() {
    let world = deployed(HIDDEN_TOOLS).await;
    let (secret, mcp) = key(&world, &["contacts:read"]).await;
    let (client, tokens) = client_for(&world, ada(), "contacts:read").await;
    client.revoke(&tokens.refresh).await;
    let mut account = Account::of(&world, Browser::of(&world, ada())).await;
    let [id] = &account.acts("revoke_key").await[..] else { panic!("one key is listed") };
    account.act("revoke_key", id).await;
    let revoked = Mcp::new(&world, Some(&tokens));
    world
        .until("the revocation", async || revoked.legacy("ping", json!({})).await.status == 401)
        .await;
    let garbage = Some("garbage".to_owned());
    for token in [None, garbage, Some(secret), Some(tokens.access)] {
        let reply = Mcp { token, ..mcp.clone() }.legacy("tools/list", json!({})).await;
        assert_eq!(reply.status, 401);
        let expected = "Bearer realm=\"crm-mcp\", \
                        resource_metadata=\"https://crm.example/.well-known/oauth-protected-resource\"";
        assert_eq!(reply.header("www-authenticate"), expected);
        let body = r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Unauthorized"}}"#;
        assert_eq!(reply.text, body);
    }
}

#[tokio::test]
async fn tokens_and_keys_are_known_by_their_prefixes() {
    let world = deployed(HIDDEN_TOOLS).await;
    let (_, tokens) = client_for(&world, ada(), "contacts:read").await;
    assert!(tokens.access.starts_with("crm_oauth_"), "{}", tokens.access);
    done(&Mcp::new(&world, Some(&tokens)).call("list_contacts", json!({})).await);
    let (key, mcp) = key(&world, &["contacts:read"]).await;
    let digits = key.strip_prefix("crm_mcp_").unwrap();
    assert_eq!(digits.len(), 64);
    assert!(digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
    let who = done(&mcp.call("whoami", json!({})).await);
    assert_eq!((&who["kind"], &who["workspaces"]), (&json!("key"), &json!(["7"])));
    assert_eq!(who["scopes"], json!(["contacts:read"]));
}

#[tokio::test]
async fn a_credential_sees_what_its_scopes_open_and_nothing_else_exists() {
    let world = deployed(HIDDEN_TOOLS).await;
    let companies = ["get_company", "list_companies", "search_companies"];
    let contacts = ["get_contact", "list_contacts", "search_contacts"];
    for (scopes, others) in [
        (vec!["contacts:read"], set(["whoami"]).union(&set(companies)).cloned().collect()),
        (
            vec!["contacts:*"],
            set(["whoami", "create_contact", "update_contact", "delete_contact"])
                .union(&set(companies))
                .cloned()
                .collect(),
        ),
    ] {
        let expected: BTreeSet<String> = set(contacts).union(&others).cloned().collect();
        assert_eq!(seen(&key(&world, &scopes).await.1).await, expected, "{scopes:?}");
    }
    let (_, writer) = key(&world, &["deals:write"]).await;
    assert_eq!(seen(&writer).await, set(["create_deal", "update_deal", "whoami"]));
    let (_, closer) = key(&world, &["deals:close"]).await;
    assert_eq!(seen(&closer).await, set(["whoami"]), "the other half is missing");
    let (_, both) = key(&world, &["deals:close", "deals:write"]).await;
    assert!(seen(&both).await.contains("delete_deal"));
    let (_, manager) = key(&world, &["notes:manage"]).await;
    assert!(seen(&manager).await.is_superset(&set(["create_note", "list_notes"])), "implied");
    let (_, all) = key(&world, &["*"]).await;
    assert_eq!(seen(&all).await.len(), 31);
    let hidden = writer.call("delete_deal", json!({ "id": "dea_1" })).await;
    let unknown = writer.call("delete_moon", json!({ "id": "dea_1" })).await;
    assert_eq!(hidden.status, unknown.status);
    assert_eq!(hidden.message()["error"], unknown.message()["error"]);
}

#[tokio::test]
async fn what_everybody_may_read_is_read_by_who_may_nothing_else() {
    let world = deployed(HIDDEN_TOOLS).await;
    let (_, mcp) = key(&world, &["deals:close"]).await;
    let reply = mcp.legacy("resources/read", json!({ "uri": "blocks://schema" })).await;
    let contents = reply.message()["result"]["contents"][0].clone();
    assert_eq!(
        (&contents["uri"], &contents["mimeType"]),
        (&json!("blocks://schema"), &json!("text/markdown"),)
    );
    assert!(contents["text"].as_str().unwrap().contains("# Blocks"), "{contents}");
    let none = mcp.legacy("resources/read", json!({ "uri": "nope://x" })).await;
    assert_eq!(none.message()["error"]["code"], -32002);
    let none = mcp.modern("resources/read", json!({ "uri": "nope://x" })).await;
    assert_eq!(none.message()["error"]["code"], -32602);
}

#[tokio::test]
async fn no_document_lists_a_wildcard_or_a_hidden_tool() {
    let world = deployed(HIDDEN_TOOLS).await;
    let root = "https://crm.example/.well-known";
    let resource = document(&world, &format!("{root}/oauth-protected-resource")).await;
    assert_eq!(resource["resource"], URL);
    let issuer = document(&world, &format!("{root}/oauth-authorization-server")).await;
    assert_eq!(issuer["authorization_endpoint"], "https://crm.example/oauth/authorize");
    for document in [&resource, &issuer] {
        let scopes = document["scopes_supported"].as_array().unwrap();
        assert!(!scopes.iter().any(|one| one.as_str().unwrap().contains('*')), "{scopes:?}");
    }
    for path in ["/.well-known/mcp.json", "/openapi.json", "/api/mcp/server-card"] {
        let reply = world.http.get(&format!("https://crm.example{path}")).await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_plain_post_without_a_handshake_is_answered_with_json() {
    let world = deployed(HIDDEN_TOOLS).await;
    let (key, _) = key(&world, &["contacts:read"]).await;
    let post = async |message: Value| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        world.http.send(Method::POST, URL, headers, message.to_string()).await
    };
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let reply = post(list).await.expect_status(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json()["result"]["tools"].as_array().unwrap().len(), 7);
    let cancelled = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 },
    });
    let reply = post(cancelled).await;
    assert_eq!((reply.status, reply.text.as_str()), (202, ""));
    let mcp = connected(&world, ada(), "contacts:read").await;
    assert_eq!(mcp.ask(Method::GET, HeaderMap::new()).await.status(), 405);
}
