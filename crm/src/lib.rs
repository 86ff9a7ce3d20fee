//! The reference CRM: a backend as an integrator would write it, an MCP server of its own.
//!
//! It trusts nothing but the gateway's signed identity and shows each caller the rows of the
//! workspaces named there, and no others. Modules, fields and tools are data
//! (`profiles/demo/catalogue.toml`); one engine serves them all.

mod catalogue;
mod config;
mod engine;
mod http;
mod identity;
mod jwks;
mod limits;
mod prompt;
mod schema;
mod seed;
mod server;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

pub use crate::config::{Config, Workspace};
use crate::{catalogue::Catalogue, engine::Engine, identity::Verifier};

/// Opens the records, seeds new workspaces, and builds the routes; `shutdown` ends open streams.
pub async fn router(config: Config, shutdown: CancellationToken) -> Result<Router, CrmError> {
    let catalogue = Arc::new(Catalogue::built_in()?);
    let verifier = Verifier::new(&config)?;
    let engine = Engine::open(catalogue, &config).await?;
    Ok(http::routes(&config, verifier, engine, shutdown))
}

/// Why the CRM cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    #[error("catalogue: {0}")]
    Catalogue(String),
    #[error("cannot build the client that fetches keys")]
    Client(#[source] reqwest::Error),
    #[error("cannot read a stored record")]
    Record(#[source] serde_json::Error),
    #[error("seed data: {0}")]
    Seed(String),
    #[error("cannot use the record file")]
    Store(#[from] store::StoreError),
}
