//! What may be written as one text or as a list of texts.

use serde::Deserialize;

/// A text or a list of texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    Many(Vec<String>),
    One(String),
}

impl OneOrMany {
    /// The texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::Many(texts) => texts.as_slice(),
            Self::One(text) => std::slice::from_ref(text),
        };
        texts.iter().map(String::as_str)
    }
}
