//! What the specifications say: pure functions without I/O, clock or randomness.

pub(crate) mod account;
pub(crate) mod api_key;
pub(crate) mod authorization_request;
pub(crate) mod blocked_redirects;
pub(crate) mod client;
pub(crate) mod client_auth;
pub(crate) mod client_life;
pub(crate) mod client_metadata;
pub(crate) mod consent;
pub(crate) mod device;
pub(crate) mod initial_access;
pub(crate) mod metadata_members;
pub(crate) mod openid;
pub(crate) mod params;
pub(crate) mod pkce;
pub(crate) mod redirect_uri;
pub(crate) mod refresh_token;
pub(crate) mod resource;
pub(crate) mod rotation;
pub(crate) mod scope;
pub(crate) mod service_account;
pub(crate) mod software_statement;
pub(crate) mod throttle;
pub(crate) mod upstream;
pub(crate) mod violation;
