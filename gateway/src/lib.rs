//! The MCP resource gateway: checks who calls and what they may do, then forwards.
//!
//! Read `phases/mod.rs` first: it is the life of a request. What the specifications say is in
//! `rules/`, as pure functions; `backends/` is what stands behind. A [`Gateway`] is put together
//! by the caller, [`Gateway::start`] begins what runs in the background, [`router`] serves, and
//! [`Gateway::reload`] changes the configuration.

mod answer;
mod api_keys;
mod audit;
mod authenticate;
mod authority;
mod backends;
mod background;
mod claims;
mod config;
mod endpoints;
mod entrance;
mod error;
mod feed;
mod gateway;
mod handles;
mod human;
mod inflight;
mod issuers;
mod jwks;
mod limit;
mod metrics;
mod once;
mod phases;
mod relayed;
mod routes;
mod rules;
mod silence;
mod state;
mod surface;
mod traces;
mod warmup;

pub use authority::{
    Answer, Authority, AuthorityError, HttpAuthority, InternalTls, InternalTlsError,
};
pub use config::{
    Config, OneOrMany, RawAudit, RawBackend, RawChallenge, RawClass, RawConnection, RawCredential,
    RawDocuments, RawErrorBody, RawExchange, RawGateway, RawIdentity, RawIdentityMode,
    RawInternalTls, RawIssuer, RawLimitHeaders, RawMetadataAddress, RawMissingScope,
    RawOpenApiVersion, RawOperation, RawReset, RawRoute, RawRule, RawSession, RawSharedLimits,
    RawStatic, RawTokenType, RawUpstreamSession, RawWhoami, SilencePolicy,
};
pub use entrance::{Entrance, router};
pub use gateway::{Applied, Gateway};
pub use state::{AppParts, IdentityKeys};
