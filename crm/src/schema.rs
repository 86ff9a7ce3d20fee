//! The tools as clients see them: schemas (JSON Schema 2020-12) and annotations, made from the
//! catalogue.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::{
    catalogue::{Catalogue, Field, FieldKind, Module, Operation},
    limits,
};

/// Every tool, module by module.
pub(crate) fn tools(catalogue: &Catalogue) -> Vec<Tool> {
    catalogue
        .modules
        .iter()
        .flat_map(|module| Operation::ALL.map(|operation| tool(catalogue, operation, module)))
        .collect()
}

fn tool(catalogue: &Catalogue, operation: Operation, module: &Module) -> Tool {
    let (title, description) = catalogue.words(operation, module);
    Tool::new(operation.tool_name(module), description, input(operation, module))
        .with_annotations(annotations(operation, &title))
        .with_raw_output_schema(output(operation, module).into())
        .with_title(title)
}

/// What the operation may do; the records are a closed world.
fn annotations(operation: Operation, title: &str) -> ToolAnnotations {
    let hints = ToolAnnotations::with_title(title).open_world(false);
    match operation {
        Operation::List | Operation::Get | Operation::Search => hints.read_only(true),
        Operation::Create => hints.read_only(false).destructive(false).idempotent(false),
        // An update overwrites what was there; doing it twice changes nothing more.
        Operation::Update | Operation::Delete => {
            hints.read_only(false).destructive(true).idempotent(true)
        }
    }
}

fn input(operation: Operation, module: &Module) -> JsonObject {
    let mut properties = JsonObject::new();
    let mut required = Vec::new();
    match operation {
        Operation::List => {
            properties.insert("sort".to_owned(), sort(module));
            for field in module.fields.iter().filter(|field| field.filterable()) {
                let description = format!("Only those with this value. {}", told(field));
                properties.insert(field.name.clone(), described(value(field), &description));
            }
            page(&mut properties);
        }
        Operation::Search => {
            properties.insert("query".to_owned(), query());
            required.push("query".to_owned());
            page(&mut properties);
        }
        Operation::Get | Operation::Delete => {
            properties.insert("id".to_owned(), id(module));
            required.push("id".to_owned());
        }
        Operation::Create => {
            fields(module, &mut properties);
            required
                .extend(module.fields.iter().filter(|f| f.must_be_given()).map(|f| f.name.clone()));
            defaults(module, &mut properties);
        }
        Operation::Update => {
            properties.insert("id".to_owned(), id(module));
            required.push("id".to_owned());
            fields(module, &mut properties);
            properties.insert("clear_fields".to_owned(), clear_fields(module));
        }
    }
    properties.insert("workspace_id".to_owned(), workspace_id(operation));
    closed_object(properties, &required)
}

fn output(operation: Operation, module: &Module) -> JsonObject {
    let schema = match operation {
        Operation::List | Operation::Search => json!({
            "type": "object",
            "properties": {
                "items": { "type": "array", "items": record(module) },
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "Give this as cursor for the next page; null on the last page.",
                },
                "total": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "How many records match on all pages together.",
                },
            },
            "required": ["items", "next_cursor", "total"],
        }),
        Operation::Get | Operation::Create | Operation::Update => record(module),
        Operation::Delete => json!({
            "type": "object",
            "properties": {
                "deleted": { "type": "boolean", "const": true },
                "id": { "type": "string" },
                "workspace_id": { "type": "string" },
            },
            "required": ["deleted", "id", "workspace_id"],
        }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

fn record(module: &Module) -> Value {
    let moment = json!({ "type": "string", "format": "date-time" });
    let mut properties = JsonObject::new();
    properties.insert("id".to_owned(), json!({ "type": "string" }));
    properties.insert("workspace_id".to_owned(), json!({ "type": "string" }));
    fields(module, &mut properties);
    properties.insert("created_at".to_owned(), moment.clone());
    properties.insert("updated_at".to_owned(), moment);
    let required: Vec<_> = ["id", "workspace_id", "created_at", "updated_at"]
        .into_iter()
        .chain(module.fields.iter().filter(|field| field.required).map(|f| f.name.as_str()))
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn fields(module: &Module, properties: &mut JsonObject) {
    for field in &module.fields {
        properties.insert(field.name.clone(), described(value(field), &told(field)));
    }
}

/// What the field means, and where its value comes from.
fn told(field: &Field) -> String {
    match &field.kind {
        FieldKind::Reference { module } => {
            format!("{} An id from list_{module} or search_{module}.", field.description)
        }
        _ => field.description.clone(),
    }
}

fn defaults(module: &Module, properties: &mut JsonObject) {
    for field in &module.fields {
        if let (Some(default), Some(Value::Object(schema))) =
            (&field.default, properties.get_mut(&field.name))
        {
            schema.insert("default".to_owned(), json!(default));
        }
    }
}

fn value(field: &Field) -> Value {
    match &field.kind {
        FieldKind::Date => json!({ "type": "string", "format": "date" }),
        FieldKind::Datetime => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Email => {
            json!({ "type": "string", "format": "email", "maxLength": limits::TEXT })
        }
        FieldKind::Enum { values } => json!({ "type": "string", "enum": values }),
        FieldKind::Integer { maximum, minimum } => {
            json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
        }
        FieldKind::LongText => {
            json!({ "type": "string", "minLength": 1, "maxLength": limits::LONG_TEXT })
        }
        FieldKind::Money => json!({ "type": "number", "minimum": 0, "maximum": limits::MONEY }),
        FieldKind::Phone => json!({ "type": "string", "pattern": r"^\+?[0-9 ().-]{5,25}$" }),
        FieldKind::Reference { .. } => json!({ "type": "string" }),
        FieldKind::Tags => json!({
            "type": "array",
            "items": { "type": "string", "minLength": 1, "maxLength": limits::TAG },
            "maxItems": limits::TAGS,
        }),
        FieldKind::Text => json!({ "type": "string", "minLength": 1, "maxLength": limits::TEXT }),
        FieldKind::Url => json!({ "type": "string", "format": "uri", "maxLength": limits::TEXT }),
    }
}

fn id(module: &Module) -> Value {
    json!({
        "type": "string",
        "description": format!("Id of the {}, such as {}_4k2m9x7q1c3v8d0h.", module.singular, module.id_prefix),
    })
}

fn sort(module: &Module) -> Value {
    let sorts = module.sorts();
    json!({
        "type": "string",
        "enum": sorts,
        "default": sorts.first(),
        "description": "The field to order by; a minus sign puts the largest or newest first.",
    })
}

fn query() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": limits::TEXT,
        "description": "Words to look for; a record matches when it contains all of them.",
    })
}

fn page(properties: &mut JsonObject) {
    properties.insert(
        "limit".to_owned(),
        json!({
            "type": "integer",
            "minimum": 1,
            "maximum": limits::LARGEST_PAGE,
            "default": limits::PAGE,
            "description": "How many records to return at most.",
        }),
    );
    properties.insert(
        "cursor".to_owned(),
        json!({ "type": "string", "description": "The next_cursor of the page before." }),
    );
}

fn clear_fields(module: &Module) -> Value {
    let names: Vec<_> =
        module.fields.iter().filter(|field| !field.required).map(|f| &f.name).collect();
    json!({
        "type": "array",
        "items": { "type": "string", "enum": names },
        "description": "Names of fields to empty.",
    })
}

fn workspace_id(operation: Operation) -> Value {
    let description = match operation {
        Operation::List | Operation::Search | Operation::Get => {
            "Look in this workspace only; without it, in all that you may use."
        }
        Operation::Create | Operation::Update | Operation::Delete => {
            "The workspace to write to; needed when you may use more than one."
        }
    };
    json!({ "type": "string", "description": description })
}

fn described(mut schema: Value, description: &str) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

fn closed_object(properties: JsonObject, required: &[String]) -> JsonObject {
    let mut schema = JsonObject::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}
