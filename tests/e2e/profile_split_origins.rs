//! The deployment whose issuer, sign-in and manifest are at three hosts (RFC 8414 section 2).

use std::time::Duration;

use reqwest::{
    Method,
    header::{HOST, HeaderMap, SET_COOKIE},
};
use serde_json::{Value, json};
use tests::{
    Account, Browser, Callback, Choice, Client, Code, Mcp, NewKey, Options, Parameters, Tokens,
    World,
};

use crate::{
    mcp_cases::{challenge, tool_error},
    profile_cases::{
        SPLIT_ORIGINS, ada, client_for, connected, deployed, document, done, grace, tools,
    },
};

const API: &str = "https://api.crm.example";
const APP: &str = "https://app.crm.example";
const READS: &str = "contacts:read deals:read tasks:read";

#[tokio::test]
async fn each_endpoint_is_found_at_its_own_host() {
    let world = deployed(SPLIT_ORIGINS).await;
    let asked = Mcp::new(&world, None).call("list_contacts", json!({})).await;
    assert_eq!(asked.status, 401);
    let told = challenge(&asked, "no token");
    let root = format!("{API}/.well-known/oauth-protected-resource");
    assert_eq!((&told["resource_metadata"], &told["realm"]), (&json!(root), &json!("crm")));
    let resource = document(&world, &root).await;
    assert_eq!(resource, document(&world, &format!("{root}/mcp")).await);
    assert_eq!(resource["resource"], format!("{API}/mcp"));
    assert_eq!(resource["authorization_servers"], json!([API]));
    let issuer = format!("{API}/.well-known/oauth-authorization-server");
    let issuer = document(&world, &issuer).await;
    for (member, url) in [
        ("issuer", API.to_owned()),
        ("authorization_endpoint", format!("{APP}/oauth/authorize")),
        ("token_endpoint", format!("{API}/oauth/token")),
        ("registration_endpoint", format!("{API}/oauth/register")),
        ("revocation_endpoint", format!("{API}/oauth/revoke")),
        ("introspection_endpoint", format!("{API}/oauth/introspect")),
        ("userinfo_endpoint", format!("{API}/oauth/userinfo")),
        ("jwks_uri", format!("{API}/oauth/jwks")),
    ] {
        assert_eq!(issuer[member], url, "RFC 8414 section 2: {member}");
    }
    assert_eq!(issuer["client_id_metadata_document_supported"], false);
}

#[tokio::test]
async fn what_is_at_one_host_is_not_found_at_another() {
    let world = deployed(SPLIT_ORIGINS).await;
    for (method, host, path, status) in [
        (Method::GET, API, "/oauth/jwks", 200),
        (Method::GET, APP, "/oauth/jwks", 404),
        (Method::GET, API, "/jwks", 404),
        (Method::GET, APP, "/oauth/authorize", 400),
        (Method::GET, API, "/oauth/authorize", 404),
        (Method::GET, API, "/authorize", 404),
        (Method::GET, APP, "/oauth/login", 200),
        (Method::GET, API, "/oauth/login", 404),
        (Method::GET, API, "/account", 404),
        (Method::GET, APP, "/oauth/account", 303),
        (Method::GET, API, "/oauth/account", 404),
        (Method::POST, API, "/oauth/logout", 404),
        (Method::POST, API, "/oauth/token", 400),
        (Method::POST, APP, "/oauth/token", 404),
        (Method::POST, APP, "/oauth/register", 404),
        (Method::POST, APP, "/oauth/introspect", 404),
        (Method::GET, APP, "/.well-known/oauth-authorization-server", 404),
        (Method::GET, APP, "/.well-known/openid-configuration", 404),
        (Method::GET, "https://crm.example", "/.well-known/mcp.json", 200),
        (Method::GET, API, "/.well-known/mcp.json", 404),
        (Method::POST, "https://crm.example", "/mcp", 404),
        (Method::GET, "https://crm.example", "/.well-known/oauth-protected-resource", 404),
        (Method::GET, API, "/sse", 404),
    ] {
        let url = format!("{host}{path}");
        let reply = world.http.send(method, &url, HeaderMap::new(), String::new()).await;
        assert_eq!(reply.status, status, "{url}: {}", reply.text);
        if status == 404 {
            assert_eq!(reply.header("content-type"), "application/json", "{url}");
        }
    }
}

#[tokio::test]
async fn another_name_in_the_request_opens_nothing() {
    let world = deployed(SPLIT_ORIGINS).await;
    for (url, host, status) in [
        // The name decides, not the address that was reached.
        (format!("{API}/oauth/jwks"), "app.crm.example", 404),
        (format!("{APP}/oauth/authorize"), "api.crm.example", 404),
        (format!("{APP}/oauth/authorize"), "APP.crm.example", 400),
        (format!("{APP}/oauth/authorize"), "app.crm.example:8443", 421),
        (format!("{APP}/oauth/authorize"), "crm.example", 421),
        (format!("{APP}/oauth/authorize"), "evil.example", 421),
        (format!("{APP}/oauth/authorize"), "app.crm.example.evil.example", 421),
        (format!("{API}/mcp"), "app.crm.example", 421),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        let reply = world.http.send(Method::GET, &url, headers, String::new()).await;
        assert_eq!(reply.status, status, "RFC 9110 section 7.4: {url} as {host}: {}", reply.text);
        assert!(!reply.text.contains("evil.example"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_person_signs_in_at_one_host_and_the_client_is_served_at_another() {
    let world = deployed(SPLIT_ORIGINS).await;
    let client = Client::public(&world).await;
    let mut browser = Browser::of(&world, ada());
    let request = client.authorization().with("scope", READS);
    let page = browser.visit(&request.url()).await;
    assert!(page.asks_to_sign_in(), "{}", page.reply.text);
    assert_eq!(page.reply.url.origin().ascii_serialization(), APP);
    assert!(page.form().action.as_str().starts_with(&format!("{APP}/oauth/")));
    for cookie in page.reply.headers.get_all(SET_COOKIE) {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure"), "{cookie}");
        assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
    }
    let consent = browser.sign_in(&page).await;
    // The issuer's name is another origin, and no page is there.
    let form = consent.form();
    let approve = form.pressed("decision", "approve");
    let forged = browser.submit_from(API, &form, &approve).await;
    assert_eq!(forged.reply.status, 403, "{}", forged.reply.text);
    let answer = browser.decide(&consent, Choice::default()).await.reply;
    let back = Callback::of(&answer);
    assert_eq!(back.value("iss"), API, "RFC 9207 section 2");
    let code = Code { code: back.value("code").to_owned(), verifier: request.verifier.clone() };
    let reply = client.exchange(&code).send().await;
    assert_eq!(reply.headers.get(SET_COOKIE), None);
    let tokens = Tokens::of(&reply);
    let mcp = Mcp::new(&world, Some(&tokens));
    let found = done(&mcp.call("list_contacts", json!({})).await);
    assert!(found["items"].as_array().is_some_and(|items| !items.is_empty()), "{found}");
    let own = |row: &Value| row["workspace_id"] == "acme";
    assert!(found["items"].as_array().unwrap().iter().all(own), "{found}");
    let id = found["items"][0]["id"].clone();
    let other = connected(&world, grace(), READS).await;
    let reply = other.call("get_contact", json!({ "id": id })).await;
    tool_error(&reply, "a record of another workspace");
}

#[tokio::test]
async fn a_request_names_its_resource_and_a_call_has_its_scope() {
    let world = deployed(SPLIT_ORIGINS).await;
    let client = Client::public(&world).await;
    let mut browser = Browser::of(&world, ada());
    for resource in [None, Some("https://other.example/mcp"), Some(API)] {
        let asking = Client { resource: resource.map(str::to_owned), ..client.clone() };
        let request = asking.authorization().with("scope", READS);
        let page = browser.visit(&request.url()).await;
        let page = if page.asks_to_sign_in() { browser.sign_in(&page).await } else { page };
        let back = Callback::of(&page.reply);
        assert_eq!(back.value("error"), "invalid_target", "RFC 8707 section 2: {resource:?}");
        assert_eq!(back.value("iss"), API);
    }
    let mcp = connected(&world, ada(), "contacts:read").await;
    for (tool, arguments, needed) in [
        ("list_deals", json!({}), "contacts:read deals:read"),
        ("create_contact", json!({ "name": "Bea" }), "contacts:read contacts:write"),
        ("delete_company", json!({ "id": "cmp_1" }), "companies:write contacts:read"),
    ] {
        let refused = mcp.call(tool, arguments).await;
        assert_eq!(refused.status, 403, "{tool}: {}", refused.text);
        let told = challenge(&refused, tool);
        assert_eq!(told["error"], "insufficient_scope", "{tool}");
        assert_eq!(told["scope"], needed, "{tool}");
        let root = format!("{API}/.well-known/oauth-protected-resource");
        assert_eq!(told["resource_metadata"], root, "{tool}");
    }
}

#[tokio::test]
async fn a_grant_ends_after_half_an_hour_of_rest_and_after_half_a_day_of_work() {
    let world = deployed(SPLIT_ORIGINS).await;
    let (client, tokens) = client_for(&world, ada(), READS).await;
    assert_eq!(tokens.expires_in, 300);
    world.pass(Duration::from_secs(1801));
    assert_eq!(client.refresh(&tokens.refresh).send().await.error(), "invalid_grant");
    assert_eq!(Mcp::new(&world, Some(&tokens)).call("list_contacts", json!({})).await.status, 401);
    let (client, mut tokens) = client_for(&world, ada(), READS).await;
    for _ in 0..28 {
        world.pass(Duration::from_mins(25));
        let next = client.refreshed(&tokens.refresh).await;
        assert_ne!(next.refresh, tokens.refresh, "it rotates");
        tokens = next;
    }
    world.pass(Duration::from_mins(25));
    assert_eq!(client.refresh(&tokens.refresh).send().await.error(), "invalid_grant");
}

#[tokio::test]
async fn the_budget_is_the_workspaces_and_every_answer_tells_of_it() {
    let edit: fn(String) -> String = |text| {
        let text = text.replace("workspace_burst = 600", "workspace_burst = 3");
        text.replace("workspace_calls_per_minute = 600", "workspace_calls_per_minute = 1")
    };
    let options = Options { edit, gateway: true, profile: SPLIT_ORIGINS, ..Options::default() };
    let world = World::with(options).await;
    let (one, again) =
        (connected(&world, ada(), READS).await, connected(&world, ada(), READS).await);
    let mut left = Vec::new();
    for mcp in [&one, &again, &one] {
        let reply = mcp.call("list_contacts", json!({})).await.expect_status(200);
        left.push(reply.header("x-ratelimit-remaining").parse::<u32>().unwrap());
        assert!(reply.header("x-ratelimit-reset").parse::<u64>().is_ok());
    }
    assert_eq!(left, [2, 1, 0]);
    let reply = again.call("list_contacts", json!({})).await.expect_status(429);
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    let other = connected(&world, grace(), READS).await;
    assert_eq!(other.call("list_contacts", json!({})).await.status, 200);
}

#[tokio::test]
async fn the_manifest_is_at_the_bare_name_and_the_description_in_the_older_version() {
    let world = deployed(SPLIT_ORIGINS).await;
    let manifest = document(&world, "https://crm.example/.well-known/mcp.json").await;
    assert_eq!(manifest["manifest_version"], "0.4");
    assert_eq!(manifest["transport"]["url"], format!("{API}/mcp"));
    assert_eq!(manifest["authorization"]["authorization_server"], API);
    assert_eq!(manifest["policy_urls"].as_object().unwrap().len(), 3);
    assert_eq!(manifest["logo"], "https://crm.example/logo.png");
    let mcp = connected(&world, ada(), READS).await;
    let listed = tools(&mcp).await;
    let told = manifest["tools"].as_array().unwrap();
    assert_eq!(told.len(), 30);
    for tool in &listed {
        let shown = told.iter().find(|one| one["name"] == tool["name"]).unwrap();
        assert_eq!(shown["annotations"], tool["annotations"], "{tool}");
        let name = tool["name"].as_str().unwrap();
        let (reads, deletes) = (
            ["list_", "get_", "search_"].iter().any(|verb| name.starts_with(verb)),
            name.starts_with("delete_"),
        );
        let hints = &tool["annotations"];
        assert_eq!(hints["readOnlyHint"], reads, "{name}");
        assert!(!deletes || hints["destructiveHint"] == true, "{name}");
        assert_eq!(hints["openWorldHint"], false, "{name}");
    }
    let described = document(&world, &format!("{API}/openapi.json")).await;
    assert_eq!(described["openapi"], "3.0.3");
    let text = described.to_string();
    for newer in ["\"const\"", "\"$defs\"", "\"$schema\"", "\"type\":["] {
        assert!(!text.contains(newer), "{newer} is not of 3.0");
    }
    let calls = described["paths"]["/mcp"]["post"]["x-mcp-tools"].as_array().unwrap();
    assert_eq!(calls.len(), 30);
    for call in calls {
        let pointer = call["arguments"]["$ref"].as_str().unwrap().trim_start_matches('#');
        assert_eq!(described.pointer(pointer).unwrap()["type"], "object", "{call}");
    }
}

#[tokio::test]
async fn keys_are_made_at_the_host_of_sign_in_and_used_at_the_other() {
    let world = deployed(SPLIT_ORIGINS).await;
    let mut account = Account::of(&world, Browser::of(&world, ada())).await;
    let key = account.make_key(NewKey { workspaces: &["acme"], ..NewKey::default() }).await;
    assert!(key.starts_with("sk_live_"), "{key}");
    let mcp = Mcp::with_key(&world, &key);
    done(&mcp.call("list_contacts", json!({})).await);
    let [id] = &account.acts("revoke_key").await[..] else { panic!("one key is listed") };
    account.act("revoke_key", id).await;
    assert_eq!(mcp.call("list_contacts", json!({})).await.status, 401);
}

#[tokio::test]
async fn a_posted_request_stays_at_its_host() {
    let world = deployed(SPLIT_ORIGINS).await;
    let client = Client::public(&world).await;
    let parameters: Parameters = client.authorization().parameters;
    let endpoint = client.endpoint("authorization_endpoint").to_owned();
    let reply = world.http.post(&endpoint, parameters).send().await;
    let to = reply.location().unwrap();
    assert!(to.as_str().starts_with(&format!("{APP}/oauth/authorize?")), "{to}");
}
