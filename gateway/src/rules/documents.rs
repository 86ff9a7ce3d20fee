//! Public documents about a resource, made of what it offers at this moment: the manifest that
//! some clients look for, the server card (SEP-2127), and a description in `OpenAPI`.
//!
//! Invariant: a document names no tool beyond those it is given.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::rules::{older_schema::as_3_0, own::versions, policy::Pattern};

/// What is said of a resource beside its tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Documents {
    pub(crate) contact: BTreeMap<String, String>,
    pub(crate) description: String,
    pub(crate) has_manifest: bool,
    pub(crate) has_openapi: bool,
    pub(crate) has_server_card: bool,
    pub(crate) logo: Option<String>,
    /// Where the manifest is, if not at the root of the resource's host.
    pub(crate) manifest_at: Option<Address>,
    pub(crate) manifest_version: String,
    /// Where the description is, if not at the root of the resource's host.
    pub(crate) openapi_at: Option<Address>,
    pub(crate) openapi_version: OpenApiVersion,
    pub(crate) policies: BTreeMap<String, String>,
    /// The tools that everybody may know of.
    pub(crate) public_tools: Vec<Pattern>,
    pub(crate) server_name: String,
    pub(crate) version: String,
    pub(crate) website: Option<String>,
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `host` or `host:port`, in lower case.
    pub(crate) host: String,
    pub(crate) path: String,
}

/// The version of `OpenAPI` that a description is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OpenApiVersion {
    /// Its schemas are those of JSON Schema of 2012, with less to say.
    V3_0,
    /// Its schemas are the tools' own.
    #[default]
    V3_1,
}

/// The resource that a document is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) documents: &'a Documents,
    pub(crate) issuer: &'a str,
    /// The headers in which API keys may come, in lower case.
    pub(crate) key_headers: &'a [String],
    pub(crate) name: &'a str,
    /// Whether access tokens open it.
    pub(crate) oauth: bool,
    /// The path of the endpoint.
    pub(crate) path: &'a str,
    pub(crate) prm_url: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) url: &'a str,
}

/// A tool as lists show it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool {
    annotations: Option<Value>,
    description: Option<String>,
    input_schema: Value,
    name: String,
    output_schema: Option<Value>,
    title: Option<String>,
}

fn read(tools: &[Cow<'_, RawValue>]) -> Vec<Tool> {
    tools.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect()
}

/// `/.well-known/mcp.json`: where the resource is, how to get in, and its tools' annotations.
pub(crate) fn manifest(subject: &Subject<'_>, tools: &[Cow<'_, RawValue>]) -> Value {
    let Documents { contact, logo, policies, website, .. } = subject.documents;
    let mut document = json!({
        "manifest_version": subject.documents.manifest_version,
        "name": subject.documents.server_name,
        "display_name": subject.name,
        "description": subject.documents.description,
        "version": subject.documents.version,
        "transport": { "type": "streamable-http", "url": subject.url },
        "protocol_versions": versions(),
        "policy_urls": policies,
        "contact": contact,
    });
    let mut authorization = Map::new();
    if subject.oauth {
        authorization.insert("type".to_owned(), "oauth2".into());
        authorization.insert("authorization_server".to_owned(), subject.issuer.into());
        authorization.insert("resource_metadata".to_owned(), subject.prm_url.into());
        authorization.insert("scopes_supported".to_owned(), json!(subject.scopes));
    }
    if !subject.key_headers.is_empty() {
        authorization.insert("api_key_headers".to_owned(), json!(subject.key_headers));
    }
    let tools: Vec<Value> = read(tools)
        .into_iter()
        .map(|tool| {
            let mut listed = json!({ "name": tool.name });
            for (name, value) in [
                ("title", tool.title.map(Value::from)),
                ("description", tool.description.map(Value::from)),
                ("annotations", tool.annotations),
            ] {
                set(&mut listed, name, value);
            }
            listed
        })
        .collect();
    set(&mut document, "authorization", Some(authorization.into()));
    set(&mut document, "logo", logo.clone().map(Value::from));
    set(&mut document, "website", website.clone().map(Value::from));
    set(&mut document, "tools", Some(tools.into()));
    document
}

/// The server card: identity and transport alone, by its own rule without any tool.
pub(crate) fn server_card(subject: &Subject<'_>) -> Value {
    let documents = subject.documents;
    let mut remote = json!({
        "type": "streamable-http",
        "url": subject.url,
        "supportedProtocolVersions": versions(),
    });
    if !subject.oauth {
        let headers: Vec<Value> = subject
            .key_headers
            .iter()
            .map(|name| json!({ "name": name, "isSecret": true, "description": "An API key" }))
            .collect();
        set(&mut remote, "headers", Some(headers.into()));
    }
    let mut card = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/v2/server-card.schema.json",
        "name": documents.server_name,
        "title": clip(subject.name),
        "description": clip(&documents.description),
        "version": documents.version,
        "remotes": [remote],
    });
    set(&mut card, "websiteUrl", documents.website.clone().map(Value::from));
    let icons = documents.logo.as_ref().map(|logo| json!([{ "src": logo }]));
    set(&mut card, "icons", icons);
    card
}

/// A description in `OpenAPI` 3.1 or 3.0: one operation, the endpoint, whose request is a call of one of
/// the tools, each with its own schema.
pub(crate) fn openapi(subject: &Subject<'_>, tools: &[Cow<'_, RawValue>]) -> Value {
    let mut schemas = Map::new();
    let (mut calls, mut listed) = (Vec::new(), Vec::new());
    for tool in read(tools) {
        let part = |kind: &str| format!("{}.{kind}", component(&tool.name));
        let reference = |part: &str| json!({ "$ref": format!("#/components/schemas/{part}") });
        let (arguments, call, result) = (part("arguments"), part("call"), part("result"));
        schemas.insert(call.clone(), envelope(&tool, &reference(&arguments)));
        schemas.insert(arguments.clone(), of_its_own(tool.input_schema, &arguments));
        let mut entry = json!({ "name": tool.name, "arguments": reference(&arguments) });
        if let Some(schema) = tool.output_schema {
            schemas.insert(result.clone(), of_its_own(schema, &result));
            set(&mut entry, "result", Some(reference(&result)));
        }
        set(&mut entry, "annotations", tool.annotations);
        calls.push(reference(&call));
        listed.push(entry);
    }
    // A choice of nothing is no schema; without tools any message is described.
    let message = if calls.is_empty() { message() } else { json!({ "oneOf": calls }) };
    schemas.insert("Answer".to_owned(), answer());
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let answers = json!({ "$ref": "#/components/schemas/Answer" });
    let refused = |description: &str| json!({ "description": description });
    let operation = json!({
        "operationId": "callTool",
        "summary": "Calls a tool (MCP over streamable HTTP, JSON-RPC 2.0)",
        "parameters": [{
            "name": "MCP-Protocol-Version",
            "in": "header",
            "schema": { "type": "string", "enum": versions() },
        }],
        "requestBody": { "required": true, "content": content(message) },
        "responses": {
            "200": {
                "description": "The result, or an error of the call; a stream of events for calls \
                                that report progress",
                "content": {
                    "application/json": { "schema": answers },
                    "text/event-stream": { "schema": { "type": "string" } },
                },
            },
            "401": refused("No credential, or none that opens this resource"),
            "403": refused("The credential lacks a scope"),
            "429": refused("Too many requests; Retry-After says when to come back"),
        },
        "x-mcp-tools": listed,
    });
    let origin = subject.url.strip_suffix(subject.path).unwrap_or(subject.url);
    let ways_in = schemes(subject);
    let security: Vec<Value> = ways_in.keys().map(|name| json!({ name: [] })).collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": subject.name,
            "description": subject.documents.description,
            "version": subject.documents.version,
        },
        "servers": [{ "url": origin }],
        "paths": { subject.path: { "post": operation } },
        "components": { "schemas": schemas, "securitySchemes": ways_in },
        "security": security,
    });
    match subject.documents.openapi_version {
        OpenApiVersion::V3_0 => as_3_0(document),
        OpenApiVersion::V3_1 => document,
    }
}

fn schemes(subject: &Subject<'_>) -> Map<String, Value> {
    let mut schemes = Map::new();
    if subject.oauth {
        let description = format!("An access token; {} says where to get one", subject.prm_url);
        let bearer = json!({ "type": "http", "scheme": "bearer", "description": description });
        schemes.insert("bearer".to_owned(), bearer);
    }
    for name in subject.key_headers {
        let key = if name == "authorization" {
            json!({ "type": "http", "scheme": "bearer", "description": "An API key" })
        } else {
            json!({ "type": "apiKey", "in": "header", "name": name })
        };
        schemes.insert(format!("key.{}", component(name)), key);
    }
    schemes
}

/// The call of one tool.
fn envelope(tool: &Tool, arguments: &Value) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "integer"] },
            "method": { "const": "tools/call" },
            "params": {
                "type": "object",
                "properties": { "name": { "const": tool.name }, "arguments": arguments },
                "required": ["name"],
            },
        },
        "required": ["jsonrpc", "id", "method", "params"],
    });
    set(&mut schema, "title", tool.title.clone().map(Value::from));
    set(&mut schema, "description", tool.description.clone().map(Value::from));
    schema
}

fn message() -> Value {
    json!({
        "type": "object",
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "integer"] },
            "method": { "type": "string" },
            "params": { "type": "object" },
        },
        "required": ["jsonrpc", "method"],
    })
}

fn answer() -> Value {
    json!({
        "type": "object",
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "type": ["string", "integer", "null"] },
            "result": { "type": "object" },
            "error": {
                "type": "object",
                "properties": {
                    "code": { "type": "integer" },
                    "message": { "type": "string" },
                },
                "required": ["code", "message"],
            },
        },
        "required": ["jsonrpc", "id"],
    })
}

/// A tool's schema inside another document: its references still mean the schema itself.
fn of_its_own(schema: Value, part: &str) -> Value {
    match schema {
        // Names of its own are not the document's to change.
        Value::Object(members) if members.contains_key("$id") => Value::Object(members),
        Value::Object(members) => {
            let moved = |(name, value): (String, Value)| {
                let value = match (name.as_str(), value) {
                    ("$ref", Value::String(to)) => {
                        let inside = to.strip_prefix('#').filter(|rest| is_pointer(rest));
                        let here = inside.map(|rest| format!("#/components/schemas/{part}{rest}"));
                        here.unwrap_or(to).into()
                    }
                    // What is data is no reference.
                    ("const" | "default" | "enum" | "examples", data) => data,
                    (_, other) => of_its_own(other, part),
                };
                (name, value)
            };
            Value::Object(members.into_iter().map(moved).collect())
        }
        Value::Array(items) => items.into_iter().map(|item| of_its_own(item, part)).collect(),
        plain => plain,
    }
}

/// Whether what follows a `#` is a JSON pointer (RFC 6901 section 6).
fn is_pointer(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// A name as components may have it.
fn component(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// What fits where at most a hundred characters do.
fn clip(text: &str) -> String {
    text.chars().take(100).collect()
}

fn set(document: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(members), Some(value)) = (document.as_object_mut(), value) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
