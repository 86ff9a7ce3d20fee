//! The two storage engines: an embedded file for one process, and Redis for many.
//!
//! This crate knows bytes, keys and transactions. What the keys mean belongs to the services,
//! whose verbs are one [`Embedded::write`] or one [`Script`] each.

mod embedded;
mod error;
mod observer;
mod redis;
#[cfg(feature = "test-server")]
pub mod test_server;

pub use embedded::{Embedded, Entry, Kept, Reader, Writer};
pub use error::StoreError;
pub use observer::Observer;
pub use redis::{Redis, RedisConfig, Reply, Role, Script, ServerIdentity, Tls, Topology};
