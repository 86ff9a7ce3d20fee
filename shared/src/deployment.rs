//! What both services must agree on, from the deployment file's `[deployment]` and `[[resource]]`.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use url::Url;

use crate::{
    api_key::{ApiKeys, RawApiKeys},
    problem::Problem,
    resource::{ResourceIndicator, is_loopback},
    scope::Scope,
};

/// The `[deployment]` table as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDeployment {
    /// The name people see on pages and in resource metadata.
    pub name: String,
    /// The issuer: an https URL, or http on loopback; no trailing slash, no query.
    pub issuer: String,
}

/// A `[[resource]]` table as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawResource {
    /// The full public MCP URL; also the `aud` of its tokens.
    pub url: String,
    /// The name people see.
    pub name: String,
    /// Used when a request names no resource. At most one.
    #[serde(default)]
    pub default: bool,
    /// Lifetime of access tokens in seconds, 60 to 3600.
    #[serde(default = "five_minutes")]
    pub access_token_seconds: u64,
    /// Idle lifetime of a grant in seconds: it ends when not refreshed for so long.
    #[serde(default = "thirty_days")]
    pub refresh_idle_seconds: u64,
    /// Absolute lifetime of a grant in seconds, refreshes included.
    #[serde(default = "ninety_days")]
    pub refresh_absolute_seconds: u64,
    /// Revoke the grant at the first sign of a refresh token used twice. Hurts clients that
    /// refresh in parallel.
    #[serde(default)]
    pub strict: bool,
    /// Whether access tokens open it. Without them API keys alone do.
    #[serde(default = "yes")]
    pub oauth: bool,
    /// What its API keys look like; without the table it has none.
    pub api_keys: Option<RawApiKeys>,
    /// Scopes granted when a client asks for none, and named in the challenge.
    pub default_scopes: Vec<String>,
    /// Scopes the resource metadata lists.
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
    /// What it allows at its worst. Default: by the name's end, `:read` or `:delete`, else write.
    pub kind: Option<ScopeKind>,
}

/// What a scope allows, at its worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    Delete,
    Read,
    Write,
}

/// How a call names its workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceMode {
    /// The argument is required.
    Argument,
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
    pub name: String,
    pub issuer: Issuer,
    pub resources: Vec<Resource>,
}

/// An issuer identifier (RFC 8414 section 2): compared byte by byte, without trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    url: Url,
}

/// A protected resource and its terms.
#[derive(Clone, Debug)]
pub struct Resource {
    pub indicator: ResourceIndicator,
    pub name: String,
    pub is_default: bool,
    pub access_token_life: Duration,
    pub refresh_idle: Duration,
    pub refresh_absolute: Duration,
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
        match issuer.zip(account) {
            Some((issuer, account)) if problems.is_empty() => {
                Ok(Self { account, name: raw.name, issuer, resources: checked })
            }
            _ => Err(problems),
        }
    }

    /// The resource that `asked` names, if any.
    pub fn resource(&self, asked: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.indicator.names(asked))
    }

    /// The resource of requests that name none.
    pub fn default_resource(&self) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.is_default)
    }

    /// The longest life of any access token.
    pub fn longest_access_token(&self) -> Duration {
        let all = self.resources.iter().chain([&self.account]);
        all.map(|resource| resource.access_token_life).max().unwrap_or_default()
    }
}

impl Issuer {
    /// Accepts an https URL, or http on loopback, without query, fragment and trailing slash.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let problem = |what: &str| {
            Problem::new("deployment.issuer", what, "write it like https://auth.example")
        };
        let url = Url::parse(text).map_err(|_| problem("is not a URL"))?;
        if text.ends_with('/') {
            return Err(problem("ends with a slash, and clients compare it byte by byte"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(problem("has a query, a fragment or a user name"));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(problem("is neither https nor loopback http"));
        }
        Ok(Self { text: text.to_owned(), url })
    }

    /// The identifier, byte for byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The identifier as a URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its path without trailing slash: empty for most issuers.
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
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
        if raw.refresh_idle_seconds > raw.refresh_absolute_seconds {
            let what = "is longer than refresh_absolute_seconds";
            problems.push(Problem::new(place("refresh_idle_seconds"), what, "shorten it"));
        }
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
        if problems.len() > before {
            return None;
        }
        let kinds = raw.scope.iter().map(|raw| {
            let kind = raw.kind.unwrap_or_else(|| ScopeKind::of(&raw.name));
            (raw.name.clone(), kind)
        });
        Some(Self {
            oauth: raw.oauth,
            api_keys,
            scope_kinds: kinds.collect(),
            indicator: indicator.ok()?,
            name: raw.name,
            is_default: raw.default,
            access_token_life: Duration::from_secs(raw.access_token_seconds),
            refresh_idle: Duration::from_secs(raw.refresh_idle_seconds),
            refresh_absolute: Duration::from_secs(raw.refresh_absolute_seconds),
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
            refresh_idle: Duration::from_secs(thirty_days()),
            refresh_absolute: Duration::from_secs(ninety_days()),
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

    /// What a scope means in words.
    pub fn describe(&self, scope: &str) -> Option<&str> {
        self.scopes.iter().find(|(name, _)| name == scope).map(|(_, words)| words.as_str())
    }
}

/// Scopes that belong to the sign-in, never to a resource (OpenID Connect Core 5.4 and 11).
const RESERVED: [&str; 4] = ["email", "offline_access", "openid", "profile"];

impl ScopeKind {
    /// The kind that a scope's name suggests.
    fn of(name: &str) -> Self {
        match name.rsplit([':', '.']).next() {
            Some("read") => Self::Read,
            Some("delete") => Self::Delete,
            _ => Self::Write,
        }
    }
}

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
