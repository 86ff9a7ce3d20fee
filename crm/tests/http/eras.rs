//! Both eras of the protocol on one endpoint, and the tools they show.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{ACME, MODERN, World};

const MODULES: [(&str, &str); 5] = [
    ("contact", "contacts"),
    ("company", "companies"),
    ("deal", "deals"),
    ("task", "tasks"),
    ("note", "notes"),
];

fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": "a", "method": method, "params": params })
}

async fn send_modern(world: &World, method: &str, name: Option<&str>, params: Value) -> Value {
    let mut request = world
        .request(&modern(method, params))
        .header("mcp-protocol-version", MODERN)
        .header("mcp-method", method)
        .bearer_auth(world.person(&[ACME]));
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().get("mcp-session-id"), None);
    response.json().await.unwrap()
}

#[tokio::test]
async fn legacy_clients_initialize_and_call_without_a_session() {
    let world = World::start().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let initialize = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": version, "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            },
        });
        let token = world.person(&[ACME]);
        let response = world.request(&initialize).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.headers().get("mcp-session-id"), None);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert_eq!(answer["result"]["serverInfo"]["name"], "reference-crm");
    }
    let call = world.call(&[ACME], "list_companies", json!({})).await;
    assert_eq!(call.column("id").len(), 25);
    assert_eq!(call.0.get("resultType"), None);
}

#[tokio::test]
async fn modern_clients_discover_list_and_call() {
    let world = World::start().await;
    let discover = send_modern(&world, "server/discover", None, json!({})).await;
    let versions = discover["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(MODERN)));
    let list = send_modern(&world, "tools/list", None, json!({})).await;
    assert_eq!(list["result"]["cacheScope"], "public");
    let params = json!({ "name": "list_companies", "arguments": { "limit": 3 } });
    let call = send_modern(&world, "tools/call", Some("list_companies"), params).await;
    assert_eq!(call["result"]["resultType"], "complete");
    assert_eq!(call["result"]["structuredContent"]["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn arguments_and_answers_keep_to_the_schemas_the_tools_announce() {
    let world = World::start().await;
    let list = world.rpc(&[ACME], "tools/list", json!({})).await;
    let schema = |name: &str, kind: &str| {
        let tools = list["result"]["tools"].as_array().unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        jsonschema::draft202012::new(&tool[kind]).unwrap()
    };
    for (one, many) in MODULES {
        let arguments = json!({ "limit": 100, "workspace_id": ACME });
        assert!(schema(&format!("list_{many}"), "inputSchema").is_valid(&arguments));
        let page = world.call(&[ACME], &format!("list_{many}"), arguments).await;
        schema(&format!("list_{many}"), "outputSchema").validate(page.value()).unwrap();
        let (create, get) = (format!("create_{one}"), format!("get_{one}"));
        let (input, output) = (schema(&create, "inputSchema"), schema(&get, "outputSchema"));
        for record in page.value()["items"].as_array().unwrap() {
            output.validate(record).unwrap();
            // What is in the CRM from the start could have been put there by a caller.
            let mut fields = record.clone();
            for name in ["id", "created_at", "updated_at"] {
                fields.as_object_mut().unwrap().remove(name);
            }
            input.validate(&fields).unwrap();
            fields["id"] = record["id"].clone();
            let same = world.call(&[ACME], &format!("update_{one}"), fields).await;
            assert_eq!(same.value(), record);
        }
    }
}

#[tokio::test]
async fn every_tool_says_what_it_takes_gives_and_may_do() {
    let world = World::start().await;
    let list = world.rpc(&[ACME], "tools/list", json!({})).await;
    let tools = list["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 30);
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        let (input, hints) = (&tool["inputSchema"], &tool["annotations"]);
        assert_eq!(input["additionalProperties"], false);
        assert_eq!(input["properties"]["workspace_id"]["type"], "string");
        assert_eq!(tool["outputSchema"]["type"], "object");
        assert!(!tool["title"].as_str().unwrap().is_empty());
        assert!(tool["description"].as_str().unwrap().len() > 40);
        assert_eq!(hints["openWorldHint"], false);
        let operation = name.split('_').next().unwrap();
        let expected = match operation {
            "create" => json!([false, false, false]),
            "update" | "delete" => json!([false, true, true]),
            _ => json!([true, null, null]),
        };
        let told =
            json!([hints["readOnlyHint"], hints["destructiveHint"], hints["idempotentHint"]]);
        assert_eq!(told, expected, "{name}");
        if operation == "list" {
            assert_eq!(input.get("required"), None, "{name} must run with empty arguments");
        }
    }
    let contact = tools.iter().find(|tool| tool["name"] == "create_contact").unwrap();
    assert_eq!(contact["inputSchema"]["required"], json!(["name"]));
    assert_eq!(contact["inputSchema"]["properties"]["status"]["default"], "lead");
}
