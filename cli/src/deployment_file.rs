//! The deployment file: one TOML file for both services, read once. A table or key nobody claims
//! is an error; all problems are reported at once, with place and remedy.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use auth_server::config::{RawAuth, RawClient, RawKeys};
use gateway::{RawBackend, RawGateway};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::{
    deployment::{Deployment, RawDeployment, RawResource, Resource},
    issuer::authority_of,
    metadata::well_known_path,
    problem::Problem,
    secret::Secret,
};
use toml::de::DeTable;
use url::Url;
use web::client_address::TrustedProxies;

use crate::{
    environment,
    lines::line_of,
    secret_file,
    tls::{RawCertificate, RawInternalListenerTls},
    traces::{self, RawParents},
};

/// The file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) deployment: RawDeployment,
    #[serde(default)]
    pub(crate) listen: RawListen,
    #[serde(default)]
    pub(crate) store: RawStore,
    #[serde(default)]
    pub(crate) keys: RawKeys,
    #[serde(default)]
    pub(crate) telemetry: RawTelemetry,
    #[serde(default)]
    pub(crate) auth: RawAuth,
    #[serde(default)]
    pub(crate) client: Vec<RawClient>,
    #[serde(default)]
    pub(crate) resource: Vec<RawResource>,
    #[serde(default)]
    pub(crate) gateway: RawGateway,
    #[serde(default)]
    pub(crate) backend: Vec<RawBackend>,
    /// The text it was read from.
    #[serde(skip)]
    text: String,
    /// The environment variables that it was read with, and what they held.
    #[serde(skip)]
    variables: Vec<(String, String)>,
}

/// Which services a file is read for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) auth: bool,
    pub(crate) gateway: bool,
}

/// A file without a problem.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) auth: Option<auth_server::Config>,
    pub(crate) gateway: Option<gateway::Config>,
}

/// The shortest token of an admin listener.
const SHORTEST_ADMIN_TOKEN: usize = 32;

/// The `[listen]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawListen {
    /// Where auth-server answers operators over TCP, and a gateway in the same process: loopback
    /// addresses, by default none.
    #[serde(default)]
    pub(crate) admin: Vec<SocketAddr>,
    /// The file with the token that operators show there, and at the gateway.
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Where auth-server listens.
    #[serde(default)]
    pub(crate) auth: Vec<SocketAddr>,
    /// Where the gateway listens.
    #[serde(default)]
    pub(crate) gateway: Vec<SocketAddr>,
    /// Where the gateway answers operators over TCP: loopback addresses, by default none.
    #[serde(default)]
    pub(crate) gateway_admin: Vec<SocketAddr>,
    /// Where auth-server listens for gateways of other processes.
    #[serde(default)]
    pub(crate) internal: Vec<SocketAddr>,
    /// The file with the credential that gateways show there.
    pub(crate) internal_credential_file: Option<PathBuf>,
    /// TLS on the internal listener.
    pub(crate) internal_tls: Option<RawInternalListenerTls>,
    /// Certificates for both public listeners, which then speak https; the first is for clients
    /// that ask for none of their names.
    #[serde(default)]
    pub(crate) tls: Vec<RawCertificate>,
    /// Proxies whose `Forwarded` and `X-Forwarded-For` are believed.
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<String>,
}

impl RawListen {
    /// Whether both services listen at the same addresses.
    pub(crate) fn is_one(&self) -> bool {
        let chosen = |address: &SocketAddr| address.port() != 0;
        !self.auth.is_empty() && self.auth == self.gateway && self.auth.iter().all(chosen)
    }
}

/// The `[store]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStore {
    /// `embedded` (a file in the data folder, one process) or `redis`.
    #[serde(default)]
    pub(crate) engine: RawEngine,
    /// The file with auth-server's Redis URL, `redis://user:password@host:port/0`, or `rediss`
    /// for TLS. With `cluster` one URL a line; with `sentinel` the name of the primary stands
    /// in place of the host.
    pub(crate) auth_redis_url_file: Option<PathBuf>,
    /// The file with the gateway's Redis URL.
    pub(crate) gateway_redis_url_file: Option<PathBuf>,
    /// The certificates of the authorities that may have signed the servers' certificates; by
    /// default those of the system.
    pub(crate) redis_ca_file: Option<PathBuf>,
    /// The certificate to show to the servers, and its key.
    pub(crate) redis_certificate_file: Option<PathBuf>,
    pub(crate) redis_key_file: Option<PathBuf>,
    /// The file with the sentinels' URLs, one a line, with the credentials they ask for.
    pub(crate) redis_sentinels_file: Option<PathBuf>,
    /// Whether the URL leads to one server, to a Cluster, or to what sentinels watch.
    #[serde(default)]
    pub(crate) redis_topology: RawTopology,
    /// How many replicas must hold a grant or a revocation before it is answered.
    #[serde(default)]
    pub(crate) replicas: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawEngine {
    #[default]
    Embedded,
    Redis,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawTopology {
    Cluster,
    Sentinel,
    #[default]
    Single,
}

/// The `[telemetry]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTelemetry {
    /// Where `GET /metrics` is answered, to whoever reaches it: a loopback or internal address.
    /// Without it nothing is exported.
    #[serde(default)]
    pub(crate) metrics: Vec<SocketAddr>,
    /// The certificates of the authorities that may have signed the receiver's; by default those
    /// of the system.
    pub(crate) trace_ca_file: Option<PathBuf>,
    /// The file with the headers that the receiver is shown, one a line.
    pub(crate) trace_headers_file: Option<PathBuf>,
    /// Whose traces are gone on with: `nobody`, `trusted_proxies` or `anybody`.
    pub(crate) trace_parents: Option<RawParents>,
    /// Which part of the traces that begin here is kept; all, by default.
    pub(crate) trace_ratio: Option<f64>,
    /// Where traces are sent: the address of a receiver of OTLP over HTTP. Without it nothing is
    /// traced.
    pub(crate) traces: Option<String>,
}

impl File {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|problem| format!("{}: {problem}", path.display()))
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let not_right = |mut error: toml::de::Error| {
            error.set_input(Some(text));
            format!("the deployment file is not right\n{error}")
        };
        let mut table = DeTable::parse(text).map_err(not_right)?;
        let variables = environment::expand(text, table.get_mut(), &environment::variable)?;
        let file = Self::deserialize(toml::Deserializer::from(table)).map_err(not_right)?;
        Ok(Self { text: text.to_owned(), variables, ..file })
    }

    /// The file as tables, for telling two apart.
    pub(crate) fn tables(&self) -> toml::Table {
        self.text.parse().unwrap_or_default()
    }

    /// What the text is known by, with what variables put into it.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.text.as_bytes());
        for (name, value) in &self.variables {
            digest.update(format!("\0{name}={value}"));
        }
        let digest = digest.finalize();
        let first = digest.first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(first))
    }

    /// Everything that these services need of it; every problem at once.
    pub(crate) fn check(&self, wanted: Wanted) -> Result<Checked, Vec<Problem>> {
        let mut problems = Vec::new();
        let deployment = Deployment::resolve(self.deployment.clone(), self.resource.clone())?;
        let mut keep = |found: Vec<Problem>| problems.extend(found);
        let _traced = traces::settings(&self.telemetry).map_err(&mut keep);
        let auth = wanted.auth.then(|| self.resolved_auth(deployment.clone()));
        let auth = auth.and_then(|resolved| resolved.map_err(&mut keep).ok());
        let gateway = wanted.gateway.then(|| self.resolved_gateway(&deployment));
        let gateway = gateway.and_then(|resolved| resolved.map_err(&mut keep).ok());
        keep(taken_paths(&deployment));
        if problems.is_empty() { Ok(Checked { auth, gateway }) } else { Err(problems) }
    }

    /// All problems, one a line, each with the line of its key.
    pub(crate) fn report(&self, problems: &[Problem]) -> String {
        let line = |problem: &Problem| match line_of(&self.text, &problem.place) {
            Some(line) => format!("  line {line}: {problem}"),
            None => format!("  {problem}"),
        };
        let lines: Vec<String> = problems.iter().map(line).collect();
        format!("the deployment file is not right\n{}", lines.join("\n"))
    }

    /// What both services agree on.
    pub(crate) fn deployment(&self) -> Result<Deployment, String> {
        let told = |problems: Vec<Problem>| self.report(&problems);
        let deployment = Deployment::resolve(self.deployment.clone(), self.resource.clone());
        let deployment = deployment.map_err(told)?;
        let taken = taken_paths(&deployment);
        if taken.is_empty() { Ok(deployment) } else { Err(told(taken)) }
    }

    /// auth-server's configuration.
    pub(crate) fn auth(&self) -> Result<auth_server::Config, String> {
        self.resolved_auth(self.deployment()?).map_err(|problems| self.report(&problems))
    }

    /// The gateway's configuration.
    pub(crate) fn gateway(&self) -> Result<gateway::Config, String> {
        let deployment = self.deployment()?;
        self.resolved_gateway(&deployment).map_err(|problems| self.report(&problems))
    }

    fn resolved_gateway(&self, deployment: &Deployment) -> Result<gateway::Config, Vec<Problem>> {
        let mut backends = self.backend.clone();
        environment::fill(&mut backends)?;
        gateway::Config::resolve(self.gateway.clone(), backends, deployment)
    }

    fn resolved_auth(&self, deployment: Deployment) -> Result<auth_server::Config, Vec<Problem>> {
        let of_file = |place: &str, text: String| vec![environment::told(place, &text)];
        let credential = self.internal_credential();
        let proxies = self.trusted_proxies();
        let parts = auth_server::config::Parts {
            auth: self.auth.clone(),
            clients: self.client.clone(),
            deployment,
            internal_credential: credential
                .map_err(|text| of_file("listen.internal_credential_file", text))?,
            keys: self.keys.clone(),
            trusted_proxies: proxies.map_err(|text| of_file("listen.trusted_proxies", text))?,
        };
        let read = |path: &str| secret_file::read(Path::new(path));
        auth_server::Config::resolve(parts, &read)
    }

    /// The proxies that are believed.
    pub(crate) fn trusted_proxies(&self) -> Result<TrustedProxies, String> {
        TrustedProxies::parse(&self.listen.trusted_proxies)
            .map_err(|error| format!("listen.trusted_proxies: {error}"))
    }

    /// The token of an admin listener at these addresses, if there are any.
    pub(crate) fn admin_token(&self, addresses: &[SocketAddr]) -> Result<Option<Secret>, String> {
        if addresses.is_empty() {
            return Ok(None);
        }
        if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            return Err(format!(
                "{open} is not a loopback address, and operators are answered there alone; those \
                 elsewhere come through a tunnel"
            ));
        }
        let path = self.listen.admin_token_file.as_ref().ok_or(
            "listen.admin_token_file is missing: operators must show its token at listen.admin and \
             listen.gateway_admin",
        )?;
        admin_token(path).map_err(|error| format!("listen.admin_token_file: {error}")).map(Some)
    }

    /// The credential of the internal interface, if it has a listener.
    pub(crate) fn internal_credential(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.listen.internal_credential_file else { return Ok(None) };
        let text = secret_file::read(path)
            .map_err(|error| format!("listen.internal_credential_file: {error}"))?;
        if text.is_empty() {
            return Err(
                "listen.internal_credential_file: holds nothing; write 32 random characters \
                        into it"
                    .to_owned(),
            );
        }
        Ok(Some(Secret::new(text)))
    }

    /// Workspaces by id and name.
    pub(crate) fn workspaces(&self) -> impl Iterator<Item = (&str, &str)> {
        self.auth.workspace.iter().map(|raw| (raw.id.as_str(), raw.name.as_str()))
    }
}

/// Resources whose address is that of an endpoint or a page of the issuer.
fn taken_paths(deployment: &Deployment) -> Vec<Problem> {
    let is_taken = |resource: &Resource| {
        let url = Url::parse(resource.indicator.as_str());
        url.is_ok_and(|url| deployment.endpoints.has(&authority_of(&url), url.path()))
    };
    let taken = deployment.resources.iter().enumerate().filter(|(_, one)| is_taken(one));
    let problem = |(at, _)| {
        let what = "has a path that the issuer has on the same host";
        Problem::new(format!("resource[{at}].url"), what, "choose another, such as /mcp")
    };
    taken.map(problem).collect()
}

/// Reads the token of an admin listener.
pub(crate) fn admin_token(path: &Path) -> Result<Secret, String> {
    let text = secret_file::read(path)?;
    if text.len() < SHORTEST_ADMIN_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{} must hold at least {SHORTEST_ADMIN_TOKEN} letters, digits and signs without spaces, \
             such as `openssl rand -base64 32` makes",
            path.display()
        ));
    }
    Ok(Secret::new(text))
}

/// Where a resource's metadata document is (RFC 9728 section 3.1).
pub(crate) fn resource_metadata_url(resource: &str) -> String {
    Url::parse(resource).map_or_else(
        |_| resource.to_owned(),
        |url| {
            let path = well_known_path("oauth-protected-resource", url.path());
            format!("{}{path}", url.origin().ascii_serialization())
        },
    )
}
