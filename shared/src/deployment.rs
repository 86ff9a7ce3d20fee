//! What both services must agree on, from the deployment file's `[deployment]` and `[[resource]]`.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{
    api_key::{ApiKeys, RawApiKeys},
    endpoints::{Endpoints, RawEndpoints},
    problem::Problem,
    resource::ResourceIndicator,
    resource_settings,
    scope::{Scope, is_wildcard},
    scope_kind,
};
pub use crate::{
    issuer::Issuer,
    resource_settings::{IdleBy, RefreshPolicy},
    scope_kind::ScopeKind,
};

/// The `[deployment]` table as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDeployment {
    /// The name people see on pages and in resource metadata.
    pub name: String,
    /// The issuer: an https URL, or http on loopback; no trailing slash, no query.
    pub issuer: String,
    /// Endpoints that are not below the issuer.
    #[serde(default)]
    pub endpoints: RawEndpoints,
}

/// A `[[resource]]` table as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting an operator writes")]
pub struct RawResource {
    /// The full public MCP URL; also the `aud` of its tokens.
    pub url: String,
    /// The name people see.
    pub name: String,
    /// Used when a request names no resource. At most one.
    #[serde(default)]
    pub default: bool,
    /// Stands before every access token of the resource: 1 to 32 letters, digits, `-`, `_`.
    #[serde(default)]
    pub access_token_prefix: String,
    /// Lifetime of access tokens in seconds, 60 to 3600.
    #[serde(default = "five_minutes")]
    pub access_token_seconds: u64,
    /// Who gets refresh tokens.
    #[serde(default)]
    pub refresh: RefreshPolicy,
    /// What keeps a grant from being idle.
    #[serde(default)]
    pub refresh_idle_by: IdleBy,
    /// Idle lifetime of a grant in seconds: it ends when not used for so long.
    #[serde(default = "thirty_days")]
    pub refresh_idle_seconds: u64,
    /// Absolute lifetime of a grant in seconds, refreshes included.
    #[serde(default = "ninety_days")]
    pub refresh_absolute_seconds: u64,
    /// Whether what verifies its tokens reports calls to the authorization server, as the gateway
    /// does.
    #[serde(default = "yes")]
    pub reports_calls: bool,
    /// Revoke the grant at the first sign of a refresh token used twice. Hurts clients that
    /// refresh in parallel.
    #[serde(default)]
    pub strict: bool,
    /// Whether access tokens open it. Without them API keys alone do.
    #[serde(default = "yes")]
    pub oauth: bool,
    /// What its API keys look like; without the table it has none.
    pub api_keys: Option<RawApiKeys>,
    /// Scopes granted when a client asks for none, and named in the challenge; no wildcards.
    pub default_scopes: Vec<String>,
    /// Scopes the resource metadata lists, and clients ask for; no wildcards.
    pub prm_scopes: Vec<String>,
    /// Every scope of the resource.
    pub scope: Vec<RawScope>,
    /// How a call names its workspace.
    #[serde(default)]
    pub workspace: WorkspaceMode,
    /// The argument that names the workspace.
    #[serde(default = "workspace_id")]
    pub workspace_argument: String,
}

/// A scope and what it means, in words for the consent page.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawScope {
    pub name: String,
    /// What the person allows, as the rest of a sentence: "See your contacts".
    pub description: String,
    /// What it allows at its worst. Default: by the name's end, `:read` or `:delete`, else write;
    /// a wildcard deletes.
    pub kind: Option<ScopeKind>,
}

/// How a call names its workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceMode {
    /// The argument is required.
    Argument,
    /// The credential carries them, one or several; no argument.
    Credential,
    /// The credential carries exactly one; no argument.
    #[default]
    Implicit,
    /// Reads without it cover all granted workspaces; writes need it when several are granted.
    OptionalArgument,
}

/// What both services agree on, checked.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The issuer as a resource of its own: what a person signs in with. Its tokens open the
    /// userinfo endpoint only, and no request names it.
    pub account: Resource,
    pub endpoints: Endpoints,
    pub name: String,
    pub issuer: Issuer,
    pub resources: Vec<Resource>,
}

/// A protected resource and its terms.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Resource {
    pub indicator: ResourceIndicator,
    pub name: String,
    pub is_default: bool,
    pub access_token_life: Duration,
    /// Stands before every access token; usually empty.
    pub access_token_prefix: String,
    pub refresh: RefreshPolicy,
    pub refresh_idle: Duration,
    pub refresh_idle_by: IdleBy,
    pub refresh_absolute: Duration,
    /// Whether its calls are reported to the authorization server.
    pub reports_calls: bool,
    pub strict: bool,
    /// Whether access tokens open it.
    pub oauth: bool,
    pub api_keys: Option<ApiKeys>,
    pub default_scopes: Scope,
    pub prm_scopes: Scope,
    /// Every scope with its words, in the file's order.
    pub scopes: Vec<(String, String)>,
    scope_kinds: BTreeMap<String, ScopeKind>,
    pub workspace: WorkspaceMode,
    pub workspace_argument: String,
}

impl Deployment {
    /// Checks the tables; returns every problem at once.
    pub fn resolve(raw: RawDeployment, resources: Vec<RawResource>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let issuer = Issuer::parse(&raw.issuer).map_err(|problem| problems.push(problem)).ok();
        let endpoints = issuer
            .as_ref()
            .and_then(|issuer| Endpoints::resolve(&raw.endpoints, issuer, &mut problems));
        if resources.is_empty() {
            problems.push(Problem::new("resource", "none is given", "add a [[resource]] table"));
        }
        if resources.iter().filter(|resource| resource.default).count() > 1 {
            problems.push(Problem::new("resource", "more than one is the default", "keep one"));
        }
        let mut checked: Vec<Resource> = Vec::new();
        for (at, raw) in resources.into_iter().enumerate() {
            if let Some(resource) = Resource::resolve(raw, at, &mut problems) {
                if checked.iter().any(|other| other.indicator == resource.indicator) {
                    let place = format!("resource[{at}].url");
                    problems.push(Problem::new(place, "is given twice", "remove one of the two"));
                }
                checked.push(resource);
            }
        }
        let account = issuer.as_ref().and_then(Resource::account);
        let is_issuer = |one: &Resource| issuer.iter().any(|own| one.indicator.names(own.as_str()));
        if checked.iter().any(is_issuer) {
            let what = "is the issuer, which is the audience of tokens that only sign people in";
            problems.push(Problem::new("resource.url", what, "give the resource a path"));
        }
        match issuer.zip(account).zip(endpoints) {
            Some(((issuer, account), endpoints)) if problems.is_empty() => {
                Ok(Self { account, endpoints, name: raw.name, issuer, resources: checked })
            }
            _ => Err(problems),
        }
    }

    /// The hosts at which something of the authorization server is, as `Host` headers say them.
    pub fn issuer_hosts(&self) -> Vec<String> {
        let mut hosts = vec![self.issuer.authority()];
        hosts.extend(self.endpoints.hosts().into_iter().map(str::to_owned));
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// The resource that `asked` names, if any.
    pub fn resource(&self, asked: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.indicator.names(asked))
    }

    /// The resource of requests that name none.
    pub fn default_resource(&self) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.is_default)
    }

    /// A token without the prefix of whichever resource it has one of: for endpoints that take
    /// tokens of every resource.
    pub fn bare_token<'a>(&self, token: &'a str) -> &'a str {
        let mut prefixed =
            self.resources.iter().filter(|resource| !resource.access_token_prefix.is_empty());
        prefixed.find_map(|resource| resource.bare_token(token)).unwrap_or(token)
    }

    /// The longest life of any access token.
    pub fn longest_access_token(&self) -> Duration {
        let all = self.resources.iter().chain([&self.account]);
        all.map(|resource| resource.access_token_life).max().unwrap_or_default()
    }
}

impl Resource {
    fn resolve(raw: RawResource, at: usize, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let place = |key: &str| format!("resource[{at}].{key}");
        let indicator = ResourceIndicator::parse(&raw.url).map_err(|error| {
            problems.push(Problem::new(place("url"), error.to_string(), "write the MCP URL"));
        });
        let all = Scope::from_tokens(raw.scope.iter().map(|scope| scope.name.as_str()));
        let Ok(all) = all else {
            problems.push(Problem::new(place("scope"), "a name is no scope token", "see RFC 6749"));
            return None;
        };
        for name in RESERVED.iter().filter(|name| all.contains(name)) {
            let what = format!("names {name}, which says something about the person, not about it");
            problems.push(Problem::new(place("scope"), what, "choose another name"));
        }
        let mut subset = |key: &str, names: &[String]| {
            let scope = Scope::from_tokens(names.iter().map(String::as_str)).unwrap_or_default();
            if let Some(wildcard) = names.iter().find(|name| is_wildcard(name)) {
                let who = if key == "prm_scopes" { "every client" } else { "who asks for nothing" };
                let what = format!("holds {wildcard}, which {who} would be offered");
                let remedy = "list scopes one by one; who wants more asks for it by name";
                problems.push(Problem::new(place(key), what, remedy));
            }
            if scope.len() != names.len() || !all.includes(&scope) {
                let what = "names a scope twice or one the resource does not have";
                problems.push(Problem::new(place(key), what, "list names from [[resource.scope]]"));
            }
            scope
        };
        let default_scopes = subset("default_scopes", &raw.default_scopes);
        let prm_scopes = subset("prm_scopes", &raw.prm_scopes);
        if !(60..=3600).contains(&raw.access_token_seconds) {
            let what = "is not between 60 and 3600";
            problems.push(Problem::new(place("access_token_seconds"), what, "write 300"));
        }
        resource_settings::check(&raw, &place, problems);
        let table = place("api_keys");
        let api_keys = raw.api_keys.map(|raw| ApiKeys::resolve(raw, &table, problems));
        if !raw.oauth && api_keys.is_none() {
            let remedy = "add a [resource.api_keys] table, or let access tokens in";
            problems.push(Problem::new(place("oauth"), "leaves no credential", remedy));
        }
        if !raw.oauth && raw.default {
            let what = "is set where access tokens are not let in";
            problems.push(Problem::new(place("default"), what, "choose another resource"));
        }
        let scope_kinds = scope_kind::kinds(&raw.scope, &place("scope"), problems);
        if problems.len() > before {
            return None;
        }
        Some(Self {
            oauth: raw.oauth,
            api_keys,
            scope_kinds,
            indicator: indicator.ok()?,
            name: raw.name,
            is_default: raw.default,
            access_token_life: Duration::from_secs(raw.access_token_seconds),
            access_token_prefix: raw.access_token_prefix,
            refresh: raw.refresh,
            refresh_idle: Duration::from_secs(raw.refresh_idle_seconds),
            refresh_idle_by: raw.refresh_idle_by,
            refresh_absolute: Duration::from_secs(raw.refresh_absolute_seconds),
            reports_calls: raw.reports_calls,
            strict: raw.strict,
            default_scopes,
            prm_scopes,
            scopes: raw.scope.into_iter().map(|scope| (scope.name, scope.description)).collect(),
            workspace: raw.workspace,
            workspace_argument: raw.workspace_argument,
        })
    }

    /// The issuer as a resource, with the scopes of OpenID Connect (OpenID Connect Core 5.4).
    fn account(issuer: &Issuer) -> Option<Self> {
        let words = [
            ("openid", "Know who you are"),
            ("profile", "See your name and the workspaces you open to it"),
            ("email", "See your e-mail address"),
        ];
        let scope = Scope::from_tokens(["openid"]).ok()?;
        Some(Self {
            oauth: true,
            api_keys: None,
            scope_kinds: words.map(|(name, _)| (name.to_owned(), ScopeKind::Read)).into(),
            indicator: ResourceIndicator::parse(issuer.as_str()).ok()?,
            name: "your account".to_owned(),
            is_default: false,
            access_token_life: Duration::from_secs(five_minutes()),
            access_token_prefix: String::new(),
            refresh: RefreshPolicy::Always,
            refresh_idle: Duration::from_secs(thirty_days()),
            refresh_idle_by: IdleBy::Refresh,
            refresh_absolute: Duration::from_secs(ninety_days()),
            // Userinfo is a call that this server sees itself.
            reports_calls: true,
            strict: false,
            default_scopes: scope,
            prm_scopes: Scope::default(),
            scopes: words.map(|(name, words)| (name.to_owned(), words.to_owned())).into(),
            workspace: WorkspaceMode::OptionalArgument,
            workspace_argument: workspace_id(),
        })
    }

    /// Every scope of the resource.
    pub fn all_scopes(&self) -> Scope {
        Scope::from_tokens(self.scopes.iter().map(|(name, _)| name.as_str())).unwrap_or_default()
    }

    /// The scopes that are of one of these kinds.
    pub fn scopes_of(&self, kinds: &[ScopeKind]) -> Scope {
        let names = self.scopes.iter().map(|(name, _)| name.as_str());
        let fitting = names.filter(|name| kinds.contains(&self.kind_of(name)));
        Scope::from_tokens(fitting).unwrap_or_default()
    }

    /// What a scope allows at its worst; a scope it does not have could allow anything.
    pub fn kind_of(&self, scope: &str) -> ScopeKind {
        self.scope_kinds.get(scope).copied().unwrap_or(ScopeKind::Delete)
    }

    /// A token without this resource's prefix: nothing if it does not have it.
    pub fn bare_token<'a>(&self, token: &'a str) -> Option<&'a str> {
        token.strip_prefix(&self.access_token_prefix)
    }

    /// What a scope means in words.
    pub fn describe(&self, scope: &str) -> Option<&str> {
        self.scopes.iter().find(|(name, _)| name == scope).map(|(_, words)| words.as_str())
    }
}

/// Scopes that belong to the sign-in, never to a resource (OpenID Connect Core 5.4 and 11).
const RESERVED: [&str; 4] = ["email", "offline_access", "openid", "profile"];

fn yes() -> bool {
    true
}

fn five_minutes() -> u64 {
    300
}

fn thirty_days() -> u64 {
    30 * 86_400
}

fn ninety_days() -> u64 {
    90 * 86_400
}

fn workspace_id() -> String {
    "workspace_id".to_owned()
}

#[cfg(test)]
#[path = "deployment_tests.rs"]
mod tests;
