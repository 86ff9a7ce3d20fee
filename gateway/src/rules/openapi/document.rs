//! An `OpenAPI` document with its references, none of which leave it.

use serde_json::Value;

use super::Unsupported;

/// Which words a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    V30,
    V31,
}

/// A document while it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'d> {
    pub(super) edition: Edition,
    /// The header parameters that calls may set.
    pub(super) headers: &'d [String],
    pub(super) root: &'d Value,
}

/// How many references may lead to each other.
const MOST_HOPS: usize = 16;

impl<'d> Document<'d> {
    /// What a value is or refers to.
    pub(super) fn resolve(&self, value: &'d Value) -> Result<&'d Value, Unsupported> {
        let mut value = value;
        for _ in 0..MOST_HOPS {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Ok(value);
            };
            value = self.target(reference)?;
        }
        Err(Unsupported::Depth)
    }

    /// What a reference points to (RFC 6901 section 6).
    pub(super) fn target(&self, reference: &str) -> Result<&'d Value, Unsupported> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(Unsupported::External(clip(reference)));
        };
        self.root.pointer(pointer).ok_or_else(|| Unsupported::Reference(clip(reference)))
    }
}

/// Enough of a text to find it by.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(100).collect()
}
