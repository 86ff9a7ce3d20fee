//! Reading and writing inside a transaction. Writes are kept aside until the work is done, so
//! that a failed one leaves no trace among those that share its commit.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use super::{
    Entry,
    tables::{Entries, Tables},
};
use crate::StoreError;

/// The longest key.
const LONGEST_KEY: usize = 4 * 1024;
/// The longest value.
const LONGEST_VALUE: usize = 16 * 1024 * 1024;

/// What was put: a value, and when it expires.
pub(super) type Put = (Vec<u8>, Option<u64>);
/// What a closure changed: keys put, and keys deleted.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Put>>;

/// The store inside a transaction: it reads its own writes.
#[derive(Debug)]
pub struct Writer<'a> {
    changes: Changes,
    entries: &'a dyn Entries,
}

impl Writer<'_> {
    /// Runs `work` over the tables, and applies its writes if it succeeds.
    pub(super) fn run<T>(
        tables: &mut Tables<'_>,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = Writer { changes: Changes::new(), entries: &*tables };
        let value = work(&mut writer)?;
        let changes = writer.changes;
        tables.apply(changes)?;
        Ok(value)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.as_ref().map(|(value, _)| value.clone())),
            None => self.entries.get(key),
        }
    }

    /// Writes a value. From `expires_ms` (milliseconds since 1970) on a sweep may drop it.
    pub fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        expires_ms: Option<u64>,
    ) -> Result<(), StoreError> {
        if key.len() > LONGEST_KEY {
            return Err(StoreError::Invalid(format!("a key of {} bytes", key.len())));
        }
        if value.len() > LONGEST_VALUE {
            return Err(StoreError::Invalid(format!("a value of {} bytes", value.len())));
        }
        self.changes.insert(key.to_vec(), Some((value.to_vec(), expires_ms)));
        Ok(())
    }

    /// Deletes a key, and tells whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, StoreError> {
        let was = self.get(key)?.is_some();
        if was {
            self.changes.insert(key.to_vec(), None);
        }
        Ok(was)
    }

    /// The first entries whose keys begin with `prefix`, in the order of their keys.
    pub fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.scan_after(prefix, &[], limit)
    }

    /// The first entries whose keys begin with `prefix` and come after `after`.
    pub fn scan_after(
        &self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let from = if after >= prefix { Excluded(after) } else { Included(prefix) };
        let mut own = self
            .changes
            .range::<[u8], _>((from, Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .peekable();
        let mut found: Vec<Entry> = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.entries.visit(prefix, after, &mut |key, _, value| {
            while let Some((changed, change)) = own.next_if(|(changed, _)| changed.as_slice() < key)
            {
                found.extend(entry(changed, change.as_ref()));
            }
            match own.next_if(|(changed, _)| changed.as_slice() == key) {
                Some((changed, change)) => found.extend(entry(changed, change.as_ref())),
                None => found.push((key.to_vec(), value.to_vec())),
            }
            found.len() < limit
        })?;
        found.extend(own.filter_map(|(key, change)| entry(key, change.as_ref())));
        found.truncate(limit);
        Ok(found)
    }
}

fn entry(key: &[u8], change: Option<&Put>) -> Option<Entry> {
    change.map(|(value, _)| (key.to_vec(), value.clone()))
}
