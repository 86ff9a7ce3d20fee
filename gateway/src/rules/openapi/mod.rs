//! REST described by `OpenAPI` 3.0 or 3.1: each operation becomes a tool, and a call of the tool the
//! request of the operation.
//!
//! Invariant: nothing of the description decides where a request goes but the operation's path
//! below the configured URL; `servers` are ignored, and no reference leaves the document.

mod document;
mod operation;
mod parameter;
mod request;
mod response;
mod schema;
mod style;

use serde_json::Value;

use self::document::{Document, Edition};
pub(crate) use self::{
    operation::{Operation, is_tool_name},
    request::{RestRequest, request},
    response::{Received, refused, result},
};

/// A description as it was read.
#[derive(Debug)]
pub(crate) struct Description {
    /// `info.description`, which becomes the backend's instructions.
    pub(crate) about: Option<String>,
    pub(crate) operations: Vec<Operation>,
    /// Operations that cannot be offered, and why.
    pub(crate) skipped: Vec<Skipped>,
    /// `info.title`.
    pub(crate) title: Option<String>,
    /// `info.version`.
    pub(crate) version: Option<String>,
}

/// An operation that cannot be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Method and path, like `GET /contacts/{id}`.
    pub(crate) id: String,
    pub(crate) why: Unsupported,
}

/// What a description has that cannot be turned into tools.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsupported {
    #[error("its body is not JSON")]
    Body,
    #[error("its schemas are nested too deeply")]
    Depth,
    #[error("it refers to {0}, which is outside of the document")]
    External(String),
    #[error("its parameter {0} is sent as a header or cookie that header_parameters does not list")]
    Header(String),
    #[error("its parameter {0} has no name, place or schema")]
    Parameter(String),
    #[error("its path names no parameter {0}, or in a form that is not known")]
    Path(String),
    #[error("it refers to {0}, which the document does not have")]
    Reference(String),
    #[error("its schema uses {0}")]
    Schema(&'static str),
    #[error("its schemas are too large")]
    Size,
    #[error("its parameter {0} has a style that is not known")]
    Style(String),
}

/// A description that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDescription {
    #[error("has no paths")]
    Paths,
    #[error("has more than {MOST_OPERATIONS} operations")]
    Size,
    #[error("is not OpenAPI 3.0 or 3.1")]
    Version,
}

const MOST_OPERATIONS: usize = 5_000;
/// The methods that become tools, as a path item names them.
const METHODS: [(&str, http::Method); 5] = [
    ("delete", http::Method::DELETE),
    ("get", http::Method::GET),
    ("patch", http::Method::PATCH),
    ("post", http::Method::POST),
    ("put", http::Method::PUT),
];

impl Description {
    /// Reads a description (`OpenAPI` 3.0.4 and 3.1.1). `headers` are the header parameters that
    /// calls may set, in lower case.
    pub(crate) fn read(value: &Value, headers: &[String]) -> Result<Self, InvalidDescription> {
        let edition = match value.get("openapi").and_then(Value::as_str) {
            Some(version) if version.starts_with("3.0.") => Edition::V30,
            Some(version) if version.starts_with("3.1.") => Edition::V31,
            _ => return Err(InvalidDescription::Version),
        };
        let paths = value.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or(InvalidDescription::Paths)?;
        let document = Document { edition, headers, root: value };
        let (mut operations, mut skipped) = (Vec::new(), Vec::new());
        for (path, item) in paths.iter().filter(|(path, _)| path.starts_with('/')) {
            for (word, method) in METHODS {
                let read = document.resolve(item).map(|item| item.get(word).map(|own| (item, own)));
                let id = format!("{method} {path}");
                let outcome = match read {
                    Ok(None) => continue,
                    Ok(Some((item, own))) => Operation::read(document, (method, path), item, own),
                    Err(why) => Err(why),
                };
                match outcome {
                    Ok(operation) => operations.push(operation),
                    Err(why) => skipped.push(Skipped { id, why }),
                }
                if operations.len() + skipped.len() > MOST_OPERATIONS {
                    return Err(InvalidDescription::Size);
                }
            }
        }
        let info = |name| value.pointer(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            about: info("/info/description"),
            operations,
            skipped,
            title: info("/info/title"),
            version: info("/info/version"),
        })
    }
}

#[cfg(test)]
mod tests;
