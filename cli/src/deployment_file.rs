//! The deployment file: one TOML file for both services, read once. A table or key nobody claims
//! is an error; all problems are reported at once, with place and remedy.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use auth_server::config::{RawAuth, RawClient, RawKeys};
use gateway::{RawBackend, RawGateway};
use serde::Deserialize;
use shared::{
    deployment::{Deployment, RawDeployment, RawResource},
    metadata::well_known_path,
    problem::Problem,
    secret::Secret,
};
use web::client_address::TrustedProxies;

use crate::{
    secret_file,
    tls::{RawCertificate, RawInternalListenerTls},
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
}

/// The shortest token of an admin listener.
const SHORTEST_ADMIN_TOKEN: usize = 32;

/// The `[listen]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawListen {
    /// Where auth-server answers operators over TCP: loopback addresses, by default none.
    #[serde(default)]
    pub(crate) admin: Vec<SocketAddr>,
    /// The file with the token that operators show there.
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Where auth-server listens.
    #[serde(default)]
    pub(crate) auth: Vec<SocketAddr>,
    /// Where the gateway listens.
    #[serde(default)]
    pub(crate) gateway: Vec<SocketAddr>,
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
        toml::from_str(text).map_err(|error| format!("the deployment file is not right\n{error}"))
    }

    /// What both services agree on.
    pub(crate) fn deployment(&self) -> Result<Deployment, String> {
        Deployment::resolve(self.deployment.clone(), self.resource.clone())
            .map_err(|problems| report(&problems))
    }

    /// auth-server's configuration.
    pub(crate) fn auth(&self) -> Result<auth_server::Config, String> {
        let parts = auth_server::config::Parts {
            auth: self.auth.clone(),
            clients: self.client.clone(),
            deployment: self.deployment()?,
            internal_credential: self.internal_credential()?,
            keys: self.keys.clone(),
            trusted_proxies: self.trusted_proxies()?,
        };
        let read = |path: &str| secret_file::read(Path::new(path));
        auth_server::Config::resolve(parts, &read).map_err(|problems| report(&problems))
    }

    /// The proxies that are believed.
    pub(crate) fn trusted_proxies(&self) -> Result<TrustedProxies, String> {
        TrustedProxies::parse(&self.listen.trusted_proxies)
            .map_err(|error| format!("listen.trusted_proxies: {error}"))
    }

    /// The token of the admin listener, if there is one.
    pub(crate) fn admin_token(&self) -> Result<Option<Secret>, String> {
        let listen = &self.listen;
        if listen.admin.is_empty() {
            return Ok(None);
        }
        if let Some(open) = listen.admin.iter().find(|address| !address.ip().is_loopback()) {
            return Err(format!(
                "listen.admin: {open} is not a loopback address; operators elsewhere come through \
                 a tunnel"
            ));
        }
        let path = listen.admin_token_file.as_ref().ok_or(
            "listen.admin_token_file is missing: operators must show its token at listen.admin",
        )?;
        admin_token(path).map_err(|error| format!("listen.admin_token_file: {error}")).map(Some)
    }

    /// The credential of the internal interface, if it has a listener.
    pub(crate) fn internal_credential(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.listen.internal_credential_file else { return Ok(None) };
        let text = secret_file::read(path)
            .map_err(|error| format!("listen.internal_credential_file: {error}"))?;
        Ok(Some(Secret::new(text)))
    }

    /// Workspaces by id and name.
    pub(crate) fn workspaces(&self) -> impl Iterator<Item = (&str, &str)> {
        self.auth.workspace.iter().map(|raw| (raw.id.as_str(), raw.name.as_str()))
    }
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

/// All problems, one a line.
pub(crate) fn report(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    format!("the deployment file is not right\n{}", lines.join("\n"))
}

/// Where a resource's metadata document is (RFC 9728 section 3.1).
pub(crate) fn resource_metadata_url(resource: &str) -> String {
    url::Url::parse(resource).map_or_else(
        |_| resource.to_owned(),
        |url| {
            let path = well_known_path("oauth-protected-resource", url.path());
            format!("{}{path}", url.origin().ascii_serialization())
        },
    )
}
