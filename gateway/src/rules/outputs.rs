//! What tools answer beside their text, for clients of the legacy era: those know objects alone
//! (MCP 2025-11-25, tools, output schema), so anything else stands in a member `result`.

use serde_json::{Map, Value, json, value::RawValue};

use crate::rules::members::Members;

const CONTENT: &str = "structuredContent";
const SCHEMA: &str = "outputSchema";
const RESULT: &str = "result";

/// Whether a tool's schema, if it has one, is of objects, so that the legacy era has words for it.
pub(crate) fn is_legacy(tool: &RawValue) -> bool {
    let text = tool.get();
    // A name may be written with escapes.
    if !text.contains(SCHEMA) && !text.contains("\\u") {
        return true;
    }
    let tool: Option<Map<String, Value>> = serde_json::from_str(text).ok();
    let schema = tool.as_ref().map(|tool| tool.get(SCHEMA));
    schema.is_some_and(|schema| schema.is_none_or(|schema| schema["type"] == "object"))
}

/// A tool in words of the legacy era: its results stand in an object, or, where that is not known
/// or would break the schema's references, nothing is said of them.
pub(crate) fn tool_to_legacy(tool: &RawValue, are_wrapped: bool) -> Option<Box<RawValue>> {
    let once: String;
    let mut members = if let Some(members) = Members::read(tool.get().as_bytes()) {
        members
    } else {
        // Of two members of one name the last one counts.
        once = serde_json::from_str::<Value>(tool.get()).ok()?.to_string();
        Members::read(once.as_bytes())?
    };
    match members.find(SCHEMA).filter(|_| are_wrapped).and_then(wrapped) {
        Some(schema) => members.set(SCHEMA, schema),
        None => members.remove(SCHEMA),
    }
    serde_json::value::to_raw_value(&members).ok()
}

/// The result of a tool whose results are wrapped, or which are not objects.
pub(crate) fn result_to_legacy(result: &mut Members<'_>, are_wrapped: bool) {
    let content = result.find(CONTENT).filter(|raw| are_wrapped || !raw.get().starts_with('{'));
    let Some(content) = content.map(ToOwned::to_owned) else { return };
    let mut object = Members::default();
    object.set(RESULT, content);
    result.set(CONTENT, &object);
}

/// The schema of the object around a value. Definitions stay where references look for them.
fn wrapped(schema: &RawValue) -> Option<Box<RawValue>> {
    let value: Value = serde_json::from_str(schema.get()).ok()?;
    if !value.is_object() || !is_movable(&value) {
        return None;
    }
    let mut inner = Members::read(schema.get().as_bytes())?;
    let mut outer = Members::default();
    for name in ["$schema", "$defs", "definitions"] {
        if let Some(moved) = inner.find(name).map(ToOwned::to_owned) {
            inner.remove(name);
            outer.set(name, moved);
        }
    }
    let mut properties = Members::default();
    properties.set(RESULT, &inner);
    outer.set("type", "object");
    outer.set("properties", &properties);
    outer.set("required", json!([RESULT]));
    serde_json::value::to_raw_value(&outer).ok()
}

/// Whether a schema means the same inside of another one that has its definitions (JSON Schema
/// 2020-12, core, section 8.2): nothing in it refers to its root or gives it a name.
fn is_movable(schema: &Value) -> bool {
    match schema {
        Value::Array(all) => all.iter().all(is_movable),
        Value::Object(members) => members.iter().all(|(name, value)| match (&**name, value) {
            ("$ref", Value::String(to)) => {
                to.starts_with("#/$defs/") || to.starts_with("#/definitions/")
            }
            // A property of such a name has a schema, and no text.
            (
                "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$id" | "$recursiveRef",
                Value::String(_),
            ) => false,
            _ => is_movable(value),
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn tool(schema: &Value) -> Box<RawValue> {
        raw(&json!({ "name": "a", "outputSchema": schema, "z": 1 }))
    }

    fn told(tool: &RawValue, are_wrapped: bool) -> Value {
        serde_json::from_str(tool_to_legacy(tool, are_wrapped).unwrap().get()).unwrap()
    }

    #[test]
    fn only_schemas_of_objects_are_the_legacy_eras() {
        assert!(is_legacy(&raw(&json!({ "name": "a" }))));
        assert!(is_legacy(&raw(&json!({ "name": "\u{1}" }))));
        assert!(is_legacy(&tool(&json!({ "type": "object", "properties": {} }))));
        for schema in [
            json!({ "type": "array" }),
            json!({ "type": ["object", "null"] }),
            json!({ "anyOf": [{ "type": "object" }] }),
            json!({}),
            json!(true),
            Value::Null,
        ] {
            assert!(!is_legacy(&tool(&schema)), "{schema}");
        }
        let escaped = r#"{"name":"a","output\u0053chema":{"type":"string"}}"#;
        assert!(!is_legacy(&RawValue::from_string(escaped.to_owned()).unwrap()));
    }

    #[test]
    fn a_schema_is_wrapped_and_finds_its_definitions() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": { "one": { "type": "object", "properties": { "next": { "$ref": "#/$defs/one" } } } },
            "type": "array",
            "items": { "$ref": "#/$defs/one" },
        });
        let told = told(&tool(&schema), true);
        assert_eq!((&told["name"], &told["z"]), (&json!("a"), &json!(1)));
        let wrapped = &told["outputSchema"];
        let expected = json!({
            "$schema": schema["$schema"],
            "$defs": schema["$defs"],
            "type": "object",
            "properties": { "result": { "type": "array", "items": { "$ref": "#/$defs/one" } } },
            "required": ["result"],
        });
        assert_eq!(*wrapped, expected);
        let judge = jsonschema::validator_for(wrapped).unwrap();
        assert!(judge.is_valid(&json!({ "result": [{ "next": {} }] })));
        assert!(!judge.is_valid(&json!({ "result": [{ "next": 1 }] })));
        assert!(!judge.is_valid(&json!([{ "next": {} }])));
    }

    #[test]
    fn a_schema_that_cannot_be_moved_is_left_out() {
        for schema in [
            json!({ "type": "array", "items": { "$ref": "#" } }),
            json!({ "anyOf": [{ "$ref": "#/anyOf/1" }, { "type": "null" }] }),
            json!({ "type": "array", "items": { "$ref": "#node" } }),
            json!({ "type": "array", "items": { "$ref": "https://example.com/one" } }),
            json!({ "$id": "urn:x", "type": "array" }),
            json!({ "type": "array", "items": { "$anchor": "node" } }),
            json!({ "$dynamicAnchor": "node", "items": { "$dynamicRef": "#node" } }),
            json!({ "items": { "$recursiveRef": "#" } }),
            json!(true),
            Value::Null,
        ] {
            let told = told(&tool(&schema), true);
            assert_eq!(told, json!({ "name": "a", "z": 1 }), "{schema}");
        }
        let own =
            json!({ "type": "array", "items": { "properties": { "$id": { "type": "string" } } } });
        assert_eq!(told(&tool(&own), true)["outputSchema"]["properties"]["result"], own);
        assert_eq!(told(&tool(&own), false), json!({ "name": "a", "z": 1 }));
    }

    #[test]
    fn a_tool_with_a_member_twice_is_told_too() {
        let text = r#"{"name":"a","x":1,"x":2,"outputSchema":{"type":"string"}}"#;
        let tool = RawValue::from_string(text.to_owned()).unwrap();
        let told = told(&tool, true);
        assert_eq!(told["x"], 2);
        assert_eq!(told["outputSchema"]["properties"]["result"], json!({ "type": "string" }));
    }

    #[test]
    fn what_is_no_object_stands_in_one_and_keeps_its_bytes() {
        for (content, are_wrapped, expected) in [
            ("[1.0e2]", false, r#"{"result":[1.0e2]}"#),
            ("null", false, r#"{"result":null}"#),
            (r#""a""#, true, r#"{"result":"a"}"#),
            (r#"{"a":1.0}"#, true, r#"{"result":{"a":1.0}}"#),
            (r#"{"a":1.0}"#, false, r#"{"a":1.0}"#),
        ] {
            let text = format!(r#"{{"content":[],"structuredContent":{content},"isError":true}}"#);
            let mut result = Members::read(text.as_bytes()).unwrap();
            result_to_legacy(&mut result, are_wrapped);
            let expected =
                format!(r#"{{"content":[],"structuredContent":{expected},"isError":true}}"#);
            assert_eq!(String::from_utf8(result.to_vec()).unwrap(), expected);
        }
        let mut without = Members::read(br#"{"content":[]}"#).unwrap();
        result_to_legacy(&mut without, true);
        assert_eq!(without.to_vec(), br#"{"content":[]}"#);
    }
}
