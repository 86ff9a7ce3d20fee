//! Where each argument of a tool goes: path, query, header or body, each under a name of its own.

use http::HeaderName;
use serde_json::{Map, Value};

use super::{
    Unsupported,
    document::{Document, clip},
    schema::Schemas,
    style::Style,
};

/// An argument that is sent as a parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// The argument's name.
    pub(super) argument: String,
    pub(super) explode: bool,
    /// The parameter's own name.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) style: Style,
}

/// Where a parameter goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header(HeaderName),
    Path,
    Query,
}

/// What of the arguments is the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// These members, by argument and own name.
    Members {
        members: Vec<(String, String)>,
        required: bool,
    },
    None,
    /// One argument, whole.
    Whole(String),
}

/// The input schema of a tool while it is put together.
#[derive(Debug)]
pub(super) struct Inputs<'d> {
    document: Document<'d>,
    pub(super) properties: Map<String, Value>,
    pub(super) required: Vec<Value>,
    pub(super) schemas: Schemas<'d>,
}

/// What names of arguments may be in every client.
const LONGEST_NAME: usize = 64;

impl<'d> Inputs<'d> {
    pub(super) fn new(document: Document<'d>) -> Self {
        let (properties, required) = (Map::new(), Vec::new());
        Self { document, properties, required, schemas: Schemas::new(document) }
    }

    /// A parameter, or `None` where it is left out: it may not be set, and need not be.
    pub(super) fn parameter(&mut self, raw: &'d Value) -> Result<Option<Parameter>, Unsupported> {
        let name = text(raw, "name").unwrap_or_default();
        let about = || clip(name);
        let place = text(raw, "in").ok_or_else(|| Unsupported::Parameter(about()))?;
        let is_required = place == "path" || raw.get("required") == Some(&Value::Bool(true));
        let to = match place {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" | "cookie" => match header(name, place, self.document.headers) {
                Some(header) => Place::Header(header),
                None if is_required => return Err(Unsupported::Header(about())),
                None => return Ok(None),
            },
            _ => return Err(Unsupported::Parameter(about())),
        };
        let content = raw.pointer("/content/application~1json/schema");
        let (schema, style) = match (raw.get("schema"), content) {
            (Some(schema), _) => {
                let style = Style::of(place, text(raw, "style"));
                (schema, style.ok_or_else(|| Unsupported::Style(about()))?)
            }
            (None, Some(schema)) => (schema, Style::Json),
            (None, None) => return Err(Unsupported::Parameter(about())),
        };
        let mut schema = self.schemas.argument(schema)?;
        describe(&mut schema, text(raw, "description"));
        let argument = self.add(name, place, schema, is_required);
        let explode = raw.get("explode").and_then(Value::as_bool);
        let explode = explode.unwrap_or(style == Style::Form);
        Ok(Some(Parameter { argument, explode, name: name.to_owned(), place: to, style }))
    }

    /// The body: an object's members become arguments of their own, anything else is one.
    pub(super) fn body(&mut self, raw: &'d Value) -> Result<Payload, Unsupported> {
        let required = raw.get("required") == Some(&Value::Bool(true));
        let content = raw.get("content").and_then(Value::as_object);
        let json = content.into_iter().flatten().find(|(media, _)| is_json(media));
        let Some((_, media)) = json else {
            return if required { Err(Unsupported::Body) } else { Ok(Payload::None) };
        };
        let schema = match media.get("schema") {
            Some(schema) => self.schemas.argument(schema)?,
            None => Value::Bool(true),
        };
        let Some(members) = closed_object(&schema) else {
            let mut schema = schema;
            describe(&mut schema, text(raw, "description"));
            return Ok(Payload::Whole(self.add("body", "body", schema, required)));
        };
        let needed = schema.get("required").and_then(Value::as_array);
        let mut names = Vec::new();
        for (name, member) in members {
            let is_needed = needed.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
            // A whole body that may be left out is asked for nothing.
            let member = self.inline(member);
            let argument = self.add(name, "body", member, required && is_needed);
            names.push((argument, name.clone()));
        }
        Ok(Payload::Members { members: names, required })
    }

    /// A member's schema where it stands, if that is no more than a reference.
    fn inline(&self, schema: &Value) -> Value {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let name = reference.and_then(|text| text.strip_prefix("#/$defs/"));
        let target = name.and_then(|name| self.schemas.defined(name));
        let is_alone = schema.as_object().is_some_and(|members| members.len() == 1);
        match target {
            Some(target) if is_alone && target.is_object() => target.clone(),
            _ => schema.clone(),
        }
    }

    /// Adds an argument. The first owner of a name keeps it; a later one is called by its place.
    fn add(&mut self, name: &str, place: &str, schema: Value, required: bool) -> String {
        let plain = plain(name);
        let mut argument = plain.clone();
        if argument.is_empty() || self.properties.contains_key(&argument) {
            argument = format!("{place}_{plain}");
        }
        while self.properties.contains_key(&argument) {
            argument.push('_');
        }
        self.properties.insert(argument.clone(), schema);
        if required {
            self.required.push(argument.clone().into());
        }
        argument
    }
}

pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// A name that every client can send: letters, digits, `_`, `-` and `.`.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let plain: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    plain.trim_matches('_').chars().take(LONGEST_NAME).collect()
}

fn describe(schema: &mut Value, text: Option<&str>) {
    if let (Some(members), Some(text)) = (schema.as_object_mut(), text) {
        members.insert("description".to_owned(), text.into());
    }
}

/// The header of a parameter, if the operator listed it.
fn header(name: &str, place: &str, listed: &[String]) -> Option<HeaderName> {
    let lower = name.to_ascii_lowercase();
    let is_listed = place == "header" && listed.contains(&lower);
    is_listed.then(|| HeaderName::try_from(lower).ok()).flatten()
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The members of an object that is no more than its members.
fn closed_object(schema: &Value) -> Option<&Map<String, Value>> {
    const KNOWN: [&str; 7] = [
        "additionalProperties",
        "deprecated",
        "description",
        "properties",
        "required",
        "title",
        "type",
    ];
    let members = schema.as_object()?;
    let is_plain = members.keys().all(|keyword| KNOWN.contains(&&**keyword));
    let is_closed = matches!(members.get("additionalProperties"), None | Some(Value::Bool(false)));
    let is_object = matches!(members.get("type"), None | Some(Value::String(_)))
        && members.get("type").is_none_or(|kind| kind == "object");
    let properties = members.get("properties").and_then(Value::as_object)?;
    (is_plain && is_closed && is_object && !properties.is_empty()).then_some(properties)
}
