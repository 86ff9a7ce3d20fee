//! The quick form says yes only where the validator does.

use proptest::prelude::*;
use serde_json::{json, value::RawValue};

use super::*;
use crate::rules::arguments::{ArgumentSchema, check};

fn compiled(schema: &Value) -> ArgumentSchema {
    ArgumentSchema::compile(&RawValue::from_string(schema.to_string()).unwrap()).unwrap()
}

fn fits(schema: &ArgumentSchema, arguments: &str) -> bool {
    schema.quick().unwrap().surely_fits(arguments, |_, _| {})
}

#[test]
fn arguments_of_a_plain_schema_fit_without_the_validator() {
    let schema = compiled(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            "query": {"type": "string", "title": "Query"},
            "ratio": {"type": ["number", "null"]},
            "sorted": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "stage": {"type": "string", "enum": ["open", "won"]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
            "when": {"type": "string", "format": "date"},
            "workspace_id": {"type": "string", "x-mcp-header": "Workspace"},
        },
        "required": ["workspace_id"],
        "additionalProperties": false,
    }));
    for (arguments, expected) in [
        (r#"{"limit":20,"query":"Acme","stage":"won","workspace_id":"a"}"#, true),
        (r#" { "workspace_id" : "a" , "ratio" : 1.5e3, "query":"\"\u00e9" } "#, true),
        (r#"{"workspace_id":"a","ratio":null,"sorted":true,"tags":["a","gr\u00fc"]}"#, false),
        (r#"{"workspace_id":"a","ratio":null,"sorted":null,"tags":["abc"]}"#, true),
        (r#"{"workspace_id":"a","tags":["\u00fc\u00fc\u00fc","b"]}"#, false),
        ("{\"workspace_id\":\"a\",\"tags\":[\"\u{fc}\u{fc}\u{fc}\",\"b\"]}", true),
        (r#"{"workspace_id":"a","tags":["a","b","c"]}"#, false),
        (r#"{"workspace_id":"a","tags":[["a"]]}"#, false),
        (r#"{"workspace_id":"a","limit":0}"#, false),
        (r#"{"workspace_id":"a","limit":1.0}"#, false),
        (r#"{"workspace_id":"a","limit":101}"#, false),
        (r#"{"workspace_id":"a","stage":"\u0077on"}"#, false),
        (r#"{"workspace_id":"a","when":"2026-01-01"}"#, false),
        (r#"{"workspace_id":"a","other":1}"#, false),
        (r#"{"workspace_id":"a","workspace_id":"b"}"#, false),
        (r#"{"w\u006frkspace_id":"a"}"#, true),
        (r#"{"workspace_id":{"workspace_id":"a"}}"#, false),
        (r#"{"limit":20}"#, false),
        ("{}", false),
        ("null", false),
        ("[]", false),
    ] {
        assert_eq!(fits(&schema, arguments), expected, "{arguments}");
    }
}

#[test]
fn what_only_the_validator_knows_has_no_quick_form() {
    let whole = |more: Value| {
        let mut schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Quick::of(&schema).is_some()
    };
    assert!(whole(json!({"description": "d", "additionalProperties": {"type": "integer"}})));
    for more in [
        json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
        json!({"$ref": "#/$defs/a"}),
        json!({"anyOf": [{"required": ["a"]}]}),
        json!({"dependentRequired": {"a": ["b"]}}),
        json!({"maxProperties": 1}),
        json!({"not": {}}),
        json!({"patternProperties": {"^a": false}}),
        json!({"propertyNames": {"maxLength": 0}}),
        json!({"required": ["b"]}),
        json!({"type": ["object", "null"]}),
    ] {
        assert!(!whole(more.clone()), "{more}");
    }
    for schema in [
        json!(true),
        json!({}),
        json!({"$ref": "#"}),
        json!({"anyOf": [{"type": "string"}], "minLength": 3}),
        json!({"const": "a"}),
        json!({"enum": ["a", 1]}),
        json!({"items": {"type": "string"}}),
        json!({"maximum": 0.5, "type": "number"}),
        json!({"pattern": "a", "type": "string"}),
        json!({"type": "array"}),
        json!({"type": "array", "items": {"type": "object"}}),
        json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        json!({"type": "object"}),
    ] {
        assert!(Form::of(&schema).is_none(), "{schema}");
    }
    assert!(Property::of("$a", &json!({"type": "string"})).form.is_none());
    let many = (0..65).map(|n| (format!("p{n}"), json!({"type": "string"})));
    let many = json!({"properties": many.collect::<Map<_, _>>()});
    assert!(Quick::of(&many).is_none());
}

/// Schemas of one property: such as have a quick form, and such as have none.
pub(crate) fn property() -> impl Strategy<Value = Value> {
    let plain = || {
        prop::sample::select(vec![
            json!({"type": "string"}),
            json!({"type": "string", "minLength": 1, "maxLength": 2}),
            json!({"type": "string", "maxLength": 0, "title": "t"}),
            json!({"type": "integer"}),
            json!({"type": "integer", "minimum": -1, "maximum": 7}),
            json!({"type": "number"}),
            json!({"type": "number", "minimum": 0}),
            json!({"type": "number", "maximum": 1.5}),
            json!({"type": "boolean", "default": true}),
            json!({"type": "null"}),
            json!({"type": ["string", "null"], "maxLength": 1}),
            json!({"type": ["integer", "string"], "minimum": 1, "minLength": 2}),
            json!({"type": ["null", "string"], "enum": ["a", "b"]}),
            json!({"enum": ["a", "\"", "7", "\u{e9}"]}),
            json!({"enum": ["a", null, 7]}),
            json!({"type": "string", "pattern": "^a"}),
            json!({}),
        ])
    };
    prop_oneof![
        4 => plain(),
        2 => (plain(), 0..3, 0..4).prop_map(|(items, least, most)| {
            json!({"type": "array", "items": items, "minItems": least, "maxItems": most})
        }),
        1 => (plain(), plain()).prop_map(|(one, other)| json!({"anyOf": [one, other]})),
    ]
}

const NAMES: [&str; 5] = ["a", "b", "\u{e9}", "workspace_id", "body_workspace_id"];

/// Schemas of objects with such properties.
pub(crate) fn schema() -> impl Strategy<Value = Value> {
    let properties =
        prop::collection::vec((prop::sample::select(NAMES.to_vec()), property()), 0..5);
    let required = prop::sample::subsequence(NAMES.to_vec(), 0..=2);
    let bound = prop::option::weighted(0.7, prop::sample::select(vec!["string", "integer"]));
    let flags = (prop::option::of(any::<bool>()), bound, prop::bool::weighted(0.3));
    (properties, required, flags).prop_map(
        |(properties, required, (additional, bound, is_mirrored))| {
            let mut properties: Map<String, Value> =
                properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
            if let Some(bound) = bound {
                properties.insert("workspace_id".to_owned(), json!({ "type": bound }));
            }
            if is_mirrored && let Some(one) = properties.values_mut().next() {
                one["x-mcp-header"] = "Region".into();
            }
            let required: Vec<&str> =
                required.into_iter().filter(|name| properties.contains_key(*name)).collect();
            let mut schema =
                json!({"properties": properties, "required": required, "type": "object"});
            if let Some(additional) = additional {
                schema["additionalProperties"] = additional.into();
            }
            schema
        },
    )
}

/// Values as they are written, at the edges of what such schemas allow.
fn value() -> impl Strategy<Value = String> {
    let leaf = || {
        prop::sample::select(vec![
            "\"a\"",
            "\"b\"",
            "\"\"",
            "\"ab\"",
            "\"abc\"",
            "\"\\u0061\"",
            "\"\\\"\"",
            "\"7\"",
            "\"\u{e9}\u{e9}\"",
            "\"\\ud83d\\ude00\"",
            "\"\u{1f600}\"",
            "0",
            "-0",
            "-0.0",
            "1",
            "-1",
            "-2",
            "7",
            "8",
            "1.0",
            "1.5",
            "1e0",
            "7e-1",
            "1E2",
            "9007199254740993",
            "18446744073709551616",
            "123456789012345",
            "1234567890123456",
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "{\"workspace_id\":\"c\"}",
        ])
        .prop_map(str::to_owned)
    };
    prop_oneof![
        4 => leaf(),
        1 => prop::collection::vec(leaf(), 0..4).prop_map(|items| format!("[ {} ]", items.join(" , "))),
    ]
}

/// Arguments for such schemas.
pub(crate) fn arguments() -> impl Strategy<Value = String> {
    let written = vec![
        "a",
        "\\u0061",
        "b",
        "\u{e9}",
        "\\u00e9",
        "workspace_id",
        "body_workspace_id",
        "c",
        "$serde_json::private::RawValue",
    ];
    prop::collection::vec((prop::sample::select(written), value()), 0..5).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn what_surely_fits_is_valid(schema in schema(), arguments in arguments()) {
        let Some(quick) = Quick::of(&schema) else { return Ok(()) };
        let mut members = Vec::new();
        if quick.surely_fits(&arguments, |name, value| members.push((name, value))) {
            let compiled = compiled(&schema);
            let read: Value = serde_json::from_str(&arguments).unwrap();
            prop_assert_eq!(check(&compiled, &read), Ok(()), "{} {}", schema, arguments);
            let properties = schema["properties"].as_object().unwrap();
            let read = read.as_object().unwrap();
            prop_assert_eq!(members.len(), read.len());
            for (name, value) in members {
                prop_assert!(properties.contains_key(name));
                let value: Value = serde_json::from_str(value).unwrap();
                prop_assert_eq!(Some(&value), read.get(name));
            }
        }
    }
}
