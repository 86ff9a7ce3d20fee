//! One file per endpoint: read, ask the rules, act through the store, answer.

pub(crate) mod account;
mod approval;
pub(crate) mod authorize;
pub(crate) mod client_configuration;
pub(crate) mod consent;
mod document_client;
pub(crate) mod health;
pub(crate) mod internal;
pub(crate) mod introspect;
pub(crate) mod jwks;
pub(crate) mod login;
pub(crate) mod metadata;
pub(crate) mod register;
pub(crate) mod revoke;
pub(crate) mod token;
pub(crate) mod upstream;
pub(crate) mod userinfo;

mod browser;
mod named;
