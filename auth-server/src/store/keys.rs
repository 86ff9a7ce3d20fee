//! Sets of keys, sealed, by their purposes.

use super::{Expected, Kind, Store, StoreError};

impl dyn Store + '_ {
    /// A set of keys, as it was sealed.
    pub(crate) async fn key_set(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.record(Kind::KeySet, name).await
    }

    /// Replaces a key set if it still is `expected`; durably. False if it is not.
    pub(crate) async fn replace_key_set(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        set: &[u8],
    ) -> Result<bool, StoreError> {
        let expected = expected.map_or(Expected::Absent, Expected::Same);
        self.replace_record(Kind::KeySet, name, expected, Some(set), None).await
    }
}
