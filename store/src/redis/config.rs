//! How to reach Redis: a single server, one that Sentinel chooses, or a Cluster; with or without
//! TLS.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};

use super::fault::fault;
use crate::StoreError;

/// How to reach and use Redis.
#[derive(Clone)]
pub struct RedisConfig {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Stands before every key.
    pub prefix: String,
    /// How many replicas must have a durable write before it is answered.
    pub replicas: u32,
    /// How long one answer may take, reconnecting included.
    pub response_timeout: Duration,
    /// Whom to trust, and what to show, where the URL begins with `rediss`.
    pub tls: Tls,
    /// Where the servers are, and the credentials.
    pub topology: Topology,
}

/// Where the servers are. A URL is `redis://user:password@host:port/0`, or `rediss` for TLS, and
/// never falls back from the one to the other.
#[derive(Clone)]
pub enum Topology {
    /// A Cluster.
    Cluster {
        /// Some of its nodes. They differ in host and port only.
        seeds: Vec<String>,
    },
    /// The server that sentinels name as primary.
    Sentinel {
        /// The URL of the primary, with the name that the sentinels know it by as the host.
        primary: String,
        /// The sentinels, with the credentials they ask for.
        sentinels: Vec<String>,
    },
    /// One server.
    Single {
        /// Its URL.
        url: String,
    },
}

/// Certificates in PEM, for TLS.
#[derive(Clone, Default)]
pub struct Tls {
    /// The authorities that are trusted; without it those of the system are.
    pub authorities: Option<Vec<u8>>,
    /// The certificate that is shown, and its private key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Topology {
    fn name(&self) -> &'static str {
        match self {
            Self::Cluster { .. } => "cluster",
            Self::Sentinel { .. } => "sentinel",
            Self::Single { .. } => "single",
        }
    }
}

impl Tls {
    pub(super) fn is_given(&self) -> bool {
        self.authorities.is_some() || self.client.is_some()
    }

    pub(super) fn certificates(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: self.client.as_ref().map(|(certificate, key)| ClientTlsConfig {
                client_cert: certificate.clone(),
                client_key: key.clone(),
            }),
            root_cert: self.authorities.clone(),
        }
    }

    /// A client for a URL.
    pub(super) fn client(&self, url: &str) -> Result<Client, StoreError> {
        let info = connection_info(url)?;
        match info.addr() {
            ConnectionAddr::TcpTls { .. } => {
                // Fails where the process has chosen already, which is as good.
                let provider = rustls::crypto::aws_lc_rs::default_provider();
                let _chosen = provider.install_default();
                if let Some(authorities) = &self.authorities
                    && !authorities.windows(MARK.len()).any(|window| window == MARK)
                {
                    return Err(StoreError::Invalid(
                        "the file of authorities has no certificate in PEM".to_owned(),
                    ));
                }
                Client::build_with_tls(info, self.certificates()).map_err(|error| {
                    StoreError::Invalid(format!("the certificates for TLS are not right: {error}"))
                })
            }
            _ if self.is_given() => Err(StoreError::Invalid(
                "there are certificates for TLS, but the URL is without TLS; begin it with \
                 rediss://"
                    .to_owned(),
            )),
            _ => Client::open(info).map_err(|error| fault(&error)),
        }
    }
}

const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What a URL says. Its text may hold a password and is not repeated.
fn connection_info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(|error| fault(&error))?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(StoreError::Invalid(
            "the URL turns off the check of the server's certificate; remove `#insecure`, and \
             name the authority that signed it"
                .to_owned(),
        ));
    }
    Ok(info)
}

impl Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("connect_timeout", &self.connect_timeout)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("response_timeout", &self.response_timeout)
            .field("tls", &self.tls)
            .field("topology", &self.topology)
            .finish()
    }
}

impl Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs may hold passwords.
        f.write_str(self.name())
    }
}

impl Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}
