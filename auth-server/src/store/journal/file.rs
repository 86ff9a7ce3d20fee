//! The file of the log of revocations: lines that are only added, and written anew now and then
//! without those that are over.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use shared::time::Timestamp;

use super::entry::{Entry, Line};
use crate::store::StoreError;

/// What a log says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// Until when the log has everything.
    pub(super) heard: Timestamp,
    /// What it is called in stores; empty before it has a name.
    pub(super) id: String,
    /// Until when a store said that it has everything of this log.
    pub(super) marked: Timestamp,
    /// From when on the log has everything.
    pub(super) since: Option<Timestamp>,
    /// Other logs whose entries are in it.
    pub(super) took_up: BTreeSet<String>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) entries: Vec<Entry>,
    pub(super) head: Head,
}

/// Reads a file, if there is one. A line that was cut off by a crash was never answered.
pub(super) fn read(path: &Path) -> Result<Option<Held>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(path, &error)),
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    if lines.pop().is_some_and(|rest| !rest.is_empty()) {
        tracing::warn!("the last line of the journal was cut off; it was never answered");
    }
    let (mut entries, mut head) = (Vec::new(), Head::default());
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        let line = serde_json::from_slice(line)
            .map_err(|error| StoreError::Journal(format!("{}: {error}", path.display())))?;
        match line {
            Line::Entry(entry) => entries.push(entry),
            Line::Heard { heard } => head.heard = head.heard.max(heard),
            Line::Marked { marked } => {
                head.marked = head.marked.max(marked);
                head.heard = head.heard.max(marked);
            }
            Line::Since { since, journal, took_up } => {
                head.since = Some(since);
                head.id = journal.unwrap_or(std::mem::take(&mut head.id));
                head.took_up.extend(took_up);
            }
        }
    }
    Ok(Some(Held { entries, head }))
}

/// Writes the whole file beside the old one, then in its place.
pub(super) fn write_anew(path: &Path, head: &Head, entries: &[Entry]) -> Result<File, StoreError> {
    let part = path.with_extension("part");
    let mut text = Vec::new();
    put(&mut text, &since(head))?;
    put(&mut text, &Line::Heard { heard: head.heard })?;
    put(&mut text, &Line::Marked { marked: head.marked })?;
    for entry in entries {
        serde_json::to_writer(&mut text, entry)
            .map_err(|error| StoreError::Journal(error.to_string()))?;
        text.push(b'\n');
    }
    let write = || -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(file)
    };
    write().map_err(|error| problem(path, &error))
}

/// The line that says what the log is.
pub(super) fn since(head: &Head) -> Line {
    Line::Since {
        since: head.since.unwrap_or_default(),
        journal: Some(head.id.clone()),
        took_up: head.took_up.clone(),
    }
}

/// A line as text.
pub(super) fn put(text: &mut Vec<u8>, line: &Line) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *text, line)
        .map_err(|error| StoreError::Journal(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

pub(super) fn problem(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Journal(format!("{}: {error}", path.display()))
}
