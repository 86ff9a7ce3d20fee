//! The pages people see: what each shows, as plain values, and its template.
//!
//! A page is told everything it shows; it asks nothing and decides nothing.

pub(crate) mod account;
pub(crate) mod api_key;
pub(crate) mod confirm;
pub(crate) mod consent;
pub(crate) mod error;
pub(crate) mod notice;
pub(crate) mod password;
pub(crate) mod post;
pub(crate) mod sign_in;
pub(crate) mod words;

#[cfg(test)]
mod samples;

/// More of a name than this is not shown.
const NAME_LIMIT: usize = 60;
