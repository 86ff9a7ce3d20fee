//! The one error of both engines. It is for logs and for choosing what to do next, never for a
//! peer's eyes.

/// Why an engine did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More is asked than the store takes on at once.
    #[error("the store is busy")]
    Busy,
    /// What is stored, or what the server answered, cannot be understood.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
    /// The store may not be used: permissions, credentials, or another process holds the file.
    #[error("the store refuses: {0}")]
    Denied(String),
    /// There is no room left.
    #[error("the store is full")]
    Full,
    /// What was asked can never work as it stands: a wrong setting, or a wrong request.
    #[error("the store cannot be used like this: {0}")]
    Invalid(String),
    /// The store did not answer. Whether what was asked has happened is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::Unavailable(_))
    }
}
