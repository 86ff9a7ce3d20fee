//! The log of revocations, in a file outside the store and its back-ups: a store that has lost
//! some of them, in a failover or because an older copy was put back, gets them from here.

mod entry;
mod file;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{internal::Event, time::Timestamp};

pub(super) use self::entry::name;
pub(crate) use self::entry::{Entry, Logged, Standing};
use self::{
    entry::Line,
    file::{Head, problem, put, read, since, write_anew},
};
use super::{MOST_SKEW, StoreError};
use crate::mint;

/// How long a revocation stays in the file: how old a back-up may be that is put back.
pub(super) const KEPT: Duration = Duration::from_hours(24 * 35);
/// How long a revocation stays in memory, for a store that loses some of them.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// How many lines that are over may stand in the file before it is written anew.
const SLACK: usize = 4096;
/// How often the file says that it was kept.
const BEAT: Duration = Duration::from_mins(10);
/// How long after its last mark a store may have been used: marks are put every minute.
const UNMARKED: Duration = Duration::from_mins(3);

/// The log. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug)]
struct Pages {
    /// Those of the last day.
    entries: VecDeque<Entry>,
    file: File,
    head: Head,
    /// The events in `entries`, as they are written.
    known: HashSet<String>,
    /// Lines in the file that are over.
    over: usize,
    path: PathBuf,
}

impl Journal {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let file::Held { mut entries, mut head } = read(path)?.unwrap_or_default();
        let before = entries.len();
        entries.retain(|entry| entry.at.plus(KEPT) > now);
        let first = entries.first().map_or(now, |entry| entry.at);
        let mut since = head.since.unwrap_or(first);
        if entries.len() < before {
            since = since.max(now.minus(KEPT).min(head.heard));
        }
        head.since = Some(since);
        if head.id.is_empty() {
            head.id = mint::token_id().map_err(|error| StoreError::Journal(error.to_string()))?;
        }
        let file = write_anew(path, &head, &entries)?;
        let recent = entries.into_iter().filter(|entry| entry.at.plus(DAY) > now);
        let mut entries: VecDeque<Entry> = VecDeque::new();
        let mut known = HashSet::new();
        for entry in recent {
            if known.insert(name(&entry.what)?) || matches!(entry.what, Logged::Standing(_)) {
                entries.push_back(entry);
            }
        }
        let pages = Pages { entries, file, head, known, over: 0, path: path.to_owned() };
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

    /// Says now and then that the log has everything until now, so that a gap can be told from
    /// silence. What this process itself revokes proves nothing of others.
    pub(crate) fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut pages = self.lock();
        if pages.head.heard.plus(BEAT) > now {
            return Ok(());
        }
        pages.head.heard = now;
        pages.put(&Line::Heard { heard: now })
    }

    /// Whether everything that others revoked is still on a feed that keeps it for so long.
    pub(super) fn is_followed(&self, now: Timestamp, feed: Duration) -> bool {
        now.since(self.lock().head.heard) < feed / 2
    }

    /// Notes that a store has everything of this log, and the log everything of its feed.
    pub(super) fn note_mark(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut pages = self.lock();
        pages.head.marked = pages.head.marked.max(now);
        pages.head.heard = pages.head.heard.max(now);
        pages.put(&Line::Marked { marked: now })
    }

    /// Until when a store last had everything of this log; zero if none ever had.
    pub(super) fn marked(&self) -> Timestamp {
        self.lock().head.marked
    }

    /// What this log is called in stores.
    pub(super) fn id(&self) -> String {
        self.lock().head.id.clone()
    }

    /// The other logs whose entries are in this one.
    pub(super) fn took_up(&self) -> BTreeSet<String> {
        self.lock().head.took_up.clone()
    }

    /// Whether this is the log of that name, or has all of it.
    pub(crate) fn holds(&self, id: &str) -> bool {
        let pages = self.lock();
        pages.head.id == id || pages.head.took_up.contains(id)
    }

    /// Whether the log has everything that was revoked since a moment, at which a store was as
    /// it is now. Where several processes share the store, what they revoked while this one was
    /// away is on the feed of a store that lived on, and has been written here before this is
    /// asked; a store that nobody uses may be an older copy, which only those can tell that were
    /// there when it was used.
    pub(crate) fn reaches(
        &self,
        as_of: Timestamp,
        now: Timestamp,
        feed: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let mut pages = self.lock();
        if let Some(feed) = feed {
            let used_until = now.min(as_of.plus(UNMARKED));
            let from = used_until.minus(feed).plus(MOST_SKEW * 2);
            if from > pages.head.heard {
                if now.since(as_of) >= feed {
                    return Ok(false);
                }
                (pages.head.heard, pages.head.since) = (as_of, Some(from));
                pages.put_head()?;
            }
        }
        Ok(pages.head.since.is_some_and(|since| since <= as_of))
    }

    /// From when on the log has everything.
    pub(crate) fn since(&self) -> Timestamp {
        self.lock().head.since.unwrap_or_default()
    }

    /// Takes it that nothing was revoked between a moment and what the log has.
    pub(crate) fn accept(&self, as_of: Timestamp) -> Result<(), StoreError> {
        let mut pages = self.lock();
        pages.head.since = pages.head.since.min(Some(as_of));
        pages.head.heard = pages.head.heard.max(as_of);
        let heard = pages.head.heard;
        pages.put(&Line::Heard { heard })?;
        pages.put_head()
    }

    /// Takes up what another log holds.
    pub(crate) fn merge(&self, other: &Path, now: Timestamp) -> Result<usize, StoreError> {
        let missing = || StoreError::Journal(format!("{}: there is no such file", other.display()));
        let theirs = read(other)?.ok_or_else(missing)?;
        let mut pages = self.lock();
        let mut entries = read(&pages.path)?.unwrap_or_default().entries;
        let before = entries.len();
        let known = entries.iter().map(|entry| name(&entry.what));
        let known: HashSet<String> = known.collect::<Result<_, _>>()?;
        let first = theirs.entries.first().map_or(now, |entry| entry.at);
        for entry in theirs.entries {
            if !known.contains(&name(&entry.what)?) || matches!(entry.what, Logged::Standing(_)) {
                entries.push(entry);
            }
        }
        entries.sort_by_key(|entry| entry.at);
        let mut head = pages.head.clone();
        head.since = head.since.min(Some(theirs.head.since.unwrap_or(first)));
        head.heard = head.heard.max(theirs.head.heard);
        head.took_up.extend(theirs.head.took_up);
        head.took_up.extend(Some(theirs.head.id).filter(|id| !id.is_empty() && *id != head.id));
        pages.file = write_anew(&pages.path, &head, &entries)?;
        pages.head = head;
        let recent = entries.iter().filter(|entry| entry.at.plus(DAY) > now).cloned();
        pages.entries = recent.collect();
        let known = pages.entries.iter().map(|entry| name(&entry.what));
        pages.known = known.collect::<Result<_, _>>()?;
        Ok(entries.len() - before)
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
            put(&mut text, &Line::Entry(entry.clone()))?;
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
        self.forget(now)
    }

    fn put_head(&mut self) -> Result<(), StoreError> {
        let line = since(&self.head);
        self.put(&line)
    }

    fn put(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = Vec::new();
        put(&mut text, line)?;
        self.over += 1;
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
        let Ok(Some(file::Held { mut entries, .. })) = read(&self.path) else { return };
        entries.retain(|entry| entry.at.plus(KEPT) > now);
        let mut head = self.head.clone();
        head.since = head.since.max(Some(now.minus(KEPT).min(head.heard)));
        if let Ok(file) = write_anew(&self.path, &head, &entries) {
            (self.file, self.head, self.over) = (file, head, 0);
        }
    }
}

#[cfg(test)]
mod tests;
