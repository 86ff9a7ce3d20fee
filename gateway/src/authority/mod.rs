//! What the gateway asks of auth-server, wherever that runs.

mod http;
mod tls;

use std::{fmt::Debug, future::Future, pin::Pin};

use shared::internal::{Cursor, Events, Principal, PrincipalQuery, Usage};

pub use http::HttpAuthority;
pub use tls::{InternalTls, InternalTlsError};

/// An answer that is awaited.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuthorityError>> + Send + 'a>>;

/// Why auth-server gave no answer. It is never the caller's fault: 503, not 401.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It lives, and knows no more than we do.
    #[error("auth-server answers, and does not see its store: {0}")]
    Blind(String),
    /// What it said may concern anybody.
    #[error("auth-server says what is not understood here: {0}")]
    NotUnderstood(String),
    #[error("auth-server is not available: {0}")]
    Unavailable(String),
}

/// The auth-server: in this process, or over HTTP.
pub trait Authority: Send + Sync + Debug {
    /// What was revoked: everything in force, or what came after the cursor.
    fn events(&self, after: Option<Cursor>) -> Answer<'_, Events>;

    /// The issuer's published keys, byte for byte.
    fn jwks(&self) -> Answer<'_, Vec<u8>>;

    /// The issuer's metadata (RFC 8414 section 3.2), byte for byte.
    fn metadata(&self) -> Answer<'_, Vec<u8>>;

    /// What stands behind a key or a grant at this moment; `None` where nothing does.
    fn principal(&self, query: PrincipalQuery) -> Answer<'_, Option<Principal>>;

    /// Takes receipts, last uses and the version of the keys in use here.
    fn report(&self, usage: Usage) -> Answer<'_, ()>;
}
