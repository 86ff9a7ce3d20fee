//! From the database's errors to ours.

use std::io::{self, ErrorKind};

use crate::StoreError;

/// Sorts an error of the database by what can be done about it.
pub(super) fn fault(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => {
            StoreError::Denied("the file is in use by another process".to_owned())
        }
        redb::Error::Io(error) => io_fault(&error),
        error @ (redb::Error::PreviousIo
        | redb::Error::DatabaseClosed
        | redb::Error::TransactionPoisoned
        | redb::Error::LockPoisoned(_)) => StoreError::Unavailable(error.to_string()),
        error @ redb::Error::ValueTooLarge(_) => StoreError::Invalid(error.to_string()),
        error => StoreError::Corrupt(error.to_string()),
    }
}

/// Sorts an error of the file system.
pub(super) fn io_fault(error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::QuotaExceeded | ErrorKind::StorageFull | ErrorKind::FileTooLarge => {
            StoreError::Full
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            StoreError::Denied(error.to_string())
        }
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::NotFound => {
            StoreError::Invalid(error.to_string())
        }
        ErrorKind::InvalidData => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
