//! What the gateway itself offers: who calls, static resources, toolsets, pages and public
//! documents.

use reqwest::{
    Method,
    header::{AUTHORIZATION, CACHE_CONTROL, ETAG, HeaderMap},
};
use serde_json::{Value, json};
use tests::{Backend, Choice, Mcp, Options, Reply, World, headers};

use crate::mcp_cases::{before, challenge, is_rpc_error, signed_in, signed_in_with};

const ROUTE: &str = "backends = [\"crm\"]\n";

fn offered(text: &str, more: &str) -> String {
    text.replacen(ROUTE, &format!("{ROUTE}{more}\n"), 1)
}

/// A tool, two resources, two toolsets and short pages.
fn everything(text: &str) -> String {
    let resources = r##"
        whoami = { name = "me" }
        page_size = 2
        toolsets = { read = ["list_*", "get_*"], people = ["*_contact", "*_contacts"] }
        static = [
            { uri = "docs://guide", name = "guide", mime_type = "text/markdown", text = "# Guide" },
            { uri = "docs://prices", name = "prices", text = "42", scopes = ["deals:delete"] },
        ]
    "##;
    offered(text, resources)
}

async fn world() -> World {
    let edit: fn(String) -> String = |text| everything(&text);
    World::with(Options { edit, gateway: true, ..Options::default() }).await
}

/// Every page of a list.
async fn all(mcp: &Mcp, method: &str, member: &str, is_modern: bool) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..100 {
        let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
        let reply = if is_modern {
            mcp.modern(method, params).await
        } else {
            mcp.legacy(method, params).await
        };
        let result = reply.message()["result"].clone();
        let page = result[member].as_array().unwrap_or_else(|| panic!("{}", reply.text));
        assert!(page.len() <= 2, "{result}");
        found.extend(page.iter().cloned());
        match result["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
    panic!("the pages do not end");
}

fn names(list: &[Value]) -> Vec<&str> {
    list.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// The client at the same endpoint with a query.
fn at(mcp: &Mcp, query: &str) -> Mcp {
    Mcp { url: format!("{}?{query}", mcp.url), ..mcp.clone() }
}

#[tokio::test]
async fn a_caller_asks_who_they_are_in_both_eras() {
    let world = world().await;
    let choice = Choice { workspaces: Some(&["ws_acme"]), ..Choice::default() };
    let mcp = signed_in_with(&world, choice).await;
    let params = json!({ "name": "me", "arguments": {} });
    for reply in [mcp.call("me", json!({})).await, mcp.modern("tools/call", params).await] {
        let result = reply.message()["result"].clone();
        let who = &result["structuredContent"];
        assert_eq!(who["subject"], "usr_demo", "{}", reply.text);
        assert_eq!(who["issuer"], *world.issuer);
        assert_eq!(who["kind"], "person");
        assert_eq!(who["workspaces"], json!(["ws_acme"]));
        assert!(who["scopes"].as_array().unwrap().contains(&json!("contacts:read")));
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, *who);
    }
    let unexpected = mcp.call("me", json!({ "who": 1 })).await;
    assert_eq!(unexpected.message()["result"]["isError"], true, "its arguments are checked too");
    let listed = all(&mcp, "tools/list", "tools", false).await;
    assert_eq!(listed[0]["name"], "me");
    assert_eq!(listed[0]["annotations"]["readOnlyHint"], true);
    assert_eq!(Mcp { token: None, ..mcp }.call("me", json!({})).await.status, 401);
}

#[tokio::test]
async fn nothing_is_offered_that_was_not_configured() {
    let world = World::demo().await;
    let mcp = signed_in(&world).await;
    let (own, made_up) =
        (mcp.call("whoami", json!({})).await, mcp.call("whoareyou", json!({})).await);
    assert_eq!(own.message()["error"], made_up.message()["error"]);
    let read = mcp.legacy("resources/read", json!({ "uri": "docs://guide" })).await;
    assert_eq!(read.message()["error"]["code"], -32002, "{}", read.text);
}

#[tokio::test]
async fn static_resources_are_listed_and_read_and_obey_scopes() {
    let world = world().await;
    let mcp = signed_in(&world).await;
    for is_modern in [false, true] {
        let listed = all(&mcp, "resources/list", "resources", is_modern).await;
        let guide = listed.iter().find(|one| one["uri"] == "docs://guide").unwrap();
        assert_eq!(
            (&guide["name"], &guide["mimeType"]),
            (&json!("guide"), &json!("text/markdown"))
        );
    }
    let read = |uri: &str| json!({ "uri": uri });
    let reply = mcp.legacy("resources/read", read("docs://guide")).await;
    let contents = &reply.message()["result"]["contents"];
    let expected = json!([
        { "uri": "docs://guide", "mimeType": "text/markdown", "text": "# Guide" }
    ]);
    assert_eq!(*contents, expected, "{}", reply.text);
    let refused = mcp.legacy("resources/read", read("docs://prices")).await;
    assert_eq!(refused.status, 403);
    assert!(challenge(&refused, "prices")["scope"].as_str().unwrap().contains("deals:delete"));
}

#[tokio::test]
async fn an_address_that_names_a_toolset_has_no_other_tools() {
    let world = world().await;
    let mcp = signed_in(&world).await;
    let people = at(&mcp, "toolset=people&read_only=true");
    for is_modern in [false, true] {
        let listed = all(&people, "tools/list", "tools", is_modern).await;
        let mut listed = names(&listed);
        listed.sort_unstable();
        assert_eq!(listed, ["get_contact", "list_contacts", "search_contacts"]);
    }
    assert_eq!(people.call("list_contacts", json!({})).await.status, 200);
    let outside = people.call("list_deals", json!({})).await;
    let unknown = people.call("no_such_tool", json!({})).await;
    assert_eq!(outside.message()["error"], unknown.message()["error"], "{}", outside.text);
    assert_eq!(mcp.call("list_deals", json!({})).await.status, 200, "only the address is narrower");
    let one = at(&mcp, "tools=list_deals,no_such_tool");
    assert_eq!(names(&all(&one, "tools/list", "tools", false).await), ["list_deals"]);
    for query in ["toolset=nobody", "read_only=maybe", "tools=a&tools=b"] {
        let reply = at(&mcp, query).call("list_deals", json!({})).await;
        let id = reply.json()["id"].clone();
        is_rpc_error(&reply, 400, -32602, &id, query);
    }
}

#[tokio::test]
async fn an_address_changes_nothing_about_signing_in() {
    let world = world().await;
    let mcp = Mcp { token: None, ..signed_in(&world).await };
    let plain = mcp.call("list_contacts", json!({})).await;
    for query in ["toolset=people", "toolset=nobody"] {
        let narrowed = at(&mcp, query).call("list_contacts", json!({})).await;
        assert_eq!(narrowed.status, 401);
        assert_eq!(challenge(&narrowed, query), challenge(&plain, "plain"));
    }
}

#[tokio::test]
async fn a_long_list_comes_in_pages_that_belong_to_who_asked() {
    let mut world = world().await;
    let mcp = signed_in(&world).await;
    let whole = all(&mcp, "tools/list", "tools", false).await;
    assert!(whole.len() > 10, "{}", whole.len());
    let mut unique = names(&whole);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), whole.len(), "no tool comes twice");
    assert_eq!(names(&all(&mcp, "tools/list", "tools", true).await), names(&whole));
    let first = mcp.legacy("tools/list", json!({})).await;
    let cursor = first.message()["result"]["nextCursor"].clone();
    let with = |cursor: &Value| json!({ "cursor": cursor });
    let other = Choice { workspaces: Some(&["ws_acme"]), ..Choice::default() };
    let other = signed_in_with(&world, other).await;
    for (about, mcp, method, cursor) in [
        ("another caller", &other, "tools/list", &cursor),
        ("another list", &mcp, "prompts/list", &cursor),
        ("another address", &at(&mcp, "read_only=true"), "tools/list", &cursor),
        ("made up", &mcp, "tools/list", &json!("MQ")),
    ] {
        let reply = mcp.legacy(method, with(cursor)).await;
        let id = reply.json()["id"].clone();
        is_rpc_error(&reply, 200, -32602, &id, about);
        assert!(reply.text.contains("not one this server gave"), "{about}: {}", reply.text);
    }
    // Something else is offered from now on.
    world.reload(|text| text.replace("name = \"me\"", "name = \"myself\"")).await.unwrap();
    let reply = mcp.legacy("tools/list", with(&cursor)).await;
    assert!(reply.text.contains("list again from the start"), "{}", reply.text);
}

async fn document(world: &World, path: &str, mcp: Option<&Mcp>, more: HeaderMap) -> Reply {
    let mut sent = more;
    if let Some(token) = mcp.and_then(|mcp| mcp.token.as_ref()) {
        sent.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    world.http.send(Method::GET, &world.gateway_url(path), sent, String::new()).await
}

const MANIFEST: &str = "/.well-known/mcp.json";
const OPENAPI: &str = "/openapi.json";
const CARD: &str = "/mcp/server-card";

#[tokio::test]
async fn public_documents_name_public_tools_and_to_a_caller_what_they_see() {
    let backend = Backend::start().await;
    let world = before(&backend, |text| {
        let documents = "documents = { public_tools = [\"list_*\"], server_name = \"com.example/crm\", \
                         policies = { privacy = \"https://example.com/privacy\" } }";
        let hide = format!("on_missing_scope = \"hide\"\n{documents}");
        offered(&text, &hide)
    })
    .await;
    let mcp = signed_in(&world).await;
    let public = document(&world, MANIFEST, None, headers([])).await;
    assert_eq!(public.status, 200, "{}", public.text);
    assert_eq!(public.header("access-control-allow-origin"), "*");
    assert_eq!(public.headers[CACHE_CONTROL], "public, max-age=300");
    let manifest = public.json();
    assert_eq!(manifest["transport"]["url"], *world.resource);
    assert_eq!(manifest["policy_urls"]["privacy"], "https://example.com/privacy");
    assert_eq!(names(manifest["tools"].as_array().unwrap()), ["list_contacts"]);
    let own = document(&world, MANIFEST, Some(&mcp), headers([])).await;
    assert_eq!(own.headers[CACHE_CONTROL], "private, no-store");
    let seen = mcp.legacy("tools/list", json!({})).await.message()["result"]["tools"].clone();
    let seen = seen.as_array().unwrap();
    let told = own.json()["tools"].clone();
    assert_eq!(names(told.as_array().unwrap()), names(seen), "the default scopes hide deleting");
    for (told, seen) in told.as_array().unwrap().iter().zip(seen) {
        assert_eq!(told.get("annotations"), seen.get("annotations"));
    }
    let tag = public.headers[ETAG].to_str().unwrap().to_owned();
    let again = document(&world, MANIFEST, None, headers([("if-none-match", &tag)])).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let wrong = Mcp { token: Some("wrong".to_owned()), ..mcp.clone() };
    let refused = document(&world, MANIFEST, Some(&wrong), headers([])).await;
    assert_eq!(refused.status, 401, "a credential that is none shows nothing");
    for mcp in [None, Some(&mcp)] {
        let card = document(&world, CARD, mcp, headers([])).await;
        assert_eq!(card.header("content-type"), "application/mcp-server-card+json");
        assert_eq!(card.json()["name"], "com.example/crm");
        assert_eq!(card.json()["remotes"][0]["url"], *world.resource);
        assert_eq!(card.json().get("tools"), None);
    }
    let described = document(&world, OPENAPI, None, headers([])).await.json();
    assert_eq!(described["openapi"], "3.1.0");
    let tools = &described["paths"]["/mcp"]["post"]["x-mcp-tools"];
    assert_eq!(names(tools.as_array().unwrap()), ["list_contacts"]);
    assert!(!described.to_string().contains("delete_contact"), "hidden tools stay hidden");
}

#[tokio::test]
async fn documents_are_off_where_tools_are_hidden_and_name_no_tool_by_default() {
    let world = World::demo().await;
    for path in [MANIFEST, OPENAPI] {
        let reply = document(&world, path, None, headers([])).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        assert!(!reply.text.contains("list_contacts"), "{path}: {}", reply.text);
    }
    let edit: fn(String) -> String = |text| offered(&text, "on_missing_scope = \"hide\"");
    let world = World::with(Options { edit, gateway: true, ..Options::default() }).await;
    for path in [MANIFEST, OPENAPI, CARD] {
        assert_eq!(document(&world, path, None, headers([])).await.status, 404, "{path}");
    }
}
