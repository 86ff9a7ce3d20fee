//! Writing: what a create, update or delete would change, decided before anything is stored.

use serde_json::{Value, json};

use super::{
    query::not_found,
    record::{Fields, Record},
    refusal::{Problem, Refusal},
    rows::Rows,
    scope::Scope,
    validate::{Arguments, expected, one_of},
};
use crate::{
    catalogue::{Catalogue, FieldKind, Module},
    limits,
};

/// A change that has passed every check.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Record),
    Remove { id: String, workspace: String },
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) module: &'a Module,
    pub(crate) rows: &'a Rows,
    pub(crate) scope: Scope<'a>,
}

impl Change {
    /// The answer to the call that made the change.
    pub(crate) fn answer(&self, module: &Module) -> Value {
        match self {
            Self::Put(record) => record.shown(module),
            Self::Remove { id, workspace } => {
                json!({ "deleted": true, "id": id, "workspace_id": workspace })
            }
        }
    }
}

impl Ground<'_> {
    /// `create_*`; `id` is the new record's.
    pub(crate) fn create(
        &self,
        given: &Fields,
        id: String,
        now: String,
    ) -> Result<Change, Refusal> {
        let mut arguments = Arguments::new(given, &self.names(&["workspace_id"]));
        let mut fields = arguments.fields(self.module);
        for field in &self.module.fields {
            if arguments.given(&field.name).is_some() {
                continue;
            }
            match &field.default {
                Some(default) => {
                    fields.insert(field.name.clone(), json!(default));
                }
                None if field.required => {
                    arguments.refuse(Problem::missing(&field.name, expected(field)));
                }
                None => {}
            }
        }
        let workspace = self.scope.to_write(&mut arguments)?;
        self.check_references(&mut arguments, &fields, workspace.as_deref());
        arguments.finish()?;
        let record = Record {
            created_at: now.clone(),
            fields,
            id,
            updated_at: now,
            v: Record::VERSION,
            workspace_id: workspace.unwrap_or_default(),
        };
        Ok(Change::Put(record))
    }

    /// `update_*`.
    pub(crate) fn update(&self, given: &Fields, now: String) -> Result<Change, Refusal> {
        let names = self.names(&["clear_fields", "id", "workspace_id"]);
        let mut arguments = Arguments::new(given, &names);
        let id = arguments.required_text("id", limits::TOKEN);
        let fields = arguments.fields(self.module);
        let cleared = self.cleared(&mut arguments);
        let workspace = self.scope.to_write(&mut arguments)?;
        self.check_references(&mut arguments, &fields, workspace.as_deref());
        arguments.finish()?;
        let mut record = self.found(workspace.as_deref(), id.unwrap_or_default())?;
        let before = record.fields.clone();
        for name in &cleared {
            record.fields.remove(name);
        }
        record.fields.extend(fields);
        // Repeating an update changes nothing, not even the time.
        if record.fields != before {
            record.updated_at = now;
        }
        Ok(Change::Put(record))
    }

    /// `delete_*`.
    pub(crate) fn delete(&self, given: &Fields) -> Result<Change, Refusal> {
        let mut arguments = Arguments::new(given, &["id", "workspace_id"]);
        let id = arguments.required_text("id", limits::TOKEN);
        let workspace = self.scope.to_write(&mut arguments)?;
        arguments.finish()?;
        let record = self.found(workspace.as_deref(), id.unwrap_or_default())?;
        let by = self.rows.referrers(self.catalogue, self.module, &record);
        if !by.is_empty() {
            return Err(Refusal::Referenced {
                by,
                id: record.id,
                one: self.module.singular.clone(),
            });
        }
        Ok(Change::Remove { id: record.id, workspace: record.workspace_id })
    }

    fn names<'a>(&'a self, others: &[&'a str]) -> Vec<&'a str> {
        let fields = self.module.fields.iter().map(|field| field.name.as_str());
        fields.chain(others.iter().copied()).collect()
    }

    fn found(&self, workspace: Option<&str>, id: &str) -> Result<Record, Refusal> {
        self.rows
            .find(self.module, workspace.map(str::to_owned).as_slice(), id)
            .map(|row| row.record.clone())
            .ok_or_else(|| not_found(self.module, id))
    }

    fn cleared(&self, arguments: &mut Arguments<'_>) -> Vec<String> {
        let Some(value) = arguments.given("clear_fields") else { return Vec::new() };
        let optional: Vec<_> = self
            .module
            .fields
            .iter()
            .filter(|field| !field.required)
            .map(|field| field.name.clone())
            .collect();
        let names: Option<Vec<_>> = value.as_array().and_then(|list| {
            list.iter()
                .map(|name| name.as_str().map(str::to_owned).filter(|n| optional.contains(n)))
                .collect()
        });
        if names.is_none() {
            let expected = format!("a list whose members are each {}", one_of(&optional));
            arguments.refuse(Problem::new("clear_fields", expected, value));
        }
        names.unwrap_or_default()
    }

    /// A reference must be to a record of the workspace; elsewhere there is nothing to refer to.
    fn check_references(
        &self,
        arguments: &mut Arguments<'_>,
        fields: &Fields,
        workspace: Option<&str>,
    ) {
        let Some(workspace) = workspace else { return };
        for field in &self.module.fields {
            let FieldKind::Reference { module } = &field.kind else { continue };
            let (Some(value), Some(target)) =
                (fields.get(&field.name), self.catalogue.module(module))
            else {
                continue;
            };
            let id = value.as_str().unwrap_or_default();
            if self.rows.find(target, &[workspace.to_owned()], id).is_none() {
                let expected = format!("the id of a {} in the same workspace", target.singular);
                arguments.refuse(Problem::new(&field.name, expected, value));
            }
        }
    }
}
