//! What a caller may do, as pure functions: no I/O, no clock, no randomness.
//!
//! Each file refuses with a variant of [`violation`]; nothing here knows HTTP beyond headers and
//! status codes.

pub(crate) mod arguments;
pub(crate) mod caller;
pub(crate) mod catalogue;
pub(crate) mod credential;
pub(crate) mod documents;
pub(crate) mod eras;
pub(crate) mod examine;
pub(crate) mod foreign;
#[cfg(test)]
mod fuzz;
pub(crate) mod handle;
pub(crate) mod headers;
pub(crate) mod listing;
pub(crate) mod logging;
pub(crate) mod members;
pub(crate) mod narrowing;
pub(crate) mod offerings;
pub(crate) mod older_schema;
pub(crate) mod openapi;
pub(crate) mod origin;
pub(crate) mod outputs;
pub(crate) mod own;
pub(crate) mod own_rows;
pub(crate) mod pages;
pub(crate) mod permit;
pub(crate) mod policy;
pub(crate) mod protocol;
pub(crate) mod rows;
pub(crate) mod rpc;
pub(crate) mod scan;
pub(crate) mod scopes;
pub(crate) mod silence;
pub(crate) mod splice;
pub(crate) mod sse;
pub(crate) mod task;
pub(crate) mod uri_template;
pub(crate) mod violation;
pub(crate) mod visible;
pub(crate) mod workspace;
