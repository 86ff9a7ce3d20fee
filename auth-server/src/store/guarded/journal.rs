//! The revocations of the last day, in a file of this process: a store that lost some of them in
//! a failover gets them back from here.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use shared::{internal::Event, time::Timestamp};

use crate::store::StoreError;

/// How long a revocation is kept.
const KEPT: Duration = Duration::from_hours(24);
/// How many that are over may stand in the file before it is written anew.
const SLACK: usize = 4096;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) event: Event,
}

/// The journal. Clones are the same journal.
#[derive(Clone, Debug)]
pub(super) struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug)]
struct Pages {
    entries: VecDeque<Entry>,
    file: File,
    /// The events in `entries`, as they are written.
    known: HashSet<String>,
    /// Lines in the file that are over.
    over: usize,
    path: PathBuf,
}

impl Journal {
    /// Opens the file, or makes it. A line that was cut off by a crash was never answered.
    pub(super) fn open(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(problem(path, &error)),
        };
        let mut lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>();
        let cut_off = lines.pop();
        let mut entries = VecDeque::new();
        let mut known = HashSet::new();
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            let entry: Entry = serde_json::from_slice(line)
                .map_err(|error| StoreError::Journal(format!("{}: {error}", path.display())))?;
            if entry.at.plus(KEPT) > now && known.insert(name(&entry.event)?) {
                entries.push_back(entry);
            }
        }
        if cut_off.is_some_and(|rest| !rest.is_empty()) {
            tracing::warn!("the last line of the journal was cut off; it was never answered");
        }
        let file = write_anew(path, &entries).map_err(|error| problem(path, &error))?;
        let pages = Pages { entries, file, known, over: 0, path: path.to_owned() };
        Ok(Self(Arc::new(Mutex::new(pages))))
    }

    /// Writes what is not written yet; on the disk when it returns.
    pub(super) async fn write(&self, events: Vec<Event>, now: Timestamp) -> Result<(), StoreError> {
        let news: Vec<Event> = {
            let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = |event: &Event| name(event).is_ok_and(|name| !pages.known.contains(&name));
            events.into_iter().filter(is_new).collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let journal = Arc::clone(&self.0);
        let write = move || {
            let mut pages = journal.lock().unwrap_or_else(PoisonError::into_inner);
            pages.append(&news, now)
        };
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| StoreError::Journal(error.to_string()))?
    }

    /// What was revoked in the last day.
    pub(super) fn entries(&self, now: Timestamp) -> Vec<Entry> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.entries.iter().filter(|entry| entry.at.plus(KEPT) > now).cloned().collect()
    }
}

impl Pages {
    fn append(&mut self, events: &[Event], now: Timestamp) -> Result<(), StoreError> {
        let mut text = Vec::new();
        let mut added = Vec::new();
        for event in events {
            let name = name(event)?;
            // Others may have written the same meanwhile.
            if self.known.contains(&name) {
                continue;
            }
            let entry = Entry { at: now, event: event.clone() };
            let line = serde_json::to_vec(&entry);
            text.extend(line.map_err(|error| StoreError::Journal(error.to_string()))?);
            text.push(b'\n');
            added.push((name, entry));
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line may stand there now; what follows it must not be read as its end.
            if let Ok(file) = write_anew(&self.path, &self.entries) {
                self.file = file;
            }
            return Err(problem(&self.path, &error));
        }
        for (name, entry) in added {
            self.known.insert(name);
            self.entries.push_back(entry);
        }
        self.forget(now)
    }

    fn forget(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.at.plus(KEPT) <= now) {
            self.known.remove(&name(&entry.event)?);
            self.over += 1;
        }
        if self.over > SLACK {
            let file = write_anew(&self.path, &self.entries);
            self.file = file.map_err(|error| problem(&self.path, &error))?;
            self.over = 0;
        }
        Ok(())
    }
}

/// Writes the whole file beside the old one, then in its place.
fn write_anew(path: &Path, entries: &VecDeque<Entry>) -> std::io::Result<File> {
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    for entry in entries {
        serde_json::to_writer(&mut file, entry)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    fs::rename(&part, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// An event as text, equal for equal ones.
pub(super) fn name(event: &Event) -> Result<String, StoreError> {
    serde_json::to_string(event).map_err(|error| StoreError::Journal(error.to_string()))
}

fn problem(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Journal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use shared::ids::FamilyId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn family(byte: u8) -> Event {
        Event::Family { family: FamilyId::from_bytes([byte; 16]) }
    }

    fn events(journal: &Journal, now: Timestamp) -> Vec<Event> {
        journal.entries(now).into_iter().map(|entry| entry.event).collect()
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path, NOW).unwrap();
        journal.write(vec![family(1), family(1), family(2)], NOW).await.unwrap();
        let later = NOW.plus(Duration::from_hours(1));
        journal.write(vec![family(2), family(3)], later).await.unwrap();
        let again = Journal::open(&path, later).unwrap();
        assert_eq!(events(&again, later), [family(1), family(2), family(3)]);
        let tomorrow = NOW.plus(Duration::from_hours(24));
        assert_eq!(events(&again, tomorrow), [family(3)]);
        let again = Journal::open(&path, tomorrow).unwrap();
        assert_eq!(events(&again, NOW), [family(3)]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[tokio::test]
    async fn a_line_that_a_crash_cut_off_is_dropped_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path, NOW).unwrap().write(vec![family(1)], NOW).await.unwrap();
        let mut text = fs::read(&path).unwrap();
        text.extend(b"{\"at\":18");
        fs::write(&path, &text).unwrap();
        let journal = Journal::open(&path, NOW).unwrap();
        journal.write(vec![family(2)], NOW).await.unwrap();
        let again = Journal::open(&path, NOW).unwrap();
        assert_eq!(events(&again, NOW), [family(1), family(2)]);
        fs::write(&path, b"nonsense\n").unwrap();
        assert!(matches!(Journal::open(&path, NOW), Err(StoreError::Journal(_))));
    }
}
