//! The log of revocations, in a file outside the store and its back-ups: a store that has lost
//! some of them, in a failover or because an older copy was put back, gets them from here.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use keys::Purpose;
use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, KeyId, UserId, WorkspaceId},
    internal::Event,
    time::Timestamp,
};

use super::StoreError;

/// How long a revocation stays in the file: how old a back-up may be that is put back.
const KEPT: Duration = Duration::from_hours(24 * 35);
/// How long a revocation stays in memory, for a store that loses some of them.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// How many that are over may stand in the file before it is written anew.
const SLACK: usize = 4096;
/// How often the file says that it was kept.
const BEAT: Duration = Duration::from_mins(10);

/// A change that takes something away and is not on the feed, or gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Whether somebody may sign in to an account.
    Account { user: UserId, active: bool },
    /// A client was deleted.
    ClientGone { client: ClientId },
    /// A key is refused for ever.
    KeyGone { key: KeyId, purpose: Purpose },
    /// The keys of a purpose changed.
    KeySet { purpose: Purpose, version: u64 },
    /// Somebody left a workspace.
    Left { user: UserId, workspace: WorkspaceId },
    /// Somebody became a member of a workspace.
    Member { user: UserId, workspace: WorkspaceId },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Logged {
    Event(Event),
    Standing(Standing),
}

/// A line of the file that says what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) what: Logged,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(Entry),
    /// The log was kept at this moment.
    Heard {
        heard: Timestamp,
    },
    /// From this moment on the log has everything.
    Since {
        since: Timestamp,
    },
}

/// The log. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug)]
struct Pages {
    /// Those of the last day.
    entries: VecDeque<Entry>,
    file: File,
    /// When the log was last kept.
    heard: Timestamp,
    /// The events in `entries`, as they are written.
    known: HashSet<String>,
    /// Lines in the file that are over.
    over: usize,
    path: PathBuf,
    /// From when on the log has everything.
    since: Timestamp,
    /// Whether it was never kept before.
    started: bool,
}

/// What a file holds.
#[derive(Debug, Default)]
struct Held {
    entries: Vec<Entry>,
    heard: Timestamp,
    since: Option<Timestamp>,
}

impl Journal {
    /// Opens the file, or makes it. A line that was cut off by a crash was never answered.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let mut held = read(path)?.unwrap_or_default();
        // One that was made at a start that failed is as good as none.
        let started = held.heard == Timestamp::default();
        let before = held.entries.len();
        held.entries.retain(|entry| entry.at.plus(KEPT) > now);
        let first = held.entries.first().map_or(now, |entry| entry.at);
        let mut since = held.since.unwrap_or(first);
        if held.entries.len() < before {
            since = since.max(now.minus(KEPT).min(held.heard));
        }
        let file = write_anew(path, since, held.heard, &held.entries);
        let file = file.map_err(|error| problem(path, &error))?;
        let recent = held.entries.into_iter().filter(|entry| entry.at.plus(DAY) > now);
        let mut entries: VecDeque<Entry> = VecDeque::new();
        let mut known = HashSet::new();
        for entry in recent {
            if known.insert(name(&entry.what)?) || matches!(entry.what, Logged::Standing(_)) {
                entries.push_back(entry);
            }
        }
        let (heard, path) = (held.heard, path.to_owned());
        let pages = Pages { entries, file, heard, known, over: 0, path, since, started };
        Ok(Self(Arc::new(Mutex::new(pages))))
    }

    /// Writes the events that are not written yet; on the disk when it returns.
    pub(crate) async fn write(&self, events: Vec<Event>, now: Timestamp) -> Result<(), StoreError> {
        self.write_all(events.into_iter().map(Logged::Event).collect(), now).await
    }

    /// Writes what became of an account, a client or a membership.
    pub(crate) async fn note(&self, standing: Standing, now: Timestamp) -> Result<(), StoreError> {
        self.write_all(vec![Logged::Standing(standing)], now).await
    }

    async fn write_all(&self, all: Vec<Logged>, now: Timestamp) -> Result<(), StoreError> {
        let news: Vec<Logged> = {
            let pages = self.lock();
            all.into_iter().filter(|what| pages.is_new(what)).collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let journal = self.clone();
        let write = move || journal.lock().append(&news, now);
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| StoreError::Journal(error.to_string()))?
    }

    /// What happened from a moment on, the oldest first.
    pub(crate) fn entries(
        &self,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Entry>, StoreError> {
        let pages = self.lock();
        let is_asked = |entry: &Entry| entry.at >= from && entry.at.plus(KEPT) > now;
        if from.plus(DAY) > now {
            return Ok(pages.entries.iter().filter(|entry| is_asked(entry)).cloned().collect());
        }
        let held = read(&pages.path)?.unwrap_or_default();
        Ok(held.entries.into_iter().filter(is_asked).collect())
    }

    /// Says now and then that the log is kept, so that a gap can be told from silence.
    pub(crate) fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut pages = self.lock();
        if pages.heard.plus(BEAT) > now {
            return Ok(());
        }
        pages.heard = now;
        pages.put(&Line::Heard { heard: now })
    }

    /// Whether the log has everything that was revoked since a moment, at which a store was as
    /// it is now. Where several processes share the store, what they revoked while this one was
    /// away is on the feed of a store that lived on.
    pub(crate) fn reaches(
        &self,
        as_of: Timestamp,
        now: Timestamp,
        feed: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let mut pages = self.lock();
        let fresh_enough = !pages.started || now.since(as_of) < feed.unwrap_or_default();
        if let Some(feed) = feed.filter(|feed| fresh_enough && as_of > pages.heard.plus(*feed)) {
            (pages.heard, pages.since) = (as_of, as_of.minus(feed));
            let since = pages.since;
            pages.put(&Line::Since { since })?;
        }
        Ok(pages.since <= as_of)
    }

    /// From when on the log has everything.
    pub(crate) fn since(&self) -> Timestamp {
        self.lock().since
    }

    /// Takes it that nothing was revoked between a moment and what the log has.
    pub(crate) fn accept(&self, as_of: Timestamp) -> Result<(), StoreError> {
        let mut pages = self.lock();
        pages.since = pages.since.min(as_of);
        let since = pages.since;
        pages.put(&Line::Since { since })
    }

    /// Takes up what another log holds.
    pub(crate) fn merge(&self, other: &Path, now: Timestamp) -> Result<usize, StoreError> {
        let missing = || StoreError::Journal(format!("{}: there is no such file", other.display()));
        let theirs = read(other)?.ok_or_else(missing)?;
        let mut pages = self.lock();
        let mut held = read(&pages.path)?.unwrap_or_default();
        let before = held.entries.len();
        let known = held.entries.iter().map(|entry| name(&entry.what));
        let known: HashSet<String> = known.collect::<Result<_, _>>()?;
        for entry in theirs.entries {
            if !known.contains(&name(&entry.what)?) || matches!(entry.what, Logged::Standing(_)) {
                held.entries.push(entry);
            }
        }
        held.entries.sort_by_key(|entry| entry.at);
        let reach = theirs.since.or(held.entries.first().map(|entry| entry.at));
        let since = pages.since.min(reach.unwrap_or(now));
        let heard = pages.heard.max(theirs.heard);
        let file = write_anew(&pages.path, since, heard, &held.entries);
        pages.file = file.map_err(|error| problem(&pages.path, &error))?;
        let recent = held.entries.iter().filter(|entry| entry.at.plus(DAY) > now).cloned();
        pages.entries = recent.collect();
        let known = pages.entries.iter().map(|entry| name(&entry.what));
        pages.known = known.collect::<Result<_, _>>()?;
        (pages.heard, pages.since, pages.started) = (heard, since, false);
        Ok(held.entries.len() - before)
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// An event is written once; of a standing the last one counts.
    fn is_new(&self, what: &Logged) -> bool {
        matches!(what, Logged::Standing(_))
            || name(what).is_ok_and(|name| !self.known.contains(&name))
    }

    fn append(&mut self, all: &[Logged], now: Timestamp) -> Result<(), StoreError> {
        let mut text = Vec::new();
        let mut added: Vec<(String, Entry)> = Vec::new();
        for what in all {
            // Others may have written the same meanwhile.
            if !self.is_new(what) || added.iter().any(|(_, entry)| entry.what == *what) {
                continue;
            }
            let entry = Entry { at: now, what: what.clone() };
            let line = serde_json::to_vec(&entry);
            text.extend(line.map_err(|error| StoreError::Journal(error.to_string()))?);
            text.push(b'\n');
            added.push((name(what)?, entry));
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line may stand there now; what follows it must not be read as its end.
            self.renew(now);
            return Err(problem(&self.path, &error));
        }
        for (name, entry) in added {
            self.known.insert(name);
            self.entries.push_back(entry);
        }
        self.heard = self.heard.max(now);
        self.forget(now)
    }

    fn put(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text =
            serde_json::to_vec(line).map_err(|error| StoreError::Journal(error.to_string()))?;
        text.push(b'\n');
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        written.map_err(|error| problem(&self.path, &error))
    }

    fn forget(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.at.plus(DAY) <= now) {
            self.known.remove(&name(&entry.what)?);
            self.over += 1;
        }
        if self.over > SLACK {
            self.renew(now);
        }
        Ok(())
    }

    /// Writes the file without the lines that are over and without half a line. If that fails,
    /// the file stays as it is.
    fn renew(&mut self, now: Timestamp) {
        let Ok(Some(mut held)) = read(&self.path) else { return };
        held.entries.retain(|entry| entry.at.plus(KEPT) > now);
        let since = self.since.max(now.minus(KEPT).min(self.heard));
        if let Ok(file) = write_anew(&self.path, since, self.heard, &held.entries) {
            (self.file, self.since, self.over) = (file, since, 0);
        }
    }
}

/// Reads a file, if there is one.
fn read(path: &Path) -> Result<Option<Held>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(path, &error)),
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    if lines.pop().is_some_and(|rest| !rest.is_empty()) {
        tracing::warn!("the last line of the journal was cut off; it was never answered");
    }
    let mut held = Held::default();
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        let line = serde_json::from_slice(line)
            .map_err(|error| StoreError::Journal(format!("{}: {error}", path.display())))?;
        match line {
            Line::Entry(entry) => {
                held.heard = held.heard.max(entry.at);
                held.entries.push(entry);
            }
            Line::Heard { heard } => held.heard = held.heard.max(heard),
            Line::Since { since } => held.since = Some(since),
        }
    }
    Ok(Some(held))
}

/// Writes the whole file beside the old one, then in its place.
fn write_anew(
    path: &Path,
    since: Timestamp,
    heard: Timestamp,
    entries: &[Entry],
) -> std::io::Result<File> {
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let mut text = Vec::new();
    serde_json::to_writer(&mut text, &Line::Since { since })?;
    text.push(b'\n');
    serde_json::to_writer(&mut text, &Line::Heard { heard })?;
    text.push(b'\n');
    for entry in entries {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// What happened as text, equal for equal ones.
pub(super) fn name(what: &Logged) -> Result<String, StoreError> {
    serde_json::to_string(what).map_err(|error| StoreError::Journal(error.to_string()))
}

fn problem(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Journal(format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
