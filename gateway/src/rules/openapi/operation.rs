//! An operation as a tool: its name, its words, its hints, and where its arguments go.

use http::Method;
use serde_json::{Map, Value};

use super::{
    Unsupported,
    document::{Document, clip},
    parameter::{Inputs, Parameter, Payload, Place, text},
};

/// An operation that can be called as a tool.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Method and path, like `GET /contacts/{id}`.
    pub(crate) id: String,
    pub(super) method: Method,
    /// `operationId`.
    pub(crate) declared: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) path: Vec<Piece>,
    pub(super) payload: Payload,
    pub(crate) tool: ToolText,
}

/// What a tool says of itself.
#[derive(Clone, Debug)]
pub(crate) struct ToolText {
    pub(crate) description: Option<String>,
    pub(crate) name: String,
    pub(crate) schema: Value,
    pub(crate) title: Option<String>,
}

/// A piece of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands.
    Literal(String),
    /// The parameter of that name.
    Parameter(String),
}

const LONGEST_NAME: usize = 64;
const LONGEST_TEXT: usize = 4096;

impl Operation {
    pub(super) fn read<'d>(
        document: Document<'d>,
        (method, path): (Method, &str),
        item: &'d Value,
        own: &'d Value,
    ) -> Result<Self, Unsupported> {
        let mut inputs = Inputs::new(document);
        let mut parameters = Vec::new();
        for raw in merged(document, item, own)? {
            parameters.extend(inputs.parameter(raw)?);
        }
        let payload = match own.get("requestBody") {
            Some(raw) if method != Method::GET && method != Method::DELETE => {
                inputs.body(document.resolve(raw)?)?
            }
            _ => Payload::None,
        };
        let pieces = pieces(path)?;
        for piece in &pieces {
            let known = |name: &String| {
                parameters.iter().any(|one| one.place == Place::Path && one.name == *name)
            };
            if let Piece::Parameter(name) = piece
                && !known(name)
            {
                return Err(Unsupported::Path(clip(name)));
            }
        }
        let declared = text(own, "operationId").map(str::to_owned);
        let derived = || format!("{}_{path}", method.as_str().to_ascii_lowercase());
        let name = declared.as_deref().map(tool_name).filter(|name| !name.is_empty());
        let summary = text(own, "summary").or_else(|| text(item, "summary"));
        let details = text(own, "description").or_else(|| text(item, "description"));
        let description = match (summary, details) {
            (Some(summary), Some(details)) if summary != details => {
                Some(format!("{summary}\n\n{details}"))
            }
            (Some(one), _) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => None,
        };
        Ok(Self {
            id: format!("{method} {path}"),
            declared,
            parameters,
            path: pieces,
            payload,
            tool: ToolText {
                description: description.map(|text| text.chars().take(LONGEST_TEXT).collect()),
                name: name.unwrap_or_else(|| tool_name(&derived())),
                schema: input_schema(inputs),
                title: summary.map(clip),
            },
            method,
        })
    }

    /// Whether it only reads (RFC 9110 section 9.2.1).
    pub(crate) fn is_read_only(&self) -> bool {
        self.method == Method::GET
    }

    /// The tool as a list shows it (MCP 2025-11-25, tools).
    pub(crate) fn to_tool(&self) -> Value {
        let ToolText { description, name, schema, title } = &self.tool;
        let mut hints = Map::new();
        if let Some(title) = title {
            hints.insert("title".to_owned(), title.as_str().into());
        }
        hints.insert("readOnlyHint".to_owned(), self.is_read_only().into());
        if self.method == Method::DELETE {
            hints.insert("destructiveHint".to_owned(), true.into());
        }
        // RFC 9110 section 9.2.2
        let repeats = [Method::DELETE, Method::GET, Method::PUT].contains(&self.method);
        hints.insert("idempotentHint".to_owned(), repeats.into());
        let mut tool = Map::new();
        tool.insert("name".to_owned(), name.as_str().into());
        if let Some(title) = title {
            tool.insert("title".to_owned(), title.as_str().into());
        }
        if let Some(description) = description {
            tool.insert("description".to_owned(), description.as_str().into());
        }
        tool.insert("inputSchema".to_owned(), schema.clone());
        tool.insert("annotations".to_owned(), hints.into());
        tool.into()
    }
}

/// Whether a text may be a tool's name in every client.
pub(crate) fn is_tool_name(name: &str) -> bool {
    !name.is_empty() && tool_name(name) == name
}

/// A name of letters, digits, `_` and `-`, at most 64 of them.
fn tool_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '-' {
            name.push(c);
        } else if !name.ends_with('_') || c == '_' {
            name.push('_');
        }
        if name.len() == LONGEST_NAME {
            break;
        }
    }
    name.trim_matches('_').to_owned()
}

/// The parameters of an operation: its own, and those of its path that it does not replace.
fn merged<'d>(
    document: Document<'d>,
    item: &'d Value,
    own: &'d Value,
) -> Result<Vec<&'d Value>, Unsupported> {
    let mut found: Vec<&Value> = Vec::new();
    let lists = [own, item].map(|from| from.get("parameters").and_then(Value::as_array));
    for raw in lists.into_iter().flatten().flatten() {
        let raw = document.resolve(raw)?;
        let is_same = |other: &&Value| {
            text(other, "name") == text(raw, "name") && text(other, "in") == text(raw, "in")
        };
        if !found.iter().any(is_same) {
            found.push(raw);
        }
    }
    // Where two places have one name, the path keeps it, then the query.
    let rank = |raw: &&Value| match text(raw, "in") {
        Some("path") => 0,
        Some("query") => 1,
        _ => 2,
    };
    found.sort_by_key(rank);
    Ok(found)
}

/// A path template in pieces; what cannot stand in a path as it is, is refused.
fn pieces(path: &str) -> Result<Vec<Piece>, Unsupported> {
    let mut pieces = Vec::new();
    for part in path.split_inclusive('}') {
        let (literal, name) = match part.split_once('{') {
            Some((literal, rest)) => {
                let name = rest.strip_suffix('}');
                (literal, Some(name.ok_or_else(|| Unsupported::Path(clip(rest)))?))
            }
            None => (part, None),
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
        if !literal.bytes().all(fits) || literal.split('/').any(|one| matches!(one, "." | "..")) {
            return Err(Unsupported::Path(clip(literal)));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        pieces.extend(name.map(|name| Piece::Parameter(name.to_owned())));
    }
    Ok(pieces)
}

fn input_schema(inputs: Inputs<'_>) -> Value {
    let Inputs { properties, required, schemas, .. } = inputs;
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    let definitions = schemas.definitions();
    if !definitions.is_empty() {
        let definitions: Map<_, _> = definitions.into_iter().collect();
        schema.insert("$defs".to_owned(), definitions.into());
    }
    schema.into()
}
