//! What the tests of both eras share: a client of either before a backend of either.

use serde_json::{Value, json};
use tests::{Backend, CRM_AUDIENCE, LEGACY, Mcp, Reply, Speaks, World, headers, request};

use crate::mcp_cases::{before, signed_in};

pub(crate) async fn crossing(speaks: Speaks) -> (Backend, World, Mcp) {
    let backend = Backend::whole(speaks).await;
    let pooled = |text: String| {
        let audience = format!("audience = \"{CRM_AUDIENCE}\"");
        text.replace(&audience, &format!("{audience}\nsession = \"pooled\""))
    };
    let world = before(&backend, pooled).await;
    let mcp = signed_in(&world).await;
    (backend, world, mcp)
}

pub(crate) async fn relayed(speaks: Speaks) -> (Backend, World, Mcp) {
    let backend = Backend::whole(speaks).await;
    let relay = |text: String| {
        text.replace("backends = [\"crm\"]", "backends = [\"crm\"]\nsession = \"relay\"")
    };
    let world = before(&backend, relay).await;
    let mcp = signed_in(&world).await;
    (backend, world, mcp)
}

/// Whether the client is a modern one, and what the backend speaks: every pair of eras.
pub(crate) const PAIRS: [(bool, Speaks); 4] = [
    (false, Speaks::Legacy),
    (true, Speaks::Modern),
    (false, Speaks::Modern),
    (true, Speaks::Legacy),
];

pub(crate) async fn ask(mcp: &Mcp, modern: bool, method: &str, params: Value) -> Reply {
    if modern { mcp.modern(method, params).await } else { mcp.legacy(method, params).await }
}

pub(crate) async fn session(mcp: &Mcp) -> String {
    let params = json!({ "protocolVersion": LEGACY, "capabilities": {},
        "clientInfo": { "name": "end to end", "version": "1" } });
    let opened = mcp.send(&request("initialize", params), headers([])).await;
    opened.header("mcp-session-id").to_owned()
}
