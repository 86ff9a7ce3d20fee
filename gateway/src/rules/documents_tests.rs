//! Documents of a resource with two tools, judged by schemas of their own.

use super::*;
use crate::rules::openapi::Description;

fn tools() -> Vec<Box<RawValue>> {
    let tools = [
        json!({
            "name": "list.contacts", "title": "List", "description": "Lists contacts",
            "inputSchema": { "type": "object", "properties": { "q": { "$ref": "#/$defs/text" } },
                "$defs": { "text": { "type": "string" } } },
            "outputSchema": { "type": "object" },
            "annotations": { "readOnlyHint": true },
        }),
        json!({ "name": "create", "inputSchema": { "type": "object" } }),
    ];
    tools.iter().map(|tool| serde_json::value::to_raw_value(tool).unwrap()).collect()
}

fn with<T>(ask: impl FnOnce(&Subject<'_>, &[Cow<'_, RawValue>]) -> T) -> T {
    let documents = Documents {
        description: "Customers".to_owned(),
        manifest_version: "0.4".to_owned(),
        server_name: "com.example.crm/mcp".to_owned(),
        version: "1.2.3".to_owned(),
        ..Documents::default()
    };
    let subject = Subject {
        documents: &documents,
        issuer: "https://auth.example.com",
        key_headers: &["authorization".to_owned(), "x-api-key".to_owned()],
        name: "CRM",
        oauth: true,
        path: "/mcp",
        prm_url: "https://crm.example.com/.well-known/oauth-protected-resource/mcp",
        scopes: &["contacts:read".to_owned()],
        url: "https://crm.example.com/mcp",
    };
    let tools = tools();
    let tools: Vec<_> = tools.iter().map(|raw| Cow::Borrowed(&**raw)).collect();
    ask(&subject, &tools)
}

#[test]
fn the_manifest_says_where_and_how_and_repeats_the_annotations_of_the_list() {
    let manifest = with(manifest);
    assert_eq!(manifest["manifest_version"], "0.4");
    assert_eq!(manifest["transport"]["url"], "https://crm.example.com/mcp");
    assert_eq!(manifest["authorization"]["authorization_server"], "https://auth.example.com");
    assert_eq!(manifest["tools"][0]["annotations"], json!({ "readOnlyHint": true }));
    assert_eq!(manifest["tools"][1], json!({ "name": "create" }));
}

#[test]
fn the_card_holds_what_its_schema_knows_and_no_tool() {
    let card = with(|subject, _| server_card(subject));
    // What the schema of the extension asks for, which lets nothing else in.
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "required": ["$schema", "description", "name", "version"],
        "properties": {
            "$schema": { "pattern": "/v2/server-card\\.schema\\.json$" },
            "name": { "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "maxLength": 200 },
            "title": { "type": "string", "minLength": 1, "maxLength": 100 },
            "description": { "type": "string", "minLength": 1, "maxLength": 100 },
            "version": { "type": "string", "maxLength": 255 },
            "websiteUrl": { "type": "string" },
            "icons": { "items": { "required": ["src"] } },
            "remotes": { "items": {
                "type": "object", "additionalProperties": false, "required": ["type", "url"],
                "properties": {
                    "type": { "enum": ["sse", "streamable-http"] },
                    "url": { "pattern": "^https?://[^\\s]+$" },
                    "supportedProtocolVersions": { "items": { "type": "string" } },
                    "headers": { "items": { "required": ["name"] } },
                },
            } },
        },
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&card).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} {card}");
}

#[test]
fn the_description_is_read_by_our_own_reader_and_its_schemas_judge_calls() {
    let document = with(openapi);
    let described = Description::read(&document, &[]).unwrap();
    assert_eq!(described.operations.len() + described.skipped.len(), 1, "{:?}", described.skipped);
    let path = &document["paths"]["/mcp"]["post"];
    assert_eq!(path["x-mcp-tools"][0]["annotations"], json!({ "readOnlyHint": true }));
    assert_eq!(path["x-mcp-tools"][1].get("result"), None);
    assert_eq!(document["servers"][0]["url"], "https://crm.example.com");
    let mut schema = path["requestBody"]["content"]["application/json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options().offline().build(&schema).unwrap();
    let call = |name: &str, arguments: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": name, "arguments": arguments } })
    };
    assert!(validator.is_valid(&call("list.contacts", json!({ "q": "a" }))));
    assert!(validator.is_valid(&call("create", json!({}))));
    assert!(!validator.is_valid(&call("list.contacts", json!({ "q": 1 }))), "its own reference");
    assert!(!validator.is_valid(&call("drop", json!({}))));
}

#[test]
fn a_description_without_tools_is_still_one() {
    let document = with(|subject, _| openapi(subject, &[]));
    assert!(Description::read(&document, &[]).is_ok());
    assert_eq!(document["paths"]["/mcp"]["post"]["x-mcp-tools"], json!([]));
}
