//! The form of a record in every engine: JSON, with the version of the form first.

use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

/// The version of the records' form stands first, so that a later one can tell.
pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&(1_u8, record)).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match serde_json::from_slice::<(u8, T)>(bytes) {
        Ok((1, record)) => Ok(record),
        Ok((version, _)) => Err(StoreError::Corrupt(format!("record version {version}"))),
        Err(error) => Err(StoreError::Corrupt(error.to_string())),
    }
}
