//! The OAuth 2.1 authorization server: discovers, registers, signs people in and issues tokens.
//!
//! Read `routes` for the paths, `rules` for what the specifications say, `endpoints` for the
//! recipe of each path, and `store` for what is kept and how it changes. The library knows
//! nothing of sockets, arguments or environment.

mod accounts;
mod admin;
mod api_keys;
mod audit;
mod audit_log;
mod client_limits;
pub mod clients;
pub mod config;
mod endpoints;
mod engine;
mod entrance;
mod error;
#[cfg(test)]
mod fuzz;
mod grants;
mod issue;
mod key_sets;
mod live;
pub mod maintenance;
mod metrics;
mod mint;
mod outbound;
mod pages;
mod public;
mod routes;
mod rules;
mod sign_in;
mod state;
mod store;
#[cfg(test)]
mod testing;
mod traces;
mod upstream;
mod verifiers;

pub use self::{
    accounts::AccountError,
    admin::{
        AdminPeer, GatewayKeysChanged, KeyShown, KeysChanged, Reloaded, admin_router, asker,
        over_tcp, too_soon,
    },
    audit::Actor,
    config::Config,
    engine::Engine,
    grants::LiveGrant,
    key_sets::KeyChangeError,
    public::Public,
    routes::internal_router,
    state::{App, StartError},
    store::{Census, StoreError},
    upstream::HttpError,
};
