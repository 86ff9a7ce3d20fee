//! auth-server's tables of the deployment file, as written. Unknown keys are errors.

use serde::Deserialize;

use super::RawOutbound;

/// The `[auth]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAuth {
    /// Redirects to these hosts, and to hosts below them, are refused, whoever registered them.
    #[serde(default)]
    pub blocked_redirect_hosts: Vec<String>,
    /// These redirect URIs are refused, whoever registered them.
    #[serde(default)]
    pub blocked_redirect_uris: Vec<String>,
    /// How many clients may be stored; beyond, registration answers 503. 100,000 if absent.
    pub client_capacity: Option<u64>,
    /// How many new clients all strangers together may register in a minute, 1 to 10000000; 1200
    /// if absent. Two and a half times as many may come at once.
    pub new_clients_per_minute: Option<u32>,
    /// `open`: anybody may register a client. `token`: whoever holds an initial access token.
    /// `closed`: only the clients of this file, and those an operator stands behind, exist.
    #[serde(default)]
    pub registration: Registration,
    /// Days for which security events are kept for queries, 1 to 3650; 90 without it.
    pub audit_days: Option<u64>,
    /// How many security events are kept for queries, 1000 to 10000000; 100000 without it.
    pub audit_records: Option<u64>,
    /// Where this server may dial for clients' documents and keys.
    #[serde(default)]
    pub outbound: RawOutbound,
    /// Hours after which a browser must sign in again, 1 to 720.
    pub session_hours: Option<u64>,
    /// People who sign in with a password.
    #[serde(default)]
    pub user: Vec<RawUser>,
    /// Providers that people may sign in with.
    #[serde(default)]
    pub upstream: Vec<RawUpstream>,
    /// Workspaces that people are members of.
    #[serde(default)]
    pub workspace: Vec<RawWorkspace>,
}

/// Who may register clients (RFC 7591).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    Closed,
    #[default]
    Open,
    Token,
}

/// An `[[auth.user]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUser {
    /// The `sub` of the person's tokens: `usr_` and up to 64 letters, digits, `-`, `_`.
    pub id: String,
    /// What the person types to sign in, usually an e-mail address.
    pub username: String,
    /// The name pages show.
    pub name: String,
    /// The e-mail address; without it the user name, where that is one. The operator vouches for
    /// it.
    pub email: Option<String>,
    /// A file with the password, or with its argon2id hash (`$argon2id$…`).
    pub password_file: String,
    /// Memberships.
    #[serde(default)]
    pub membership: Vec<RawMembership>,
}

/// An `[[auth.user.membership]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMembership {
    pub workspace: String,
    /// The role as pages show it.
    pub role: String,
}

/// An `[[auth.upstream]]` table: an `OpenID` provider that people may sign in with. It sends them
/// back to `/login/{id}/callback` beside the authorization endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUpstream {
    /// In paths: letters, digits, `-` and `_`.
    pub id: String,
    /// On the button: "Continue with NAME".
    pub name: String,
    /// Its issuer, byte for byte as its own document has it.
    pub issuer: String,
    /// What this server is to it.
    pub client_id: String,
    /// The file with the secret it gave; without it this server is a public client there.
    pub client_secret_file: Option<String>,
    /// A file with certificates (PEM) to trust besides the public ones.
    pub ca_file: Option<String>,
    /// Whether somebody without an account gets one. Otherwise an operator makes it first.
    #[serde(default)]
    pub create_accounts: bool,
    /// What is asked for.
    #[serde(default = "standard_scopes")]
    pub scopes: Vec<String>,
    /// Claims that make people members of workspaces.
    #[serde(default)]
    pub workspace: Vec<RawUpstreamWorkspace>,
}

/// An `[[auth.upstream.workspace]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUpstreamWorkspace {
    /// The claim's name, such as `groups`.
    pub claim: String,
    /// What the claim is, or holds if it is a list.
    pub value: String,
    pub workspace: String,
    /// The role as pages show it.
    pub role: String,
}

fn standard_scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(str::to_owned).to_vec()
}

/// An `[[auth.workspace]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWorkspace {
    pub id: String,
    pub name: String,
    /// The URLs of the resources that the workspace may use; without it all of them.
    pub resources: Option<Vec<String>>,
}

/// A `[[client]]` table: a client registered by the operator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClient {
    /// Any visible characters, but never `usr_…`, which names people.
    pub id: String,
    pub name: String,
    /// Where people are sent back to; none for a client that acts on its own account alone.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// `authorization_code`, `refresh_token` and `client_credentials`; by default the first two,
    /// and none for a service without `redirect_uris`.
    pub grant_types: Option<Vec<String>>,
    /// The algorithm of the client's ID tokens, one of `keys.algorithms`; the first of them
    /// without it.
    pub id_token_signed_response_alg: Option<String>,
    /// A file with the client's public keys, a JWK Set; the client then signs assertions.
    pub jwks_file: Option<String>,
    /// Where the client publishes its keys, instead of a file.
    pub jwks_uri: Option<String>,
    /// A file with the client's secret; with neither keys nor a secret the client is public.
    pub secret_file: Option<String>,
    /// Further secrets, each with its own end: the old and the new one of a rotation.
    #[serde(default)]
    pub secret: Vec<RawClientSecret>,
    /// What the client may do on its own account.
    pub service: Option<RawService>,
}

/// A `[[client.secret]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClientSecret {
    pub file: String,
    /// The moment from which the secret is refused, such as `"2026-12-31T00:00:00Z"`.
    pub until: Option<String>,
}

/// A `[client.service]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawService {
    /// The resources whose tokens the client may introspect.
    #[serde(default)]
    pub introspects: Vec<String>,
    /// The resource of the client's own tokens; the default one if absent.
    pub resource: Option<String>,
    /// What the client may do there; nothing if empty.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Where the client may do it.
    #[serde(default)]
    pub workspaces: Vec<String>,
}
