//! The gateway's configuration, checked and typed; every problem is reported at once.

mod backends;
mod challenge;
mod connection;
mod documents;
mod identity;
mod issuers;
mod limits;
mod naming;
mod offerings;
mod openapi;
mod raw;
mod reload;
mod route;
mod rules;
mod texts;
mod tls;

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use shared::{
    deployment::{Deployment, Resource},
    problem::Problem,
};
use tokio_rustls::rustls::ClientConfig;
use url::Url;
use web::{cors::Origins, limits::Budget};

pub use crate::rules::silence::SilencePolicy;
use crate::{
    error::Challenges,
    limit::LimitHeaders,
    rules::{
        catalogue::Naming,
        documents::Documents,
        narrowing::Toolsets,
        offerings::Offerings,
        policy::{Pattern, Policies},
        scopes::Implications,
    },
};
pub use challenge::{RawChallenge, RawErrorBody, RawMetadataAddress};
pub(crate) use connection::Connection;
pub use connection::RawConnection;
pub use documents::{RawDocuments, RawOpenApiVersion};
pub(crate) use identity::{Exchange, IdentityMode, IdentitySettings, StaticCredential};
pub use identity::{RawCredential, RawExchange, RawIdentity, RawIdentityMode};
pub(crate) use issuers::{KeySource, TrustedIssuer};
pub use issuers::{RawIssuer, RawTokenType};
pub use limits::{RawLimitHeaders, RawReset, RawSharedLimits};
pub use offerings::{RawStatic, RawWhoami};
pub(crate) use openapi::Api;
pub use raw::{
    RawAudit, RawBackend, RawClass, RawGateway, RawInternalTls, RawMissingScope, RawOperation,
    RawRoute, RawRule, RawSession, RawUpstreamSession,
};
pub use texts::OneOrMany;

/// The longest times, in seconds, that an operator may choose.
const LONGEST_SILENCE: u64 = 3600;
const LONGEST_STALE: u64 = 86_400;

/// What the gateway runs by.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) backends: Vec<Backend>,
    pub(crate) budgets: Budgets,
    pub(crate) deployment: Arc<Deployment>,
    /// How long the feed of revocations may be silent before nothing goes on.
    pub(crate) feed_bound: Duration,
    pub(crate) identity_issuer: String,
    pub(crate) internal_base: Option<String>,
    pub(crate) internal_credential_file: Option<String>,
    pub(crate) jwks_refetch: Duration,
    /// How long a set of keys is used that cannot be fetched again.
    pub(crate) jwks_stale: Duration,
    pub(crate) max_body: usize,
    pub(crate) name: String,
    pub(crate) routes: Vec<Arc<Route>>,
}

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budgets {
    /// Of all resources that have none of their own.
    pub(crate) calls: CallBudgets,
    pub(crate) credential: Budget,
    pub(crate) discovery: Budget,
    pub(crate) failed: Budget,
    pub(crate) lookups: Budget,
    pub(crate) shared: RawSharedLimits,
}

/// What permitted calls may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallBudgets {
    /// What one principal may use of a workspace, so that others find room in it.
    pub(crate) share: Budget,
    /// For calls that name no workspace.
    pub(crate) unbound: Budget,
    pub(crate) workspace: Budget,
}

/// One resource and what stands behind it.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) aliases: bool,
    pub(crate) audit: RawAudit,
    pub(crate) backends: Vec<Arc<str>>,
    /// What calls here may use, where that is not shared with other resources.
    pub(crate) budgets: Option<CallBudgets>,
    /// What it answers to credentials that do not open it.
    pub(crate) challenges: Challenges,
    /// What everybody may read of it.
    pub(crate) documents: Option<Documents>,
    /// Tools that act in no workspace in particular.
    pub(crate) exempt_tools: Vec<Pattern>,
    /// `host` or `host:port`, in lower case.
    pub(crate) host: String,
    /// Which scopes bring others with them.
    pub(crate) implies: Implications,
    /// Whether its metadata also stands at the root of its host.
    pub(crate) is_root: bool,
    /// Who else's tokens open it.
    pub(crate) issuers: Vec<Arc<TrustedIssuer>>,
    /// What says how a budget stands, on every answer.
    pub(crate) limit_headers: Option<LimitHeaders>,
    /// What the gateway itself offers.
    pub(crate) offerings: Offerings,
    pub(crate) on_missing_scope: RawMissingScope,
    pub(crate) origins: Origins,
    /// How many entries of a list are shown at once; `None`: all.
    pub(crate) page_size: Option<usize>,
    pub(crate) path: String,
    /// Where its metadata is, for challenges.
    pub(crate) prm_url: String,
    pub(crate) relay: bool,
    pub(crate) resource: Resource,
    /// The member that names the workspace of a row, where results are searched for foreign ones.
    pub(crate) row_workspace: Option<String>,
    /// What goes on while the feed of revocations is silent.
    pub(crate) silence: SilencePolicy,
    pub(crate) toolsets: Toolsets,
    /// The tool that lists workspaces, for the words of a refusal.
    pub(crate) workspace_list_tool: Option<String>,
}

/// A backend.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// The operations of a REST backend; `None` for MCP servers.
    pub(crate) api: Option<Arc<Api>>,
    pub(crate) audience: String,
    pub(crate) catalogue_life: Duration,
    pub(crate) connection: Connection,
    /// What it asks of everybody.
    pub(crate) credential: Option<StaticCredential>,
    /// The same for two configurations of it that say the same, files included.
    pub(crate) fingerprint: [u8; 32],
    /// The headers of clients that it gets.
    pub(crate) forwarded: Vec<HeaderName>,
    pub(crate) identity: IdentitySettings,
    /// The largest answer or event.
    pub(crate) largest_answer: usize,
    pub(crate) name: Arc<str>,
    pub(crate) naming: Arc<Naming>,
    pub(crate) policies: Arc<Policies>,
    /// How long an answer may take to begin.
    pub(crate) response_timeout: Duration,
    pub(crate) session: UpstreamSession,
    /// Whom an https backend's certificate may come from.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) url: Url,
}

/// How requests to a backend are tied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamSession {
    None,
    Pooled,
}

impl Config {
    /// Checks the tables against the deployment; returns every problem at once.
    pub fn resolve(
        gateway: RawGateway,
        backends: Vec<RawBackend>,
        deployment: &Deployment,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let backends = backends::resolve(backends, deployment, &mut problems);
        let routes = resolve_routes(&gateway, &backends, deployment, &mut problems);
        check_bounds(&gateway, &mut problems);
        let budgets = limits::budgets(&gateway, &mut problems);
        let issuer = gateway.identity_issuer.clone().or_else(|| {
            let first = routes.first()?;
            let url = Url::parse(first.resource.indicator.as_str()).ok()?;
            Some(url.origin().ascii_serialization())
        });
        let Some(identity_issuer) = issuer.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        Ok(Self {
            backends,
            budgets,
            deployment: Arc::new(deployment.clone()),
            feed_bound: Duration::from_secs(gateway.feed_silence_seconds),
            identity_issuer,
            internal_base: gateway.internal_base,
            internal_credential_file: gateway.internal_credential_file,
            jwks_refetch: Duration::from_secs(gateway.jwks_refetch_seconds.max(1)),
            jwks_stale: Duration::from_secs(gateway.jwks_stale_seconds),
            max_body: gateway.max_body_bytes,
            name: gateway.name.unwrap_or_else(|| "gateway".to_owned()),
            routes,
        })
    }

    /// The hosts whose requests are the gateway's, as `host` or `host:port`.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| route.host.as_str())
    }

    /// What each backend described by `OpenAPI` offers: its name, how many tools, and which
    /// operations are no tools and why.
    pub fn described(&self) -> impl Iterator<Item = (&str, usize, &[String])> {
        self.backends.iter().filter_map(|backend| {
            let api = backend.api.as_ref()?;
            Some((&*backend.name, api.operations.len(), api.skipped.as_slice()))
        })
    }

    /// The `iss` of the identities that backends receive.
    pub fn identity_issuer(&self) -> &str {
        &self.identity_issuer
    }

    /// Where auth-server's internal interface is, when it runs in another process.
    pub fn internal_base(&self) -> Option<&str> {
        self.internal_base.as_deref()
    }

    /// The file with the credential for that interface.
    pub fn internal_credential_file(&self) -> Option<&str> {
        self.internal_credential_file.as_deref()
    }
}

/// Bounds within which the gateway may trust what it knew.
fn check_bounds(gateway: &RawGateway, problems: &mut Vec<Problem>) {
    let remedy = "write seconds up to an hour";
    if gateway.feed_silence_seconds > LONGEST_SILENCE {
        let place = "gateway.feed_silence_seconds";
        problems.push(Problem::new(place, "lets what was revoked work for too long", remedy));
    }
    if !(60..=LONGEST_STALE).contains(&gateway.jwks_stale_seconds) {
        let remedy = "write seconds between a minute and a day";
        let what = "is too short for a restart, or too long for a key that was withdrawn";
        problems.push(Problem::new("gateway.jwks_stale_seconds", what, remedy));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = |name: &String| (1..=40).contains(&name.len()) && name.bytes().all(plain);
    if !gateway.name.as_ref().is_none_or(fits) {
        let what = "is not a short name of letters, digits, - and _";
        problems.push(Problem::new("gateway.name", what, "write a name such as gateway-1"));
    }
}

fn resolve_routes(
    gateway: &RawGateway,
    backends: &[Backend],
    deployment: &Deployment,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<Route>> {
    let mut routes: Vec<Route> = Vec::new();
    if gateway.route.is_empty() {
        let remedy = "add a [[gateway.route]] table for each [[resource]]";
        problems.push(Problem::new("gateway.route", "none is given", remedy));
    }
    for (at, raw) in gateway.route.iter().enumerate() {
        let place = |key: &str| format!("gateway.route[{at}].{key}");
        let resource = deployment.resources.iter().find(|r| r.indicator.as_str() == raw.resource);
        let Some(resource) = resource else {
            let what = "names no [[resource]]";
            problems.push(Problem::new(place("resource"), what, "write the url of one, as it is"));
            continue;
        };
        if routes.iter().any(|other| other.resource.indicator == resource.indicator) {
            problems.push(Problem::new(place("resource"), "has a route already", "remove one"));
        }
        let unknown = raw.backends.iter().find(|name| !backends.iter().any(|b| *b.name == ***name));
        if let Some(name) = unknown {
            let what = format!("names {name}, which no [[backend]] has");
            problems.push(Problem::new(place("backends"), what, "write the name of one"));
        }
        if raw.backends.is_empty() || (raw.session == RawSession::Relay && raw.backends.len() != 1)
        {
            let what = "does not name a backend, or names several where sessions are relayed";
            problems.push(Problem::new(place("backends"), what, "name one backend"));
        }
        let behind =
            backends.iter().filter(|one| raw.backends.iter().any(|name| **name == *one.name));
        naming::check_route(raw, behind, &place("backends"), problems);
        let scopes = rules::resource_scopes(raw, resource, at, problems);
        let headers = match (&raw.rate_limit_headers, &gateway.rate_limit_headers) {
            (Some(own), _) => Some(limits::headers(own, &place("rate_limit_headers"), problems)),
            (None, Some(all)) => Some(limits::headers(all, "gateway.rate_limit_headers", problems)),
            (None, None) => None,
        };
        let budgets = limits::own(raw, gateway, &format!("gateway.route[{at}]"), problems);
        let offered = offerings::offered(raw, resource, at, problems);
        let documents = documents::documents(raw, (deployment, resource), at, problems);
        let own = deployment.issuer.as_str();
        let issuers = issuers::issuers(&raw.issuer, at, (own, resource), problems);
        match route::route(gateway, raw, resource, scopes) {
            Some(route) => routes.push(Route {
                budgets,
                documents,
                issuers,
                limit_headers: headers,
                offerings: offered.offerings,
                page_size: offered.page_size,
                toolsets: offered.toolsets,
                ..route
            }),
            None => problems.push(Problem::new(place("resource"), "is no URL", "write a URL")),
        }
    }
    for resource in &deployment.resources {
        if !routes.iter().any(|route| route.resource.indicator == resource.indicator) {
            let what = format!("{} has no route", resource.indicator);
            let remedy = "add a [[gateway.route]] table that names it";
            problems.push(Problem::new("gateway.route", what, remedy));
        }
    }
    route::choose_roots(&mut routes);
    for (at, raw) in gateway.route.iter().enumerate() {
        let own = routes.iter().find(|route| route.resource.indicator.as_str() == raw.resource);
        let is_root = own.is_none_or(|route| route.is_root);
        raw.challenge.check(is_root, &format!("gateway.route[{at}].challenge"), problems);
    }
    routes.into_iter().map(Arc::new).collect()
}

#[cfg(test)]
pub(crate) mod tests;
