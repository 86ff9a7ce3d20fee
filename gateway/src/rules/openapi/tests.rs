//! Descriptions as tools, and calls as requests, with what must hold for any of them.

use proptest::prelude::*;
use serde_json::{json, value::RawValue};
use url::Url;

use super::*;
use crate::rules::{members::Members, protocol::Era};

#[path = "fuzz.rs"]
mod fuzz;

/// A CRM in the words of `OpenAPI` 3.0.
fn crm() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": { "title": "CRM", "version": "7", "description": "Customers." },
        "servers": [{ "url": "https://elsewhere.example" }],
        "paths": {
            "/workspaces/{workspace_id}/contacts/{id}": {
                "parameters": [
                    { "$ref": "#/components/parameters/Workspace" },
                    { "name": "id", "in": "path", "required": true,
                      "schema": { "type": "string" } },
                ],
                "get": {
                    "operationId": "contacts.get",
                    "summary": "Get a contact",
                    "description": "With all its fields.",
                    "parameters": [
                        { "name": "id", "in": "query", "schema": { "type": "integer" } },
                        { "name": "fields", "in": "query", "explode": false,
                          "schema": { "type": "array", "items": { "type": "string" } } },
                        { "name": "filter", "in": "query", "style": "deepObject",
                          "schema": { "type": "object" } },
                        { "name": "tag", "in": "query",
                          "schema": { "type": "array", "items": { "type": "string" } } },
                        { "name": "free", "in": "query", "schema": { "type": "object" } },
                        { "name": "raw", "in": "query",
                          "content": { "application/json": { "schema": {} } } },
                        { "name": "X-Tenant", "in": "header", "schema": { "type": "string" } },
                        { "name": "X-Secret", "in": "header", "schema": { "type": "string" } },
                    ],
                },
                "put": {
                    "requestBody": { "required": true, "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Contact" } } } },
                },
                "delete": { "operationId": "remove contact!" },
            },
            "/upload": { "post": { "requestBody": { "required": true,
                "content": { "image/png": {} } } } },
            "/cookie": { "get": { "parameters": [{ "name": "c", "in": "cookie",
                "required": true, "schema": {} }] } },
            "/away": { "get": { "parameters": [{ "name": "a", "in": "query",
                "schema": { "$ref": "https://elsewhere.example/schema.json" } }] } },
            "/bulk": { "post": { "operationId": "bulk", "requestBody": { "content": {
                "application/json": { "schema": { "type": "array" } } } } } },
        },
        "components": {
            "parameters": { "Workspace": { "name": "workspace_id", "in": "path",
                "required": true, "schema": { "$ref": "#/components/schemas/Id" } } },
            "schemas": {
                "Id": { "type": "string" },
                "Contact": { "type": "object", "required": ["id", "name", "made"], "properties": {
                    "id": { "type": "string", "nullable": true },
                    "made": { "type": "string", "readOnly": true },
                    "name": { "type": "string" },
                    "score": { "type": "number", "minimum": 0, "exclusiveMinimum": true },
                    "boss": { "$ref": "#/components/schemas/Contact" },
                    "kind": { "$ref": "#/components/schemas/Id" },
                } },
            },
        },
    })
}

fn read(value: &Value) -> Description {
    Description::read(value, &["x-tenant".to_owned()]).unwrap()
}

fn operation(id: &str) -> Operation {
    let found = read(&crm()).operations.into_iter().find(|one| one.id.starts_with(id));
    found.unwrap_or_else(|| panic!("no {id}"))
}

fn base() -> Url {
    Url::parse("http://crm:8080/api/").unwrap()
}

fn ask(operation: &Operation, arguments: &Value) -> Result<RestRequest, String> {
    let text = arguments.to_string();
    request(operation, &base(), &Members::read(text.as_bytes()).unwrap())
}

#[test]
fn operations_become_tools_with_names_words_and_hints() {
    let crm = read(&crm());
    assert_eq!(
        (crm.title.as_deref(), crm.version.as_deref(), crm.about.as_deref()),
        (Some("CRM"), Some("7"), Some("Customers."))
    );
    let tools: Vec<Value> = crm.operations.iter().map(Operation::to_tool).collect();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let put = "put_workspaces_workspace_id_contacts_id";
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["bulk", "contacts_get", put, "remove_contact"]);
    let tool = |name: &str| &tools[names.iter().position(|one| *one == name).unwrap()];
    let get = tool("contacts_get");
    assert_eq!(get["title"], "Get a contact");
    assert_eq!(get["description"], "Get a contact\n\nWith all its fields.");
    assert_eq!(get["annotations"]["readOnlyHint"], true);
    assert_eq!(tool("remove_contact")["annotations"]["destructiveHint"], true);
    assert_eq!(tool(put)["annotations"]["idempotentHint"], true);
    assert_eq!(tool("bulk")["annotations"]["readOnlyHint"], false);
    assert_eq!(tool("bulk")["annotations"]["idempotentHint"], false);
}

#[test]
fn arguments_of_all_places_are_one_object_with_names_of_their_own() {
    let get = operation("GET").tool.schema;
    let mut names: Vec<&String> = get["properties"].as_object().unwrap().keys().collect();
    names.sort_unstable();
    let expected =
        ["X-Tenant", "fields", "filter", "free", "id", "query_id", "raw", "tag", "workspace_id"];
    assert_eq!(names, expected);
    assert_eq!(get["properties"]["workspace_id"], json!({ "type": "string" }), "inline");
    assert_eq!(get["additionalProperties"], false);
    let put = operation("PUT").tool.schema;
    let mut required: Vec<&str> =
        put["required"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    required.sort_unstable();
    assert_eq!(required, ["body_id", "id", "name", "workspace_id"]);
    assert_eq!(put["properties"]["body_id"]["type"], json!(["string", "null"]));
    assert!(put["properties"].get("made").is_none(), "only the server sets it");
    assert_eq!(put["properties"]["score"], json!({ "type": "number", "exclusiveMinimum": 0 }));
    assert_eq!(put["properties"]["kind"], json!({ "type": "string" }));
    assert!(put["$defs"]["Contact"].is_object());
}

#[test]
fn what_cannot_be_called_is_skipped_by_name() {
    let skipped = read(&crm()).skipped;
    let why = |id: &str| skipped.iter().find(|one| one.id == id).map(|one| one.why.clone());
    assert_eq!(why("POST /upload"), Some(Unsupported::Body));
    assert_eq!(why("GET /cookie"), Some(Unsupported::Header("c".to_owned())));
    let away = "https://elsewhere.example/schema.json".to_owned();
    assert_eq!(why("GET /away"), Some(Unsupported::External(away)));
    assert_eq!(skipped.len(), 3);
}

#[test]
fn a_document_of_another_kind_is_refused() {
    for (value, error) in [
        (json!({ "swagger": "2.0", "paths": {} }), InvalidDescription::Version),
        (json!({ "openapi": "3.2.0", "paths": {} }), InvalidDescription::Version),
        (json!({ "openapi": "3.1.0" }), InvalidDescription::Paths),
        (json!([]), InvalidDescription::Version),
    ] {
        assert_eq!(Description::read(&value, &[]).unwrap_err(), error, "{value}");
    }
}

#[test]
fn references_without_an_end_and_deep_schemas_are_refused() {
    let with = |schema: Value| {
        let parameter = json!({ "name": "a", "in": "query", "schema": schema });
        let value = json!({ "openapi": "3.1.0",
            "paths": { "/a": { "get": { "parameters": [parameter] } } },
            "components": { "schemas": {
                "Loop": { "$ref": "#/components/schemas/Loop" },
                "Tree": { "type": "object",
                    "properties": { "next": { "$ref": "#/components/schemas/Tree" } } },
            } } });
        let read = read(&value);
        read.skipped.first().map(|one| one.why.clone())
    };
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    assert_eq!(with(reference("Loop")), Some(Unsupported::Depth));
    assert_eq!(with(reference("Tree")), None);
    let missing = Unsupported::Reference("#/components/schemas/None".to_owned());
    assert_eq!(with(reference("None")), Some(missing));
    let deep = (0..100).fold(json!({}), |inner, _| json!({ "items": inner }));
    assert_eq!(with(deep), Some(Unsupported::Depth));
    let wide = json!({ "enum": [1], "allOf": vec![json!({}); 30_000] });
    assert_eq!(with(wide), Some(Unsupported::Size));
}

#[test]
fn arguments_go_where_the_description_says() {
    let asked = ask(
        &operation("GET"),
        &json!({
            "workspace_id": "ws_a", "id": "a/b ü", "query_id": 12_345_678_901_234_567_890_u64,
            "fields": ["a,b", "c"], "filter": { "name": "x&y=z" }, "tag": ["1", "2"],
            "free": { "k": "v" }, "raw": { "a": [1] }, "X-Tenant": "t1",
        }),
    );
    let asked = asked.unwrap();
    assert_eq!(
        asked.target,
        "/api/workspaces/ws_a/contacts/a%2Fb%20%C3%BC?id=12345678901234567890&fields=a%2Cb,c\
         &filter%5Bname%5D=x%26y%3Dz&tag=1&tag=2&k=v&raw=%7B%22a%22%3A%5B1%5D%7D"
    );
    assert_eq!(asked.headers["x-tenant"], "t1");
    assert_eq!((asked.headers.len(), asked.body), (1, None));
}

#[test]
fn a_body_is_put_together_with_its_bytes() {
    let put = operation("PUT");
    let text = r#"{"id":"1","workspace_id":"w","body_id":null,"name":"N","score":1.0e2}"#;
    let asked = request(&put, &base(), &Members::read(text.as_bytes()).unwrap()).unwrap();
    let body: Value = serde_json::from_slice(asked.body.as_deref().unwrap()).unwrap();
    assert_eq!(body, json!({ "id": null, "name": "N", "score": 100.0 }));
    assert!(String::from_utf8(asked.body.unwrap().to_vec()).unwrap().contains("1.0e2"));
    let bulk = operation("POST /bulk");
    assert_eq!(ask(&bulk, &json!({ "body": [1, 2] })).unwrap().body.unwrap(), "[1,2]");
    assert_eq!(ask(&bulk, &json!({})).unwrap().body, None);
}

#[test]
fn values_that_mean_another_path_or_header_are_refused() {
    let with = |name: &str, value: Value| {
        let mut arguments = json!({ "workspace_id": "w", "id": "1" });
        arguments[name] = value;
        ask(&operation("GET"), &arguments).unwrap_err()
    };
    for value in ["", ".", "..", "../x", "a/../b", "a\\..\\b", "a\u{0}", "a\nb"] {
        let words = with("id", value.into());
        assert!(words.starts_with("Validation error: id: "), "{value:?}: {words}");
    }
    assert!(with("X-Tenant", "a\r\nx: y".into()).contains("X-Tenant"));
    assert!(with("free", json!({ "id": 7 })).contains("`id` is an argument of its own"));
    assert!(with("filter", json!({ "a": { "b": 1 } })).contains("filter"));
    assert!(with("tag", vec!["long"; 9000].into()).contains("too long"));
}

fn answered(status: u16, media: &str, body: &str) -> Result<Value, &'static str> {
    let id = RawValue::from_string("7".to_owned()).unwrap();
    let status = http::StatusCode::from_u16(status).unwrap();
    let received = Received { body: body.as_bytes(), media, status };
    let to = (&*id, Era::Modern);
    let message = result(to, ("crm", &operation("PUT")), received)?;
    let message: Value = serde_json::from_slice(&message).unwrap();
    assert_eq!((&message["id"], &message["jsonrpc"]), (&json!(7), &json!("2.0")));
    assert_eq!(message["result"]["resultType"], "complete");
    Ok(message["result"].clone())
}

#[test]
fn answers_become_results() {
    let json = "application/json";
    let object = answered(200, json, r#"{"a": 1.0e2}"#).unwrap();
    assert_eq!(object["structuredContent"], json!({ "a": 100.0 }));
    assert_eq!(object["content"][0]["text"], r#"{"a": 1.0e2}"#);
    assert!(object.get("isError").is_none());
    let list = answered(200, "application/hal+json", "[1]").unwrap();
    assert!(list.get("structuredContent").is_none(), "clients know objects alone");
    assert_eq!(list["content"][0]["text"], "[1]");
    assert_eq!(answered(200, "text/plain", "hi").unwrap()["content"][0]["text"], "hi");
    let empty = answered(204, "", "").unwrap();
    assert!(empty["content"][0]["text"].as_str().unwrap().contains("204"));
    assert_eq!(answered(200, json, "{"), Err("it is not JSON"));
    assert_eq!(answered(200, "image/png", "x"), Err("it is neither JSON nor text"));
}

#[test]
fn error_statuses_say_what_to_do() {
    for (status, words) in [
        (400, "correct the arguments"),
        (404, "look it up"),
        (409, "read it"),
        (422, "correct the arguments"),
        (500, "may have taken effect"),
    ] {
        let problem = r#"{"title":"Wrong","detail":"no such stage"}"#;
        let result = answered(status, "application/problem+json", problem).unwrap();
        assert_eq!(result["isError"], true, "{status}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(words) && text.contains("Wrong: no such stage"), "{text}");
        assert!(text.starts_with(&format!("crm answered {status}")), "{text}");
    }
}

proptest! {
    /// Whatever a path parameter is, the request stays below its own path, and a reader of the
    /// URL finds the value that was given.
    #[test]
    fn a_path_parameter_is_one_segment(id in ".{0,40}", workspace in "[a-z./%]{1,8}") {
        let get = operation("GET");
        let arguments = json!({ "workspace_id": workspace, "id": id });
        if let Ok(asked) = ask(&get, &arguments) {
            let url = base().join(&asked.target).unwrap();
            prop_assert_eq!(url.origin(), base().origin());
            prop_assert!(url.query().is_none() && url.fragment().is_none());
            let segments: Vec<&str> = url.path().split('/').collect();
            prop_assert_eq!(segments.len(), 6);
            prop_assert_eq!(decoded(segments[3]), workspace);
            prop_assert_eq!(decoded(segments[5]), id);
        }
    }

    /// A query says what was given, and nothing else.
    #[test]
    fn a_query_holds_what_was_given(tags in prop::collection::vec(".{0,20}", 1..4), x in ".{1,20}") {
        let get = operation("GET");
        let filter = json!({ "x": x });
        let arguments = json!({ "workspace_id": "w", "id": "1", "tag": tags, "filter": filter });
        let asked = ask(&get, &arguments).unwrap();
        let url = base().join(&asked.target).unwrap();
        let pairs: Vec<(String, String)> =
            url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let mut expected = vec![("filter[x]".to_owned(), x)];
        expected.extend(tags.into_iter().map(|tag| ("tag".to_owned(), tag)));
        prop_assert_eq!(pairs, expected);
    }
}

/// The text behind escapes.
fn decoded(segment: &str) -> String {
    let pair = format!("x={}", segment.replace('+', "%2B"));
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next().unwrap();
    value.into_owned()
}
