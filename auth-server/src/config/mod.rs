//! auth-server's configuration, checked and typed, from what the command line has read.

mod client;
mod client_keys;
mod keys;
mod outbound;
mod raw;
mod upstream;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    deployment::Deployment,
    ids::{UserId, WorkspaceId},
    problem::Problem,
    resource::ResourceIndicator,
    secret::Secret,
};
use url::Url;
use web::client_address::TrustedProxies;

pub(crate) use self::client::service;
pub(crate) use self::{keys::KeyPolicy, outbound::OutboundConfig};
pub use self::{
    keys::{RawKeys, Speed},
    outbound::RawOutbound,
    raw::{
        RawAuth, RawClient, RawClientSecret, RawMembership, RawService, RawUpstream,
        RawUpstreamWorkspace, RawUser, RawWorkspace, Registration,
    },
};
use crate::{
    rules::{blocked_redirects::BlockedRedirects, client::Client},
    upstream::UpstreamConfig,
};

/// Everything auth-server is told.
#[derive(Debug)]
pub struct Config {
    pub(crate) audit: AuditRetention,
    pub(crate) blocked_redirects: BlockedRedirects,
    /// How many clients may be stored.
    pub(crate) client_capacity: u64,
    pub(crate) clients: Vec<Client>,
    pub(crate) deployment: Deployment,
    /// What a gateway of another process shows to use the internal interface.
    pub(crate) internal_credential: Option<Secret>,
    pub(crate) keys: KeyPolicy,
    /// How many clients may be new in a minute.
    pub(crate) new_clients_per_minute: u32,
    pub(crate) outbound: OutboundConfig,
    pub(crate) registration: Registration,
    pub(crate) session_life: Duration,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) upstreams: Vec<UpstreamConfig>,
    pub(crate) users: Vec<ConfiguredUser>,
    pub(crate) workspaces: BTreeMap<WorkspaceId, ConfiguredWorkspace>,
}

/// How long, and how many, security events are kept for queries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditRetention {
    pub(crate) life: Duration,
    pub(crate) most: u64,
}

/// A person of the deployment file.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredUser {
    pub(crate) email: Option<String>,
    pub(crate) id: UserId,
    /// Workspace and role.
    pub(crate) memberships: BTreeMap<WorkspaceId, String>,
    pub(crate) name: String,
    /// The password or its argon2id hash.
    pub(crate) password: Secret,
    pub(crate) username: String,
}

/// A workspace of the deployment file.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredWorkspace {
    pub(crate) name: String,
    /// The resources it may use; none given means all.
    pub(crate) resources: Option<BTreeSet<ResourceIndicator>>,
}

/// What the command line has read for auth-server.
#[derive(Debug)]
pub struct Parts {
    pub auth: RawAuth,
    pub clients: Vec<RawClient>,
    pub deployment: Deployment,
    pub internal_credential: Option<Secret>,
    pub keys: RawKeys,
    pub trusted_proxies: TrustedProxies,
}

impl Config {
    /// Checks the tables; `read` gives the content of a file that a key names. Returns every
    /// problem at once.
    pub fn resolve(
        parts: Parts,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let workspaces = workspaces(&parts, &mut problems);
        let users = parts
            .auth
            .user
            .iter()
            .enumerate()
            .filter_map(|(at, raw)| user(raw, at, &workspaces, read, &mut problems))
            .collect();
        let (auth, noted) = (&parts.auth, &mut problems);
        let outbound = OutboundConfig::resolve(&auth.outbound, auth.registration, read, noted);
        let mut clients: Vec<Client> = parts
            .clients
            .iter()
            .enumerate()
            .filter_map(|(at, raw)| {
                let keyed = client_keys::of(raw, at, &outbound.policy, read);
                client::resolve(raw, at, &parts.deployment, read, keyed, &mut problems)
            })
            .collect();
        duplicates(&parts, &mut problems);
        let hours = parts.auth.session_hours.unwrap_or(12);
        if !(1..=720).contains(&hours) {
            problems.push(Problem::new("auth.session_hours", "is not 1 to 720", "write 12"));
        }
        let new_clients_per_minute = new_clients(&parts.auth, &mut problems);
        let upstreams = upstream::upstreams(&parts.auth.upstream, &workspaces, read, &mut problems);
        let audit = audit_retention(&parts.auth, &mut problems);
        let keys = KeyPolicy::resolve(&parts.keys, &parts.deployment, &mut problems);
        keys.choose(&parts.clients, &mut clients, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            audit,
            blocked_redirects: BlockedRedirects::new(
                &parts.auth.blocked_redirect_hosts,
                &parts.auth.blocked_redirect_uris,
            ),
            client_capacity: parts.auth.client_capacity.unwrap_or(100_000),
            clients,
            deployment: parts.deployment,
            internal_credential: parts.internal_credential,
            keys,
            new_clients_per_minute,
            outbound,
            registration: parts.auth.registration,
            session_life: Duration::from_secs(hours * 3600),
            trusted_proxies: parts.trusted_proxies,
            upstreams,
            users,
            workspaces,
        })
    }

    /// The authorization endpoint's URL: at its origin pages and their cookies live.
    pub(crate) fn public(&self) -> &Url {
        self.deployment.endpoints.authorize.url()
    }

    /// The origin of pages, as browsers write it.
    pub(crate) fn origin(&self) -> String {
        self.public().origin().ascii_serialization()
    }

    /// The path of a page, beside the authorization endpoint.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("{}{page}", self.deployment.endpoints.base())
    }
}

/// Names that are given twice would let one entry hide another.
fn duplicates(parts: &Parts, problems: &mut Vec<Problem>) {
    let mut check = |place: &str, names: Vec<String>| {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name.clone()) {
                let what = format!("{name:?} is given twice");
                problems.push(Problem::new(place, what, "remove one of the two"));
            }
        }
    };
    let users = &parts.auth.user;
    check("auth.user.id", users.iter().map(|user| user.id.clone()).collect());
    check("auth.user.username", users.iter().map(|user| user.username.to_lowercase()).collect());
    check("client.id", parts.clients.iter().map(|client| client.id.clone()).collect());
}

fn new_clients(raw: &RawAuth, problems: &mut Vec<Problem>) -> u32 {
    let asked = raw.new_clients_per_minute.unwrap_or(1200);
    if !(1..=10_000_000).contains(&asked) {
        let what = "is not 1 to 10000000";
        problems.push(Problem::new("auth.new_clients_per_minute", what, "write 1200"));
    }
    asked
}

fn audit_retention(raw: &RawAuth, problems: &mut Vec<Problem>) -> AuditRetention {
    let days = raw.audit_days.unwrap_or(90);
    if !(1..=3650).contains(&days) {
        problems.push(Problem::new("auth.audit_days", "is not 1 to 3650", "write 90"));
    }
    let most = raw.audit_records.unwrap_or(100_000);
    if !(1000..=10_000_000).contains(&most) {
        let what = "is not 1000 to 10000000";
        problems.push(Problem::new("auth.audit_records", what, "write 100000"));
    }
    AuditRetention { life: Duration::from_secs(days.saturating_mul(86_400)), most }
}

fn workspaces(
    parts: &Parts,
    problems: &mut Vec<Problem>,
) -> BTreeMap<WorkspaceId, ConfiguredWorkspace> {
    let mut workspaces = BTreeMap::new();
    for (at, raw) in parts.auth.workspace.iter().enumerate() {
        let place = format!("auth.workspace[{at}].id");
        let resources = resources(raw, at, &parts.deployment, problems);
        let workspace = ConfiguredWorkspace { name: raw.name.clone(), resources };
        match WorkspaceId::parse(&raw.id) {
            Ok(id) if workspaces.insert(id.clone(), workspace).is_none() => {}
            Ok(_) => problems.push(Problem::new(place, "is given twice", "remove one of the two")),
            Err(error) => problems.push(Problem::new(place, error.to_string(), "write another")),
        }
    }
    workspaces
}

/// The plan of a workspace: the resources it may use.
fn resources(
    raw: &RawWorkspace,
    at: usize,
    deployment: &Deployment,
    problems: &mut Vec<Problem>,
) -> Option<BTreeSet<ResourceIndicator>> {
    let mut resources = BTreeSet::new();
    for url in raw.resources.as_ref()? {
        match deployment.resource(url) {
            Some(resource) => {
                resources.insert(resource.indicator.clone());
            }
            None => problems.push(Problem::new(
                format!("auth.workspace[{at}].resources"),
                format!("names the resource {url:?}, which does not exist"),
                "write the url of a [[resource]]",
            )),
        }
    }
    Some(resources)
}

fn user(
    raw: &RawUser,
    at: usize,
    workspaces: &BTreeMap<WorkspaceId, ConfiguredWorkspace>,
    read: &dyn Fn(&str) -> Result<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<ConfiguredUser> {
    let place = |key: &str| format!("auth.user[{at}].{key}");
    let id = UserId::parse(&raw.id)
        .map_err(|error| problems.push(Problem::new(place("id"), error.to_string(), "write usr_…")))
        .ok();
    let password = read(&raw.password_file)
        .map_err(|error| {
            let remedy = "write the password into that file, readable by this user alone";
            problems.push(Problem::new(place("password_file"), error, remedy));
        })
        .ok();
    if password.as_deref().is_some_and(|text| text.trim().is_empty()) {
        let remedy = "write the password into the file";
        problems.push(Problem::new(place("password_file"), "names an empty file", remedy));
    }
    let mut memberships = BTreeMap::new();
    for membership in &raw.membership {
        match WorkspaceId::parse(&membership.workspace) {
            Ok(id) if workspaces.contains_key(&id) => {
                memberships.insert(id, membership.role.clone());
            }
            _ => problems.push(Problem::new(
                place("membership"),
                format!("names the workspace {:?}, which does not exist", membership.workspace),
                "add an [[auth.workspace]] or correct the name",
            )),
        }
    }
    let email = raw.email.as_ref().or(Some(&raw.username));
    Some(ConfiguredUser {
        email: email.filter(|text| text.contains('@')).cloned(),
        id: id?,
        memberships,
        name: raw.name.clone(),
        password: Secret::new(password?.trim_end_matches(['\r', '\n']).to_owned()),
        username: raw.username.clone(),
    })
}
