//! One file for each kind of address.

pub(crate) mod documents;
pub(crate) mod health;
pub(crate) mod mcp;
pub(crate) mod metadata;
