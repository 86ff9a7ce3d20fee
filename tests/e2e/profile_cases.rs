//! What the tests of profiles/ share: a deployment under its own public hosts, its people, and what
//! its answers hold.

use serde_json::Value;
use tests::{Browser, Choice, Client, Mcp, Options, Person, Reply, Tokens, World};

pub(crate) const HIDDEN_TOOLS: &str = include_str!("../../profiles/hidden-tools/deployment.toml");
pub(crate) const KEYS_ONLY: &str = include_str!("../../profiles/keys-only/deployment.toml");
pub(crate) const PATH_ISSUER: &str = include_str!("../../profiles/path-issuer/deployment.toml");
pub(crate) const SPLIT_ORIGINS: &str = include_str!("../../profiles/split-origins/deployment.toml");
pub(crate) const WORKSPACE_ARGUMENT: &str =
    include_str!("../../profiles/workspace-argument/deployment.toml");

/// A deployment of profiles/, before the reference CRM.
pub(crate) async fn deployed(profile: &'static str) -> World {
    World::with(Options { gateway: true, profile, ..Options::default() }).await
}

pub(crate) fn ada() -> Person {
    Person::named("ada@crm.example")
}

pub(crate) fn grace() -> Person {
    Person::named("grace@crm.example")
}

/// The person's MCP client for these scopes, as the person ticks them.
pub(crate) async fn client_for(world: &World, person: Person, scope: &str) -> (Client, Tokens) {
    let client = Client::public(world).await;
    let request = client.authorization().with("scope", scope);
    let mut browser = Browser::of(world, person);
    let code = client.code_of(&mut browser, request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    (client, tokens)
}

/// The same, connected.
pub(crate) async fn connected(world: &World, person: Person, scope: &str) -> Mcp {
    Mcp::new(world, Some(&client_for(world, person, scope).await.1))
}

/// A document that everybody may read.
pub(crate) async fn document(world: &World, url: &str) -> Value {
    let reply = world.http.get(url).await.expect_status(200);
    assert_eq!(reply.header("access-control-allow-origin"), "*", "{url}");
    reply.json()
}

/// The tools of a list, all of them.
pub(crate) async fn tools(mcp: &Mcp) -> Vec<Value> {
    let listed = mcp.legacy("tools/list", serde_json::json!({})).await;
    let listed = listed.expect_status(200).message();
    listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}")).clone()
}

/// Their names, sorted.
pub(crate) async fn names(mcp: &Mcp) -> Vec<String> {
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = tools(mcp).await.iter().map(name).collect();
    names.sort_unstable();
    names
}

/// What a call that was done answers.
pub(crate) fn done(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let result = reply.message()["result"].clone();
    assert!(result.is_object() && result["isError"] != true, "{}", reply.text);
    result["structuredContent"].clone()
}
