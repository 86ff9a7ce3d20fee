//! The gateway's tables as written: `[gateway]` and `[[backend]]`. Unknown keys are errors.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    OneOrMany, RawChallenge, RawDocuments, RawStatic, RawWhoami,
    connection::RawConnection,
    identity::{RawCredential, RawIdentity},
    issuers::RawIssuer,
    limits::{RawLimitHeaders, RawSharedLimits},
};
use crate::rules::silence::SilencePolicy;

/// The `[gateway]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawGateway {
    /// Calls per minute of one person and client, refused ones included.
    pub credential_calls_per_minute: u32,
    /// Handshakes and lists per minute of one person and client; they do not count as calls.
    pub discovery_per_minute: u32,
    /// Failed authentications per minute of one client address.
    pub failed_authentications_per_minute: u32,
    /// How long, in seconds, the feed of revocations may be silent before nothing goes on.
    pub feed_silence_seconds: u64,
    /// The `iss` of the identities that backends receive. Default: the origin of the first route.
    pub identity_issuer: Option<String>,
    /// Where auth-server's internal interface is, when it runs in another process.
    pub internal_base: Option<String>,
    /// The file with the credential for auth-server's internal interface.
    pub internal_credential_file: Option<String>,
    /// TLS to auth-server's internal interface, at an https address.
    pub internal_tls: RawInternalTls,
    /// Seconds between two fetches of the issuer's keys for an unknown key id.
    pub jwks_refetch_seconds: u64,
    /// Seconds for which keys are used that cannot be fetched again.
    pub jwks_stale_seconds: u64,
    /// API keys per minute that one client address may show and that were not good before.
    pub key_lookups_per_minute: u32,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// What the gateway calls itself in reports; an ending for each process is added.
    pub name: Option<String>,
    /// Origins whose scripts may call the MCP endpoints. Default: this machine's for loopback
    /// resources, nobody's for others.
    pub origins_allowed: Vec<String>,
    /// The headers that say how a budget stands. Default: none.
    pub rate_limit_headers: Option<RawLimitHeaders>,
    /// What each resource forwards to.
    pub route: Vec<RawRoute>,
    /// Whether budgets are shared with other gateways, where the store is Redis: `leased`, by
    /// small batches; `exact`, asked for at each call; `off`.
    pub shared_limits: RawSharedLimits,
    /// What goes on while the feed of revocations is silent: `reads`, `nothing` or `all`.
    pub while_feed_is_silent: SilencePolicy,
    /// How many calls a workspace may make at once before the rate counts.
    pub workspace_burst: u32,
    /// Permitted calls per minute in one workspace.
    pub workspace_calls_per_minute: u32,
    /// How much of a workspace's budget one person and client may use, in hundredths.
    pub workspace_share_percent: u32,
}

/// The `[gateway.internal_tls]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawInternalTls {
    /// The authorities that may have signed the internal listener's certificate; by default
    /// those of the system.
    pub ca_file: Option<String>,
    /// The certificate to show there.
    pub certificate_file: Option<String>,
    /// Its private key.
    pub key_file: Option<String>,
}

impl Default for RawGateway {
    fn default() -> Self {
        Self {
            credential_calls_per_minute: 120_000,
            discovery_per_minute: 12_000,
            failed_authentications_per_minute: 120,
            feed_silence_seconds: 300,
            identity_issuer: None,
            internal_base: None,
            internal_credential_file: None,
            internal_tls: RawInternalTls::default(),
            jwks_refetch_seconds: 10,
            jwks_stale_seconds: 3600,
            key_lookups_per_minute: 1200,
            max_body_bytes: 1024 * 1024,
            name: None,
            origins_allowed: Vec::new(),
            rate_limit_headers: None,
            route: Vec::new(),
            shared_limits: RawSharedLimits::default(),
            while_feed_is_silent: SilencePolicy::default(),
            workspace_burst: 10_000,
            workspace_calls_per_minute: 60_000,
            workspace_share_percent: 80,
        }
    }
}

/// A `[[gateway.route]]` table: one resource and what stands behind it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    /// The `url` of a `[[resource]]`.
    pub resource: String,
    /// The names of `[[backend]]` tables; the first owner of a tool's name keeps it.
    pub backends: Vec<String>,
    /// `stateless`: no sessions, lists answered here. `relay`: the backend's own sessions.
    #[serde(default)]
    pub session: RawSession,
    /// What happens with tools whose scope the caller lacks. `forbid`: listed, and refused with
    /// what to ask for. `hide`: as if they did not exist.
    #[serde(default)]
    pub on_missing_scope: RawMissingScope,
    /// Whether calls are recorded: `metadata`, or `none`.
    #[serde(default)]
    pub audit: RawAudit,
    /// What 401 and 403 say.
    #[serde(default)]
    pub challenge: RawChallenge,
    /// Whether the authorization server's metadata and `/authorize` are also found at the
    /// resource's origin, where some hosted clients look.
    #[serde(default = "yes")]
    pub aliases: bool,
    /// What goes on here while the feed of revocations is silent. Default: what `[gateway]` says.
    pub while_feed_is_silent: Option<SilencePolicy>,
    /// Who else's tokens open the resource, and what they may give.
    #[serde(default)]
    pub issuer: Vec<RawIssuer>,
    /// The headers that say how a budget stands. Default: what `[gateway]` says.
    pub rate_limit_headers: Option<RawLimitHeaders>,
    /// How many calls a workspace may make at once here before the rate counts. With any of these
    /// three the resource has budgets of its own; the others share theirs. Default: what
    /// `[gateway]` says, but no more than a minute's calls.
    pub workspace_burst: Option<u32>,
    /// Permitted calls per minute in one workspace here. Default: what `[gateway]` says.
    pub workspace_calls_per_minute: Option<u32>,
    /// How much of a workspace's budget one person and client may use here, in hundredths. Default:
    /// what `[gateway]` says.
    pub workspace_share_percent: Option<u32>,
    /// Scopes that bring others with them: `"contacts:write" = ["contacts:read"]`.
    #[serde(default)]
    pub implies: BTreeMap<String, Vec<String>>,
    /// Tools that act in no workspace in particular, by their names here or with one `*`.
    #[serde(default)]
    pub exempt_tools: Vec<String>,
    /// The member that names the workspace of a row: tool results are searched for rows of other
    /// workspaces, which are dropped. Default: results pass as they are.
    pub row_workspace: Option<String>,
    /// The tool that lists workspaces: a refused workspace argument names it. Default: none.
    pub workspace_list_tool: Option<String>,
    /// A tool that tells callers who they are. Default: none.
    pub whoami: Option<RawWhoami>,
    /// Resources that the gateway itself has.
    #[serde(default, rename = "static")]
    pub fixed: Vec<RawStatic>,
    /// Tools by the names under which an address may ask for them alone: `?toolset=NAME`.
    #[serde(default)]
    pub toolsets: BTreeMap<String, Vec<String>>,
    /// How many entries of a list are shown at once. Default: all.
    pub page_size: Option<usize>,
    /// What everybody may read of the resource.
    pub documents: Option<RawDocuments>,
}

/// Whose the sessions are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawSession {
    /// The backend's.
    Relay,
    /// Nobody's.
    #[default]
    Stateless,
}

/// What happens with tools whose scope the caller lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawMissingScope {
    /// They are shown, and refused with 403.
    #[default]
    Forbid,
    /// They are not shown.
    Hide,
}

/// What is recorded of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawAudit {
    /// Method, tool, outcome, time.
    #[default]
    Metadata,
    /// Nothing.
    None,
}

/// A `[[backend]]` table: an MCP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBackend {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Its MCP URL, or with `openapi` the URL below which its paths are. Plain http belongs on a
    /// network you trust.
    pub url: String,
    /// What stands before the names of its tools and prompts, so that several backends do not
    /// take each other's.
    #[serde(default)]
    pub prefix: String,
    /// Tools with a name of their own: name here and name at the backend.
    #[serde(default)]
    pub alias: BTreeMap<String, String>,
    /// The file with the authorities whose certificates an https backend may show. Default: the
    /// system's.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// The `OpenAPI` 3.0 or 3.1 description of a REST backend, a file in JSON or YAML. Its
    /// operations become tools.
    #[serde(default)]
    pub openapi: Option<String>,
    /// The header parameters of the description that calls may set. Default: none.
    #[serde(default)]
    pub header_parameters: Vec<String>,
    /// What is said otherwise than in the description.
    #[serde(default)]
    pub operation: Vec<RawOperation>,
    /// The `aud` of identities sent to it; no two backends share one. Default: the URL.
    #[serde(default)]
    pub audience: Option<String>,
    /// `none`: each request stands alone. `pooled`: one session per principal is kept with it.
    #[serde(default)]
    pub session: RawUpstreamSession,
    /// How long a connection may take to open, in milliseconds.
    #[serde(default = "three_seconds")]
    pub connect_timeout_ms: u64,
    /// How long an answer may take to begin, and one that is no stream then to arrive whole, in
    /// milliseconds.
    #[serde(default = "one_minute")]
    pub timeout_ms: u64,
    /// How many connections it gets, and what happens when it fails.
    #[serde(default)]
    pub connection: RawConnection,
    /// What it asks of everybody, beside the identity.
    #[serde(default)]
    pub credential: Option<RawCredential>,
    /// Headers of clients that it gets. Default: none.
    #[serde(default)]
    pub forward_headers: Vec<String>,
    /// What it is shown of a caller.
    #[serde(default)]
    pub identity: RawIdentity,
    /// How long its catalogue is kept before it is fetched again, in seconds.
    #[serde(default = "sixty")]
    pub catalogue_seconds: u64,
    /// The largest answer, or event of a stream, in bytes.
    #[serde(default = "eight_mebibytes")]
    pub max_answer_bytes: usize,
    /// What kinds of tools there are, for those that no `[[backend.tool]]` table names.
    #[serde(default)]
    pub class: Vec<RawClass>,
    /// The scope that a class of tools needs.
    #[serde(default = "domain_and_access")]
    pub scope_template: String,
    /// What its tools need; what neither a rule nor a class names is not offered.
    #[serde(default)]
    pub tool: Vec<RawRule>,
    /// What its prompts need, by name.
    #[serde(default)]
    pub prompt: Vec<RawRule>,
    /// What its resources and templates need, by URI.
    #[serde(default)]
    pub resource: Vec<RawRule>,
}

/// How requests to a backend are tied together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawUpstreamSession {
    /// Not at all.
    #[default]
    None,
    /// By a session for each principal.
    Pooled,
}

/// A rule: the first whose pattern matches decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// A name or a list of names, each with at most one `*` or `{word}`.
    #[serde(rename = "match")]
    pub patterns: OneOrMany,
    /// The scopes needed, all of them; each may repeat the pattern's `{word}`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One of these, too; the first is what callers without any are told to ask for.
    #[serde(default)]
    pub any_of: Vec<String>,
    /// Whether any valid token will do.
    #[serde(default)]
    pub always_allowed: bool,
    /// What the tools are said to do, at the least: the backend can only make them look more
    /// dangerous.
    pub destructive: Option<bool>,
    pub idempotent: Option<bool>,
    pub open_world: Option<bool>,
    pub read_only: Option<bool>,
}

/// A `[[backend.class]]` table: tools that need one scope made by the template.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClass {
    /// A name or a list of names, each with at most one `*` or `{domain}`.
    #[serde(rename = "match")]
    pub patterns: OneOrMany,
    /// What stands for `{access}` in the template.
    pub access: String,
    /// What stands for `{domain}`, where the patterns do not take it from the name.
    pub domain: Option<String>,
    /// What the tools are said to do, at the least: the backend can only make them look more
    /// dangerous.
    pub destructive: Option<bool>,
    pub idempotent: Option<bool>,
    pub open_world: Option<bool>,
    pub read_only: Option<bool>,
}

/// A `[[backend.operation]]` table: what is said otherwise of some operations of a description.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOperation {
    /// An `operationId`, a method and path like `GET /contacts/{id}`, or an `operationId` with one
    /// `*`.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The tool's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The tool's title.
    #[serde(default)]
    pub title: Option<String>,
    /// What models read of the tool.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether it is no tool.
    #[serde(default)]
    pub hide: bool,
    /// The scopes it needs, all of them, before any rule of `tool` is asked.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One of these, too; the first is what callers without any are told to ask for.
    #[serde(default)]
    pub any_of: Vec<String>,
    /// Whether any valid token will do.
    #[serde(default)]
    pub always_allowed: bool,
    /// What the tool is said to do, at the least: its method can only make it look more
    /// dangerous.
    pub destructive: Option<bool>,
    pub idempotent: Option<bool>,
    pub open_world: Option<bool>,
    pub read_only: Option<bool>,
}

fn domain_and_access() -> String {
    "{domain}:{access}".to_owned()
}

fn yes() -> bool {
    true
}

fn three_seconds() -> u64 {
    3000
}

fn one_minute() -> u64 {
    60_000
}

fn sixty() -> u64 {
    60
}

fn eight_mebibytes() -> usize {
    8 * 1024 * 1024
}
