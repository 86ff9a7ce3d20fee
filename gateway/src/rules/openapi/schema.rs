//! Schemas of `OpenAPI` as JSON Schema 2020-12, with what they refer to gathered in `$defs`.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::{
    Unsupported,
    document::{Document, Edition, clip},
};

/// The schemas of one operation.
#[derive(Debug)]
pub(super) struct Schemas<'d> {
    definitions: BTreeMap<String, Value>,
    document: Document<'d>,
    /// The name of what a reference points to.
    names: HashMap<&'d str, String>,
    nodes: usize,
}

const MOST_DEPTH: usize = 48;
const MOST_NODES: usize = 20_000;

/// Keywords that tell readers of the document something, and callers nothing.
const DROPPED: [&str; 13] = [
    "$anchor",
    "$comment",
    "$dynamicAnchor",
    "$id",
    "$schema",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "nullable",
    "readOnly",
    "writeOnly",
    "xml",
];

impl<'d> Schemas<'d> {
    pub(super) fn new(document: Document<'d>) -> Self {
        Self { definitions: BTreeMap::new(), document, names: HashMap::new(), nodes: 0 }
    }

    /// What was referred to under a name.
    pub(super) fn defined(&self, name: &str) -> Option<&Value> {
        self.definitions.get(name)
    }

    /// Everything that was referred to.
    pub(super) fn definitions(self) -> BTreeMap<String, Value> {
        self.definitions
    }

    /// The schema of an argument: not a reference itself, so that its type stands where it is
    /// looked for.
    pub(super) fn argument(&mut self, schema: &'d Value) -> Result<Value, Unsupported> {
        let target = self.document.resolve(schema)?;
        self.convert(target, 0)
    }

    fn convert(&mut self, schema: &'d Value, depth: usize) -> Result<Value, Unsupported> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(Unsupported::Size);
        }
        if depth > MOST_DEPTH {
            return Err(Unsupported::Depth);
        }
        let Some(members) = schema.as_object() else {
            return match schema {
                Value::Bool(_) => Ok(schema.clone()),
                _ => Err(Unsupported::Schema("something that is no schema")),
            };
        };
        let mut made = Map::new();
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let name = self.define(reference, depth)?;
            made.insert("$ref".to_owned(), format!("#/$defs/{name}").into());
            if self.document.edition == Edition::V30 {
                return Ok(made.into());
            }
        }
        for (keyword, value) in members {
            if keyword == "$ref" || keyword.starts_with("x-") || DROPPED.contains(&&**keyword) {
                continue;
            }
            if let Some(value) = self.keyword(keyword, value, depth)? {
                made.insert(keyword.clone(), value);
            }
        }
        forget_read_only(members, &mut made);
        if self.document.edition == Edition::V30 {
            modernise(members, &mut made);
        }
        Ok(made.into())
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &'d Value,
        depth: usize,
    ) -> Result<Option<Value>, Unsupported> {
        let below = depth + 1;
        Ok(Some(match keyword {
            "$dynamicRef" | "$recursiveRef" => {
                return Err(Unsupported::Schema("a reference that depends on its reader"));
            }
            "additionalProperties"
            | "contains"
            | "else"
            | "if"
            | "items"
            | "not"
            | "propertyNames"
            | "then"
            | "unevaluatedItems"
            | "unevaluatedProperties" => self.convert(value, below)?,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let forms = value.as_array().ok_or(Unsupported::Schema("a list that is none"))?;
                let forms = forms.iter().map(|form| self.convert(form, below));
                forms.collect::<Result<Vec<_>, _>>()?.into()
            }
            "dependentSchemas" | "patternProperties" | "properties" => {
                let named = value.as_object().ok_or(Unsupported::Schema("a map that is none"))?;
                let mut made = Map::new();
                for (name, schema) in named {
                    made.insert(name.clone(), self.convert(schema, below)?);
                }
                made.into()
            }
            // What is referred to in it is gathered like everything else.
            "$defs" | "definitions" => return Ok(None),
            _ => value.clone(),
        }))
    }

    /// The name in `$defs` of what a reference points to.
    fn define(&mut self, reference: &'d str, depth: usize) -> Result<String, Unsupported> {
        if let Some(name) = self.names.get(reference) {
            return Ok(name.clone());
        }
        let target = self.document.target(reference)?;
        let last = reference.rsplit('/').next().unwrap_or_default();
        let plain: String =
            last.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
        let mut name = if plain.is_empty() { "schema".to_owned() } else { clip(&plain) };
        while self.definitions.contains_key(&name) {
            name.push('_');
        }
        // Held before it is made, because it may refer to itself.
        self.names.insert(reference, name.clone());
        self.definitions.insert(name.clone(), Value::Bool(true));
        let made = self.convert(target, depth + 1)?;
        self.definitions.insert(name.clone(), made);
        Ok(name)
    }
}

/// What only the server sets is no argument.
fn forget_read_only(members: &Map<String, Value>, made: &mut Map<String, Value>) {
    let properties = members.get("properties").and_then(Value::as_object);
    let is_read_only = |schema: &Value| schema.get("readOnly") == Some(&Value::Bool(true));
    let own = properties.into_iter().flatten().filter(|(_, schema)| is_read_only(schema));
    for (name, _) in own {
        if let Some(Value::Object(properties)) = made.get_mut("properties") {
            properties.remove(name);
        }
        if let Some(Value::Array(required)) = made.get_mut("required") {
            required.retain(|one| one != name.as_str());
        }
    }
}

/// The words of `OpenAPI` 3.0 that JSON Schema says otherwise.
fn modernise(members: &Map<String, Value>, made: &mut Map<String, Value>) {
    for (flag, bound) in [("exclusiveMaximum", "maximum"), ("exclusiveMinimum", "minimum")] {
        match made.remove(flag) {
            Some(Value::Bool(true)) => {
                if let Some(limit) = made.remove(bound) {
                    made.insert(flag.to_owned(), limit);
                }
            }
            Some(number @ Value::Number(_)) => {
                made.insert(flag.to_owned(), number);
            }
            _ => {}
        }
    }
    if members.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    if let Some(Value::String(one)) = made.get("type") {
        let both = json!([one, "null"]);
        made.insert("type".to_owned(), both);
    }
    if let Some(Value::Array(options)) = made.get_mut("enum")
        && !options.contains(&Value::Null)
    {
        options.push(Value::Null);
    }
}
