//! From the library's errors to ours.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

use crate::StoreError;

/// Sorts an error by what can be done about it.
pub(super) fn fault(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(kind) => known(kind, error.to_string()),
        ErrorKind::Extension => extension(error.code().unwrap_or_default(), error.to_string()),
        ErrorKind::AuthenticationFailed => StoreError::Denied(error.to_string()),
        ErrorKind::InvalidClientConfig | ErrorKind::Client | ErrorKind::RESP3NotSupported => {
            StoreError::Invalid(error.to_string())
        }
        ErrorKind::UnexpectedReturnType => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// The same for an error inside a reply.
pub(super) fn server_fault(error: &ServerError) -> StoreError {
    match error.kind() {
        Some(kind) => known(kind, error.to_string()),
        None => extension(error.code(), error.to_string()),
    }
}

/// Nothing was heard in time.
pub(super) fn silent(limit: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {} ms", limit.as_millis()))
}

/// Whether the connection is to blame in a way the library does not mend: it leads to a server
/// that only reads, or could not be made.
pub(super) fn blames_connection(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::Server(
                ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
                    // Where there are too many clients, connecting ends with a plain error.
                    | ServerErrorKind::ResponseError
            )
    ) || matches!(error.code(), Some("DENIED" | "NOAUTH" | "WRONGPASS"))
}

fn known(kind: ServerErrorKind, said: String) -> StoreError {
    match kind {
        ServerErrorKind::Ask
        | ServerErrorKind::BusyLoading
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::Moved
        | ServerErrorKind::ReadOnly
        | ServerErrorKind::TryAgain => StoreError::Unavailable(said),
        ServerErrorKind::NoPerm => StoreError::Denied(said),
        ServerErrorKind::ResponseError if said.contains("max number of clients") => {
            StoreError::Unavailable(said)
        }
        _ => StoreError::Invalid(said),
    }
}

fn extension(code: &str, said: String) -> StoreError {
    match code {
        "BUSY" => StoreError::Busy,
        "DENIED" | "NOAUTH" | "WRONGPASS" => StoreError::Denied(said),
        "OOM" => StoreError::Full,
        // The disk refuses, replicas are missing, or the server changed its role.
        "MISCONF" | "NOREPLICAS" | "UNBLOCKED" => StoreError::Unavailable(said),
        "WRONGTYPE" => StoreError::Corrupt(said),
        _ => StoreError::Invalid(said),
    }
}
