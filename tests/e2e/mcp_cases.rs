//! What the gateway's tests share: signed-in MCP clients, and how refusals are read.

use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};
use tests::{Backend, Browser, Choice, Client, Mcp, Options, Reply, Tokens, World};

/// One thing wrong with something good.
pub(crate) struct Deviation<T> {
    pub(crate) about: &'static str,
    pub(crate) change: fn(&mut T),
}

/// The demo person's MCP client, with the default scopes and every workspace.
pub(crate) async fn signed_in(world: &World) -> Mcp {
    signed_in_with(world, Choice::default()).await
}

/// The demo person's MCP client, with what was ticked.
pub(crate) async fn signed_in_with(world: &World, choice: Choice<'_>) -> Mcp {
    Mcp::new(world, Some(&tokens_with(world, choice).await))
}

/// The demo person's tokens, with what was ticked.
pub(crate) async fn tokens_with(world: &World, choice: Choice<'_>) -> Tokens {
    let client = Client::public(world).await;
    let mut browser = Browser::new(world);
    let code = client.code_of(&mut browser, client.authorization(), choice).await;
    Tokens::of(&client.exchange(&code).send().await)
}

/// A world whose gateway stands before a backend's double.
pub(crate) async fn before(backend: &Backend, edit: fn(String) -> String) -> World {
    let options =
        Options { backend: Some(backend.address), edit, gateway: true, ..Options::default() };
    World::with(options).await
}

/// A JSON-RPC error: its status, code and id.
pub(crate) fn is_rpc_error(reply: &Reply, status: u16, code: i64, id: &Value, about: &str) {
    assert_eq!(reply.status, status, "{about}: {}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json", "{about}");
    assert_eq!(reply.header("cache-control"), "no-store", "{about}");
    let message = reply.json();
    assert_eq!(message["jsonrpc"], "2.0", "{about}: {message}");
    assert_eq!(message["id"], *id, "{about}: {message}");
    assert_eq!(message["error"]["code"], code, "{about}: {message}");
    assert_ne!(message["error"]["message"], "", "{about}: {message}");
    assert_eq!(message.get("result"), None, "{about}: {message}");
}

/// Words for the model: a tool result that is an error. Answers the words.
pub(crate) fn tool_error(reply: &Reply, about: &str) -> String {
    assert_eq!(reply.status, 200, "{about}: {}", reply.text);
    let message = reply.message();
    assert_eq!(message["result"]["isError"], true, "{about}: {message}");
    message["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The one challenge of a refusal (RFC 6750 section 3), in parts.
pub(crate) fn challenge(reply: &Reply, about: &str) -> Value {
    let all: Vec<_> = reply.headers.get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(all.len(), 1, "{about}: {all:?}");
    let text = all[0].to_str().unwrap();
    let mut rest = text.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{about}: {text}"));
    let mut parts = json!({});
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{about}: {text}"));
        let (value, after) = after.split_once('"').unwrap();
        assert_eq!(parts.get(name), None, "{about}: {name} twice in {text}");
        parts[name] = value.into();
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    parts
}
