//! One backend's share of what a resource offers, and what its entries are called here.

use std::sync::Arc;

use serde_json::{Value, value::RawValue};

use super::List;
use crate::rules::{
    catalogue::{Catalogue, Naming},
    members::Members,
    offerings::OWN,
    policy::Policies,
    protocol::Era,
    task,
};

/// One backend's share.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) backend: Arc<str>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) naming: Arc<Naming>,
    pub(crate) policies: Arc<Policies>,
}

impl Source {
    /// Whether it is the gateway's own, and no backend's.
    pub(crate) fn is_own(&self) -> bool {
        *self.backend == *OWN
    }

    /// Whether it has tasks for callers of this era (MCP 2025-11-25, tasks; MCP 2026-07-28, tasks
    /// extension).
    pub(crate) fn has_tasks(&self, era: Era) -> bool {
        let Catalogue { capabilities, eras, .. } = &*self.catalogue;
        let declared = match era {
            Era::Legacy => eras.legacy.and_then(|_| capabilities.get("tasks")),
            Era::Modern if eras.modern => {
                capabilities.get("extensions").and_then(|all| all.get(task::EXTENSION))
            }
            Era::Modern => None,
        };
        declared.is_some_and(Value::is_object)
    }

    /// What an entry is called here.
    pub(super) fn public_name(&self, list: List, own: &str) -> String {
        match list {
            List::Prompts => self.naming.prompt(own),
            List::Resources | List::Templates => own.to_owned(),
            List::Tools => self.naming.tool(own),
        }
    }

    /// An entry as the backend wrote it.
    pub(super) fn raw(&self, list: List, at: usize) -> Option<&RawValue> {
        let raw = match list {
            List::Prompts => &self.catalogue.prompts.get(at)?.raw,
            List::Resources => &self.catalogue.resources.get(at)?.raw,
            List::Templates => &self.catalogue.templates.get(at)?.raw,
            List::Tools => &self.catalogue.tools.get(at)?.raw,
        };
        Some(raw)
    }
}

/// A tool or prompt under another name, otherwise as its backend wrote it.
pub(super) fn renamed(entry: &RawValue, public: &str) -> Option<Box<RawValue>> {
    let mut members = Members::read(entry.get().as_bytes())?;
    members.set("name", public);
    serde_json::value::to_raw_value(&members).ok()
}
