//! The two tables of the file: the entries, each value behind its expiry, and the index by
//! expiry that the sweep follows.

use std::{
    fmt::{self, Debug},
    ops::Bound::{Excluded, Included, Unbounded},
};

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::{fault::fault, writer::Changes};
use crate::StoreError;

pub(super) const ENTRIES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entries");
pub(super) const EXPIRIES: TableDefinition<'static, (u64, &[u8]), ()> =
    TableDefinition::new("expiries");

/// The expiry of what never expires.
const NEVER: u64 = u64::MAX;

/// Is shown a key, its expiry and its value, and says whether to go on.
pub(super) type Visit<'a> = dyn FnMut(&[u8], Option<u64>, &[u8]) -> bool + 'a;

/// What can be read in either kind of transaction.
pub(super) trait Entries: Debug {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the keys that begin with `prefix` and come after `after`, each with its expiry and
    /// value, until told to stop.
    fn visit(&self, prefix: &[u8], after: &[u8], each: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// The tables inside a write transaction.
pub(super) struct Tables<'a> {
    entries: Table<'a, &'static [u8], &'static [u8]>,
    expiries: Table<'a, (u64, &'static [u8]), ()>,
    state: State,
}

/// What the transaction has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Changes were left half done: the transaction must not be committed.
    Broken(StoreError),
    Changed,
    Unchanged,
}

impl<'a> Tables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES).map_err(fault)?,
            expiries: transaction.open_table(EXPIRIES).map_err(fault)?,
            state: State::Unchanged,
        })
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Applies what one closure changed. One that only read costs no commit.
    pub(super) fn apply(&mut self, changes: Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.change(|tables| {
            for (key, change) in changes {
                match change {
                    Some((value, expires)) => tables.put(&key, &value, expires)?,
                    None => tables.delete(&key)?,
                }
            }
            Ok(())
        })
    }

    /// Drops what has expired, oldest first.
    pub(super) fn sweep(&mut self, now_ms: u64, limit: usize) -> Result<usize, StoreError> {
        let past = (Unbounded, Excluded((now_ms.saturating_add(1), [].as_slice())));
        let expired = self
            .expiries
            .range::<(u64, &[u8])>(past)
            .map_err(fault)?
            .take(limit)
            .map(|entry| entry.map(|(entry, _)| entry.value().1.to_vec()).map_err(fault))
            .collect::<Result<Vec<_>, _>>()?;
        let count = expired.len();
        if count > 0 {
            self.change(|tables| expired.iter().try_for_each(|key| tables.delete(key)))?;
        }
        Ok(count)
    }

    /// Whatever interrupts `work`, an error or a panic, leaves the transaction broken.
    fn change(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if let State::Broken(error) = &self.state {
            return Err(error.clone());
        }
        self.state = State::Broken(StoreError::Corrupt("an unfinished change".to_owned()));
        let done = work(self);
        self.state = match &done {
            Ok(()) => State::Changed,
            Err(error) => State::Broken(error.clone()),
        };
        done
    }

    fn put(&mut self, key: &[u8], value: &[u8], expires: Option<u64>) -> Result<(), StoreError> {
        let expires = expires.unwrap_or(NEVER);
        let stored = [&expires.to_be_bytes(), value].concat();
        let before = match self.entries.insert(key, stored.as_slice()).map_err(fault)? {
            Some(before) => split(before.value())?.0,
            None => NEVER,
        };
        if before != expires {
            self.forget(before, key)?;
            if expires != NEVER {
                self.expiries.insert((expires, key), ()).map_err(fault)?;
            }
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let before = match self.entries.remove(key).map_err(fault)? {
            Some(before) => split(before.value())?.0,
            None => NEVER,
        };
        self.forget(before, key)
    }

    fn forget(&mut self, expires: u64, key: &[u8]) -> Result<(), StoreError> {
        if expires != NEVER {
            self.expiries.remove((expires, key)).map_err(fault)?;
        }
        Ok(())
    }
}

impl Debug for Tables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Entries for Tables<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.entries, key)
    }

    fn visit(&self, prefix: &[u8], after: &[u8], each: &mut Visit<'_>) -> Result<(), StoreError> {
        visit(&self.entries, prefix, after, each)
    }
}

/// The entries inside a read transaction.
pub(super) struct Committed<T>(pub(super) T);

impl<T> Debug for Committed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Committed")
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Entries for Committed<T> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.0, key)
    }

    fn visit(&self, prefix: &[u8], after: &[u8], each: &mut Visit<'_>) -> Result<(), StoreError> {
        visit(&self.0, prefix, after, each)
    }
}

fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(stored) = table.get(key).map_err(fault)? else { return Ok(None) };
    Ok(Some(split(stored.value())?.1.to_vec()))
}

fn visit(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    after: &[u8],
    each: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let from = if after >= prefix { Excluded(after) } else { Included(prefix) };
    for entry in table.range::<&[u8]>((from, Unbounded)).map_err(fault)? {
        let (key, stored) = entry.map_err(fault)?;
        let (key, stored) = (key.value(), stored.value());
        let (expires, value) = split(stored)?;
        let expires = (expires != NEVER).then_some(expires);
        if !key.starts_with(prefix) || !each(key, expires, value) {
            break;
        }
    }
    Ok(())
}

/// A stored value is its expiry, eight bytes, then the value itself.
fn split(stored: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    let (expires, value) = stored
        .split_first_chunk()
        .ok_or_else(|| StoreError::Corrupt("an entry without its expiry".to_owned()))?;
    Ok((u64::from_be_bytes(*expires), value))
}
