//! A REST backend described by `OpenAPI` behind the gateway, for clients of both eras (RFC 3986 section 2,
//! RFC 9110 section 9; RFC 9457 section 3.1).

use serde_json::{Value, json};
use tests::{CRM_AUDIENCE, Choice, Judge, Mcp, Options, RestBackend, World};

use crate::mcp_cases::{is_rpc_error, signed_in, signed_in_with, tool_error};

const JSON: &str = "application/json";

/// The demo's backend, described by a file.
#[expect(clippy::needless_pass_by_value, reason = "it stands where a closure would")]
fn described(text: String) -> String {
    let audience = format!("audience = \"{CRM_AUDIENCE}\"");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/rest.yaml");
    let more = format!(
        "{audience}\nopenapi = \"{file}\"\nheader_parameters = [\"x-language\"]\n\
         timeout_ms = 2000\nmax_answer_bytes = 20000\n\
         [[backend.operation]]\nmatch = \"DELETE /contacts/{{id}}\"\nname = \"delete_contact\"\n\
         description = \"Deletes a contact for good.\"\nscopes = [\"contacts:write\"]\n\
         [[backend.operation]]\nmatch = \"admin_*\"\nhide = true\n"
    );
    text.replace(&audience, &more)
}

async fn world() -> (RestBackend, World, Mcp) {
    let backend = RestBackend::start().await;
    let address = Some(backend.address);
    let options =
        Options { backend: address, edit: described, gateway: true, ..Options::default() };
    let world = World::with(options).await;
    let mcp = signed_in(&world).await;
    (backend, world, mcp)
}

async fn modern_call(mcp: &Mcp, name: &str, arguments: Value) -> tests::Reply {
    mcp.modern("tools/call", json!({ "name": name, "arguments": arguments })).await
}

#[tokio::test]
async fn operations_are_listed_as_tools_in_both_eras() {
    let (_, _, mcp) = world().await;
    let legacy = mcp.legacy("tools/list", json!({})).await.json()["result"]["tools"].clone();
    let modern = mcp.modern("tools/list", json!({})).await.json()["result"]["tools"].clone();
    assert_eq!(legacy, modern);
    let tools = legacy.as_array().unwrap();
    let mut names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["create_contact", "delete_contact", "get_contact", "list_contacts"]);
    let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
    assert_eq!(tool("list_contacts")["title"], "List contacts");
    assert_eq!(tool("list_contacts")["annotations"]["readOnlyHint"], true);
    assert_eq!(tool("delete_contact")["annotations"]["destructiveHint"], true);
    assert_eq!(tool("delete_contact")["description"], "Deletes a contact for good.");
    let properties = &tool("list_contacts")["inputSchema"]["properties"];
    assert_eq!(properties.get("X-Debug"), None, "no call may set that header");
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } });
    let opened = mcp.legacy("initialize", hello).await.json();
    assert_eq!(opened["result"]["serverInfo"]["name"], "Northwind REST");
}

#[tokio::test]
async fn a_call_is_one_request_with_an_identity_and_nothing_of_the_client() {
    let (backend, world, mcp) = world().await;
    backend.answer(200, JSON, r#"{"contacts": [], "next": 1.0e2}"#);
    let arguments = json!({ "workspace_id": "ws_globex", "limit": 5, "tag": ["a&b", "c d"],
        "X-Language": "de" });
    let expected = json!({ "contacts": [], "next": 100.0 });
    let old = mcp.call("list_contacts", arguments.clone()).await;
    assert_eq!(old.json()["result"]["structuredContent"], expected, "{}", old.text);
    assert_eq!(old.json()["result"].get("resultType"), None);
    let new = modern_call(&mcp, "list_contacts", arguments).await;
    assert_eq!(new.json()["result"]["structuredContent"], expected, "{}", new.text);
    assert_eq!(new.json()["result"]["resultType"], "complete");
    for received in backend.received() {
        assert_eq!(
            received.line,
            "GET /mcp/contacts?workspace_id=ws_globex&limit=5&tag=a%26b&tag=c%20d"
        );
        let mut names: Vec<&str> =
            received.headers.keys().map(reqwest::header::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "authorization", "host", "x-language"]);
        let token = received.headers["authorization"].to_str().unwrap();
        let token = token.strip_prefix("Bearer ").unwrap();
        assert_ne!(Some(token), mcp.token.as_deref());
        let origin = world.gateway_url("").replace("localhost", "127.0.0.1");
        let published =
            json!({ "issuer": origin, "jwks_uri": format!("{origin}/.well-known/jwks.json") });
        let judge = Judge::with_metadata(&world.http, &published).await;
        let claims = judge.claims(token, CRM_AUDIENCE).unwrap();
        assert_eq!(claims["workspaces"], json!(["ws_globex"]));
        assert_eq!(claims["sub"], "usr_demo");
    }
    assert_eq!(backend.received().len(), 2);
}

#[tokio::test]
async fn a_body_is_built_of_its_members() {
    let (backend, _, mcp) = world().await;
    backend.answer(201, JSON, r#"{"id": "c9"}"#);
    let arguments = json!({ "name": "Ada", "email": null, "workspace_id": "ws_acme" });
    let reply = mcp.call("create_contact", arguments.clone()).await;
    assert_eq!(reply.json()["result"]["structuredContent"], json!({ "id": "c9" }));
    let received = &backend.received()[0];
    assert_eq!(received.line, "POST /mcp/contacts");
    assert_eq!(received.headers["content-type"], JSON);
    assert_eq!(serde_json::from_str::<Value>(&received.body).unwrap(), arguments);
}

#[tokio::test]
async fn scopes_workspaces_and_schemas_are_enforced_before_the_backend_is_asked() {
    let (backend, world, mcp) = world().await;
    let choice = Choice { scopes: Some(&["contacts:read"]), ..Choice::default() };
    let reader = signed_in_with(&world, choice).await;
    let refused = reader.call("delete_contact", json!({ "id": "1" })).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("contacts:write"));
    let about = |arguments: Value| {
        let mcp = mcp.clone();
        async move { tool_error(&mcp.call("get_contact", arguments).await, "get_contact") }
    };
    let foreign = about(json!({ "id": "1", "workspace_id": "ws_initech" })).await;
    assert!(foreign.contains("ws_initech") || foreign.contains("workspace"), "{foreign}");
    assert!(about(json!({})).await.starts_with("Validation error: "));
    assert!(about(json!({ "id": "1", "ids": "2" })).await.contains("did you mean `id`?"));
    for id in ["", "..", "a/../b"] {
        assert!(about(json!({ "id": id })).await.starts_with("Validation error: id: "), "{id}");
    }
    let hidden = mcp.call("admin_reset", json!({})).await;
    assert_eq!(hidden.json()["error"]["code"], -32602, "{}", hidden.text);
    assert!(backend.received().is_empty());
    let arguments = json!({ "id": "a/b", "workspace_id": "ws_acme" });
    assert_eq!(mcp.call("delete_contact", arguments).await.status, 200);
    assert_eq!(backend.received()[0].line, "DELETE /mcp/contacts/a%2Fb?workspace_id=ws_acme");
}

#[tokio::test]
async fn what_the_backend_answers_becomes_a_result_or_a_named_fault() {
    let (backend, _, mcp) = world().await;
    for (status, media, body, words) in [
        (404, "application/problem+json", r#"{"title":"Gone","detail":"no c1"}"#, "Gone: no c1"),
        (422, JSON, r#"{"errors":{"id":"odd"}}"#, "correct the arguments"),
        (500, "text/html", "<p>oops</p>", "try again later"),
    ] {
        backend.answer(status, media, body);
        for reply in [
            mcp.call("get_contact", json!({ "id": "c1" })).await,
            modern_call(&mcp, "get_contact", json!({ "id": "c1" })).await,
        ] {
            let text = tool_error(&reply, body);
            assert!(text.contains(words) && text.contains("crm answered"), "{text}");
        }
    }
    for (status, media, body, words) in [
        (401, JSON, "{}".to_owned(), "identity"),
        (403, JSON, "{}".to_owned(), "identity"),
        (302, JSON, "{}".to_owned(), "redirects"),
        (429, JSON, "{}".to_owned(), "not available"),
        (503, JSON, "{}".to_owned(), "not available"),
        (504, JSON, "{}".to_owned(), "in time"),
        (200, JSON, "{".to_owned(), "not JSON"),
        (200, "image/png", "x".to_owned(), "neither JSON nor text"),
        (200, JSON, format!("[{}1]", "1,".repeat(20_000)), "too large"),
    ] {
        backend.answer(status, media, &body);
        let reply = mcp.call("get_contact", json!({ "id": "c1" })).await;
        let text = tool_error(&reply, body.as_str());
        assert!(text.contains(words) && text.contains("crm"), "{status}: {text}");
    }
    let before = backend.received().len();
    backend.answer(204, JSON, "");
    let done = mcp.call("get_contact", json!({ "id": "c1" })).await.json();
    assert!(done["result"]["content"][0]["text"].as_str().unwrap().contains("204"), "{done}");
    assert_eq!(backend.received().len(), before + 1);
}

#[tokio::test]
async fn what_a_rest_backend_has_not_is_refused_by_name() {
    let (backend, _, mcp) = world().await;
    let reply = mcp.legacy("prompts/get", json!({ "name": "none" })).await;
    assert_eq!(reply.json()["error"]["code"], -32602, "{}", reply.text);
    let reply = mcp.legacy("logging/setLevel", json!({ "level": "info" })).await;
    assert_eq!(reply.json()["error"]["code"], -32601, "{}", reply.text);
    let unknown = mcp.legacy("tools/call", json!({ "name": "none" })).await;
    let id = unknown.json()["id"].clone();
    is_rpc_error(&unknown, unknown.status, -32602, &id, "unknown");
    assert!(backend.received().is_empty());
}
