//! Reading what was committed.

use super::{Entry, Kept, tables::Entries};
use crate::StoreError;

/// A consistent view of the store. Expired entries are in it until they are swept: who reads
/// them compares their time.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    entries: &'a dyn Entries,
}

impl<'a> Reader<'a> {
    pub(super) fn over(entries: &'a dyn Entries) -> Self {
        Self { entries }
    }
}

impl Reader<'_> {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.entries.get(key)
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
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.entries.visit(prefix, after, &mut |key, _, value| {
            found.push((key.to_vec(), value.to_vec()));
            found.len() < limit
        })?;
        Ok(found)
    }

    /// The first entries of all whose keys come after `after`, with their expiry.
    pub fn kept_after(&self, after: &[u8], limit: usize) -> Result<Vec<Kept>, StoreError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.entries.visit(&[], after, &mut |key, expires_ms, value| {
            found.push(Kept { expires_ms, key: key.to_vec(), value: value.to_vec() });
            found.len() < limit
        })?;
        Ok(found)
    }
}
