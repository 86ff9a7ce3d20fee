//! What a backend offers, as the rules read it: every entry with its original bytes.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::rules::{arguments::ArgumentSchema, protocol::Version};

/// Everything one backend offers.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// The capabilities it declared.
    pub(crate) capabilities: Value,
    pub(crate) eras: Eras,
    /// The same as long as it says the same.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) instructions: Option<String>,
    pub(crate) prompts: Vec<Entry>,
    pub(crate) resources: Vec<Entry>,
    /// Name and version, as it gave them.
    pub(crate) server_info: Option<Box<RawValue>>,
    pub(crate) templates: Vec<Entry>,
    pub(crate) tools: Vec<Tool>,
}

/// A SHA-256 of everything that a backend said of itself.
pub(crate) type Fingerprint = [u8; 32];

/// What a backend's tools and prompts are called here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// Tools with a name of their own: own name and name here.
    pub(crate) aliases: BTreeMap<String, String>,
    /// What stands before every other name.
    pub(crate) prefix: String,
}

impl Naming {
    /// A tool's name here.
    pub(crate) fn tool(&self, own: &str) -> String {
        self.aliases.get(own).cloned().unwrap_or_else(|| self.prompt(own))
    }

    /// A prompt's name here.
    pub(crate) fn prompt(&self, own: &str) -> String {
        format!("{}{own}", self.prefix)
    }
}

/// Which eras a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Eras {
    /// The version it negotiates in `initialize`, if it answers that.
    pub(crate) legacy: Option<Version>,
    /// Whether it serves 2026-07-28.
    pub(crate) modern: bool,
    /// Whether it gives legacy clients a session.
    pub(crate) sessions: bool,
}

/// A prompt, resource or template.
#[derive(Debug)]
pub(crate) struct Entry {
    /// A prompt's name, a resource's `uri`, a template's `uriTemplate`.
    pub(crate) name: String,
    pub(crate) raw: Box<RawValue>,
}

/// A tool.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) raw: Box<RawValue>,
    /// `annotations.readOnlyHint`; a tool that does not say so writes.
    pub(crate) read_only: bool,
    pub(crate) schema: ArgumentSchema,
}
