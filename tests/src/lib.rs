//! The end-to-end harness: a world with the services in it, an OAuth client, a browser and a
//! judge of tokens, all of which know nothing but what travels over HTTP.
//!
//! Nothing here asks the services' code for an expected answer: challenges are computed, pages
//! read, keys parsed and tokens verified by other code than theirs.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose harness fails must fail"
)]

mod account;
mod assertion;
mod backend;
mod browser;
mod client;
mod collector;
mod front;
mod hostile;
mod html;
mod http;
mod judge;
mod mcp;
mod pkce;
mod provider;
mod rest;
mod services;
mod site;
mod world;

pub use self::{
    account::{Account, NewKey},
    assertion::{ASSERTION_TYPE, ClientKey, present},
    backend::{Answer, Backend, Received, Speaks},
    browser::{Browser, Choice, PASSWORD, Page, Person},
    client::{Authorization, Callback, Client, Code, Credential, LOOPBACK, NEXT_SECRET, Tokens},
    collector::{Collector, SpanSeen},
    hostile::{Hostile, Script},
    html::Form,
    http::{Http, Parameters, Post, Reply},
    judge::Judge,
    mcp::{LEGACY, MODERN, Mcp, headers, modern_meta, request},
    pkce::{challenge_of, new_verifier},
    provider::{Provider, Trick},
    rest::{RestBackend, RestReceived},
    services::{CRM_AUDIENCE, INTERNAL},
    site::{SITE_HOST, Served, Site},
    world::{ENGINES, Options, RESOURCE, RESOURCE_STRICT, Store, World},
};
