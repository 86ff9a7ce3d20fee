//! A description in `OpenAPI` 3.1 as one in 3.0, whose schemas know less (`OpenAPI` 3.0.3, Schema
//! Object): what they cannot say is left out, so that they accept more, never less.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What means the same in both.
const SAME: [&str; 19] = [
    "default",
    "deprecated",
    "description",
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "title",
    "uniqueItems",
    "writeOnly",
];
/// Where schemas define others for themselves.
const DEFINED: [&str; 2] = ["$defs", "definitions"];
const COMPONENTS: &str = "#/components/schemas/";

/// The document in version 3.0.
pub(crate) fn as_3_0(mut document: Value) -> Value {
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    if let Some(schemas) = schemas {
        *schemas = lowered(std::mem::take(schemas));
    }
    // Beside the components, schemas stand where a member of that name is.
    if let Some(paths) = document.get_mut("paths") {
        visit(paths, &|members| {
            if let Some(own) = members.get_mut("schema") {
                *own = schema(own.take());
            }
        });
    }
    let whole = document.clone();
    visit(&mut document, &|members| {
        let is_lost =
            |to: &str| to.strip_prefix('#').is_some_and(|pointer| whole.pointer(pointer).is_none());
        if members.get("$ref").and_then(Value::as_str).is_some_and(is_lost) {
            members.clear();
        }
    });
    if let Some(members) = document.as_object_mut() {
        members.insert("openapi".to_owned(), "3.0.3".into());
    }
    document
}

/// Every component, and beside it what it defined for itself.
fn lowered(schemas: Map<String, Value>) -> Map<String, Value> {
    let mut moved = BTreeMap::new();
    let mut found = Map::new();
    for (part, mut value) in schemas {
        for word in DEFINED {
            let own = value.as_object_mut().and_then(|members| members.remove(word));
            let Some(Value::Object(own)) = own else { continue };
            for (name, defined) in own {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                let safe: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
                let to = format!("{part}.{safe}");
                let from = name.replace('~', "~0").replace('/', "~1");
                moved.insert(format!("{COMPONENTS}{part}/{word}/{from}"), to.clone());
                found.insert(to, schema(defined));
            }
        }
        found.insert(part, schema(value));
    }
    for value in found.values_mut() {
        visit(value, &|members| {
            let Some(Value::String(to)) = members.get_mut("$ref") else { return };
            if let Some(part) = moved.get(to.as_str()) {
                *to = format!("{COMPONENTS}{part}");
            }
        });
    }
    found
}

/// One schema.
fn schema(value: Value) -> Value {
    let members = match value {
        Value::Object(members) => members,
        Value::Bool(false) => return json!({ "not": {} }),
        _ => return json!({}),
    };
    // In 3.0 nothing stands beside a reference.
    if let Some(to @ Value::String(_)) = members.get("$ref") {
        return json!({ "$ref": to });
    }
    let mut lower = Map::new();
    for (name, value) in members {
        let name_as_is = name.clone();
        match (name.as_str(), value) {
            ("const", value) => {
                lower.insert("enum".to_owned(), json!([value]));
            }
            ("type", value) => typed(value, &mut lower),
            ("exclusiveMinimum", limit @ Value::Number(_)) => bound("Minimum", limit, &mut lower),
            ("exclusiveMaximum", limit @ Value::Number(_)) => bound("Maximum", limit, &mut lower),
            ("examples", Value::Array(examples)) => {
                lower.extend(examples.into_iter().next().map(|one| ("example".to_owned(), one)));
            }
            ("properties", Value::Object(properties)) => {
                let properties = properties.into_iter().map(|(name, own)| (name, schema(own)));
                lower.insert(name_as_is, Value::Object(properties.collect()));
            }
            ("items" | "not", own) => {
                lower.insert(name_as_is, schema(own));
            }
            ("additionalProperties", own) => {
                let own = if own.is_boolean() { own } else { schema(own) };
                lower.insert(name_as_is, own);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                lower.insert(name_as_is, all.into_iter().map(schema).collect());
            }
            ("required", Value::Array(names)) if !names.is_empty() => {
                lower.insert(name_as_is, Value::Array(names));
            }
            (name, value) if SAME.contains(&name) || name.starts_with("x-") => {
                lower.insert(name_as_is, value);
            }
            _ => {}
        }
    }
    if lower.get("type").is_some_and(|one| one == "array") && !lower.contains_key("items") {
        lower.insert("items".to_owned(), json!({}));
    }
    Value::Object(lower)
}

/// A type, or several: in 3.0 there is one, which may be null besides.
fn typed(value: Value, lower: &mut Map<String, Value>) {
    let Value::Array(types) = value else {
        if value != "null" {
            lower.insert("type".to_owned(), value);
        }
        return;
    };
    let has_null = types.iter().any(|one| one == "null");
    let mut others: Vec<Value> = types.into_iter().filter(|one| one != "null").collect();
    if others.len() == 1 {
        lower.extend(others.pop().map(|one| ("type".to_owned(), one)));
        if has_null {
            lower.insert("nullable".to_owned(), true.into());
        }
    } else if !has_null && !lower.contains_key("allOf") {
        // Of several types none can be named without losing what is said beside it.
        let any: Vec<Value> = others.into_iter().map(|one| json!({ "type": one })).collect();
        lower.insert("allOf".to_owned(), json!([{ "anyOf": any }]));
    }
}

/// A bound that is itself excluded: a flag beside it in 3.0.
fn bound(which: &str, limit: Value, lower: &mut Map<String, Value>) {
    lower.insert(which.to_lowercase(), limit);
    lower.insert(format!("exclusive{which}"), true.into());
}

/// Every object of a document.
fn visit(value: &mut Value, each: &dyn Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            each(members);
            members.values_mut().for_each(|own| visit(own, each));
        }
        Value::Array(items) => items.iter_mut().for_each(|own| visit(own, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered_one(own: &Value) -> Value {
        let document = json!({ "openapi": "3.1.0", "components": { "schemas": { "T": own } } });
        as_3_0(document)["components"]["schemas"].take()
    }

    #[test]
    fn what_3_0_cannot_say_is_said_otherwise_or_left_out() {
        for (newer, older) in [
            (json!({ "const": "2.0" }), json!({ "enum": ["2.0"] })),
            (
                json!({ "type": ["string", "null"], "minLength": 1 }),
                json!({ "type": "string", "nullable": true, "minLength": 1 }),
            ),
            (
                json!({ "type": ["string", "integer"] }),
                json!({ "allOf": [{ "anyOf": [{ "type": "string" }, { "type": "integer" }] }] }),
            ),
            (json!({ "type": ["string", "integer", "null"] }), json!({})),
            (
                json!({ "type": "integer", "exclusiveMinimum": 0 }),
                json!({ "type": "integer", "minimum": 0, "exclusiveMinimum": true }),
            ),
            (
                json!({ "type": "array", "prefixItems": [true], "unevaluatedItems": false }),
                json!({ "type": "array", "items": {} }),
            ),
            (
                json!({
                    "$schema": "https://json-schema.org/draft/2020-12/schema", "required": [],
                    "properties": { "type": true, "const": { "examples": [1, 2] } },
                    "additionalProperties": false,
                }),
                json!({
                    "properties": { "type": {}, "const": { "example": 1 } },
                    "additionalProperties": false,
                }),
            ),
            (json!({ "if": true, "then": false, "not": false }), json!({ "not": { "not": {} } })),
        ] {
            assert_eq!(lowered_one(&newer)["T"], older, "{newer}");
        }
    }

    #[test]
    fn what_a_schema_defines_for_itself_stands_beside_it() {
        let found = lowered_one(&json!({
            "properties": {
                "a": { "$ref": "#/components/schemas/T/$defs/text", "description": "gone" },
                "b": { "$ref": "#/components/schemas/T/$defs/none" },
                "c": { "$ref": "#/components/schemas/T" },
            },
            "$defs": { "text": { "const": "x" } },
        }));
        assert_eq!(found["T.text"], json!({ "enum": ["x"] }));
        let expected = json!({
            "a": { "$ref": "#/components/schemas/T.text" },
            "b": {},
            "c": { "$ref": "#/components/schemas/T" },
        });
        assert_eq!(found["T"]["properties"], expected);
    }
}
