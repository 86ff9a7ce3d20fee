//! Several backends behind one resource, each with names of its own.

use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tests::{Answer, Backend, CRM_AUDIENCE, Mcp, Options, RestBackend, Speaks, World};

use crate::mcp_cases::{signed_in, tool_error};

/// Where the second backend listens; each test has a process of its own.
static REST: AtomicU16 = AtomicU16::new(0);

/// The demo's backend and a REST backend, behind both resources.
#[expect(clippy::needless_pass_by_value, reason = "it stands where a closure would")]
fn both(text: String) -> String {
    let audience = format!("audience = \"{CRM_AUDIENCE}\"");
    let named = format!("{audience}\nprefix = \"nw_\"\nalias = {{ people = \"list_contacts\" }}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/rest.yaml");
    let port = REST.load(Ordering::SeqCst);
    let rest = format!(
        "\n[[backend]]\nname = \"rest\"\nurl = \"http://127.0.0.1:{port}/v2\"\n\
         openapi = \"{file}\"\ntimeout_ms = 500\n[[backend.operation]]\nmatch = \"*\"\nalways_allowed = true\n"
    );
    text.replace(&audience, &named)
        .replace("backends = [\"crm\"]", "backends = [\"crm\", \"rest\"]")
        + &rest
}

async fn world() -> (Backend, RestBackend, World, Mcp) {
    beside(Backend::start().await).await
}

async fn beside(backend: Backend) -> (Backend, RestBackend, World, Mcp) {
    let rest = RestBackend::start().await;
    REST.store(rest.address.port(), Ordering::SeqCst);
    let address = Some(backend.address);
    let options = Options { backend: address, edit: both, gateway: true, ..Options::default() };
    let world = World::with(options).await;
    let mcp = signed_in(&world).await;
    (backend, rest, world, mcp)
}

#[tokio::test]
async fn one_list_names_the_tools_of_both() {
    let (_, _, _, mcp) = world().await;
    let legacy = mcp.legacy("tools/list", json!({})).await.json()["result"]["tools"].clone();
    let modern = mcp.modern("tools/list", json!({})).await.json()["result"]["tools"].clone();
    assert_eq!(legacy, modern);
    let tools = legacy.as_array().unwrap();
    let mut names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "admin_reset",
        "contactRemoval",
        "create_contact",
        "get_contact",
        "list_contacts",
        "nw_create_contact",
        "nw_delete_contact",
        "people",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_call_goes_to_the_owner_of_the_name_under_its_own_name() {
    let (backend, rest, _, mcp) = world().await;
    let arguments = json!({ "workspace_id": "ws_acme" });
    for (name, own) in [("people", "list_contacts"), ("nw_create_contact", "create_contact")] {
        let params = json!({ "name": name, "arguments": arguments });
        assert_eq!(mcp.legacy("tools/call", params.clone()).await.status, 200, "{name}");
        assert_eq!(mcp.modern("tools/call", params).await.status, 200, "{name}");
        let calls = backend.calls();
        let [.., old, new] = calls.as_slice() else { panic!("{calls:?}") };
        for received in [old, new] {
            assert_eq!(received.message["params"]["name"], own);
            assert_eq!(received.message["params"]["arguments"], arguments);
        }
        assert_eq!(new.header("mcp-name"), own);
    }
    assert!(rest.received().is_empty());
    assert_eq!(mcp.call("list_contacts", json!({})).await.status, 200);
    assert_eq!(rest.received()[0].line, "GET /v2/contacts");
    assert_eq!(backend.calls().len(), 4);
}

#[tokio::test]
async fn a_fault_names_its_backend_and_spares_the_others() {
    let (_, rest, _, mcp) = world().await;
    rest.answer(503, "application/json", "{}");
    let reply = mcp.call("list_contacts", json!({})).await;
    assert_eq!(reply.header("retry-after"), "2");
    let text = tool_error(&reply, "a fault");
    assert!(
        text.contains("the backend rest is not available now and asks for time; try again in 2 s"),
        "{text}"
    );
    assert_eq!(mcp.call("people", json!({})).await.status, 200);
    let unknown = mcp.call("nw_list_contacts", json!({})).await.json();
    let made_up = mcp.call("nobody_has_this", json!({})).await.json();
    let without_id = |mut message: Value| {
        message["id"] = Value::Null;
        message
    };
    assert_eq!(without_id(unknown), without_id(made_up), "an own name is no name here");
}

/// MCP 2026-07-28, tasks extension: the id of a task leads back to the backend that has it.
#[tokio::test]
async fn a_task_is_asked_for_at_the_backend_that_has_it() {
    let extension = "io.modelcontextprotocol/tasks";
    let (backend, rest, _world, mcp) = beside(Backend::whole(Speaks::Modern).await).await;
    let told = mcp.modern("server/discover", json!({})).await.json();
    let extensions = &told["result"]["capabilities"]["extensions"];
    assert_eq!(*extensions, json!({ extension: {} }), "{told}");
    backend.answer(Answer::Result(json!({ "resultType": "task", "taskId": "t-1" })));
    let declared = json!({ "io.modelcontextprotocol/clientCapabilities": {
        "extensions": { extension: {} } } });
    let params = json!({ "name": "nw_create_contact", "_meta": declared,
        "arguments": { "workspace_id": "ws_acme" } });
    let begun = mcp.modern("tools/call", params).await.message();
    let sealed = begun["result"]["taskId"].as_str().unwrap().to_owned();
    assert_ne!(sealed, "t-1");
    backend.answer(Answer::Result(json!({ "taskId": "t-1", "status": "working" })));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({ "taskId": sealed, "_meta": declared });
        let reply = mcp.modern(method, params).await.message();
        assert_eq!(reply["result"]["taskId"], sealed, "{method}: {reply}");
        assert_eq!(backend.heard(method)[0].message["params"]["taskId"], "t-1", "{method}");
        let made_up = json!({ "taskId": "t-1", "_meta": declared });
        let refused = mcp.modern(method, made_up).await;
        assert_eq!(refused.json()["error"]["code"], -32602, "{method}: {}", refused.text);
        let undeclared = mcp.modern(method, json!({ "taskId": sealed })).await;
        assert_eq!(undeclared.json()["error"]["code"], -32021, "{method}: {}", undeclared.text);
        assert_eq!(backend.heard(method).len(), 1, "{method}");
    }
    assert_eq!(rest.received().len(), 0);
}
