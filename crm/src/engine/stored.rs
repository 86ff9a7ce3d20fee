//! The records in the file: one key per record, and a mark for each workspace that was seeded.

use store::Embedded;

use super::{record::Record, rows::Rows, write::Change};
use crate::{
    CrmError,
    catalogue::{Catalogue, Module},
};

const EVERYTHING: usize = usize::MAX;

/// Every record of the file.
pub(crate) fn load(store: &Embedded, catalogue: &Catalogue) -> Result<Rows, CrmError> {
    let mut rows = Rows::default();
    for module in &catalogue.modules {
        let prefix = format!("record/{}/", module.name);
        for (_, value) in store.read(|reader| reader.scan(prefix.as_bytes(), EVERYTHING))? {
            rows.put(module, serde_json::from_slice(&value).map_err(CrmError::Record)?);
        }
    }
    Ok(rows)
}

/// Whether the workspace was given its first records, be they still there or not.
pub(crate) fn is_seeded(store: &Embedded, workspace: &str) -> Result<bool, CrmError> {
    Ok(store.read(|reader| reader.get(seeded_key(workspace).as_bytes()))?.is_some())
}

/// Gives the workspace its first records, all or none.
pub(crate) async fn seed(
    store: &Embedded,
    workspace: &str,
    records: Vec<(String, Record)>,
) -> Result<(), CrmError> {
    let mark = seeded_key(workspace);
    let mut entries = Vec::with_capacity(records.len());
    for (module, record) in records {
        let value = serde_json::to_vec(&record).map_err(CrmError::Record)?;
        entries.push((key(&module, &record.workspace_id, &record.id), value));
    }
    store
        .write(move |writer| {
            for (key, value) in &entries {
                writer.put(key.as_bytes(), value, None)?;
            }
            writer.put(mark.as_bytes(), b"1", None)
        })
        .await?;
    Ok(())
}

/// Makes the change lasting.
pub(crate) async fn apply(
    store: &Embedded,
    module: &Module,
    change: &Change,
) -> Result<(), super::CallError> {
    match change {
        Change::Put(record) => {
            let key = key(&module.name, &record.workspace_id, &record.id);
            let value = serde_json::to_vec(record)?;
            store.write(move |writer| writer.put(key.as_bytes(), &value, None)).await?;
        }
        Change::Remove { id, workspace } => {
            let key = key(&module.name, workspace, id);
            store.write(move |writer| writer.delete(key.as_bytes())).await?;
        }
    }
    Ok(())
}

fn key(module: &str, workspace: &str, id: &str) -> String {
    format!("record/{module}/{workspace}/{id}")
}

fn seeded_key(workspace: &str) -> String {
    format!("seeded/{workspace}")
}
