//! The records in memory, by module, workspace and id; the file is the truth they are read from.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::record::{Record, Row};
use crate::catalogue::{Catalogue, Module};

/// Every record of the CRM.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    modules: HashMap<String, HashMap<String, BTreeMap<String, Arc<Row>>>>,
}

impl Rows {
    /// The record of that id, if it lies in one of the workspaces.
    pub(crate) fn find(
        &self,
        module: &Module,
        workspaces: &[String],
        id: &str,
    ) -> Option<&Arc<Row>> {
        self.of(module, workspaces).find_map(|rows| rows.get(id))
    }

    /// The records of a module in the workspaces.
    pub(crate) fn all(
        &self,
        module: &Module,
        workspaces: &[String],
    ) -> impl Iterator<Item = &Arc<Row>> {
        self.of(module, workspaces).flat_map(BTreeMap::values)
    }

    pub(crate) fn put(&mut self, module: &Module, record: Record) {
        self.modules
            .entry(module.name.clone())
            .or_default()
            .entry(record.workspace_id.clone())
            .or_default()
            .insert(record.id.clone(), Arc::new(Row::new(module, record)));
    }

    pub(crate) fn remove(&mut self, module: &Module, workspace: &str, id: &str) {
        let rows =
            self.modules.get_mut(&module.name).and_then(|workspaces| workspaces.get_mut(workspace));
        if let Some(rows) = rows {
            rows.remove(id);
        }
    }

    /// Who refers to a record, in words such as `3 contacts`.
    pub(crate) fn referrers(
        &self,
        catalogue: &Catalogue,
        target: &Module,
        record: &Record,
    ) -> Vec<String> {
        let workspace = std::slice::from_ref(&record.workspace_id);
        catalogue
            .modules
            .iter()
            .filter_map(|own| {
                let refers = |row: &&Arc<Row>| row.record.refers_to(own, target, &record.id);
                match self.all(own, workspace).filter(refers).count() {
                    0 => None,
                    1 => Some(format!("1 {}", own.singular)),
                    count => Some(format!("{count} {}", own.name)),
                }
            })
            .collect()
    }

    fn of(
        &self,
        module: &Module,
        workspaces: &[String],
    ) -> impl Iterator<Item = &BTreeMap<String, Arc<Row>>> {
        let by_workspace = self.modules.get(&module.name);
        workspaces.iter().filter_map(move |workspace| by_workspace?.get(workspace))
    }
}
