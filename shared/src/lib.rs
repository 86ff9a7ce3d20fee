//! The vocabulary both services share.
//!
//! A type enters only when auth-server and gateway both need it and a specification or the
//! deployment file defines it. Invariant: no I/O, no async, no web framework; the one reader
//! of the time is [`time::Clock`].

pub mod api_key;
pub mod challenge;
pub mod claims;
pub mod deployment;
pub mod endpoints;
pub mod ids;
pub mod internal;
pub mod issuer;
pub mod json;
pub mod metadata;
pub mod problem;
pub mod resource;
mod resource_settings;
pub mod scope;
mod scope_kind;
pub mod secret;
pub mod time;
