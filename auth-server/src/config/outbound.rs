//! `[auth.outbound]`: where this server may dial for strangers.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::Deserialize;
use shared::problem::Problem;

use super::Registration;
use crate::{
    outbound::are_certificates,
    rules::outbound_url::{HostPattern, OutboundPolicy, Trusted},
};

/// The `[auth.outbound]` table as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOutbound {
    /// Exceptions: `host:port` that may be anywhere, and networks such as `10.1.0.0/16` that any
    /// host may be in.
    #[serde(default)]
    pub allow: Vec<String>,
    /// If any, the only hosts that are dialled: `host`, or `*.host` for those below it.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// Hosts that are never dialled, and whose clients are refused.
    #[serde(default)]
    pub blocked_hosts: Vec<String>,
    /// A PEM file with further certificate authorities beside those of the system, readable by
    /// this user alone.
    pub ca_file: Option<String>,
    /// `false`: nothing is dialled, and Client ID Metadata Documents are not accepted.
    pub enabled: Option<bool>,
    /// Addresses of hosts that the system's resolver does not know.
    #[serde(default)]
    pub resolve: BTreeMap<String, IpAddr>,
    /// Seconds a whole fetch may take, 1 to 30; one that fails takes as long.
    pub timeout_seconds: Option<u64>,
}

/// Where this server may dial for strangers, checked.
#[derive(Clone, Debug)]
pub(crate) struct OutboundConfig {
    /// Further authorities, in PEM.
    pub(crate) authorities: Option<String>,
    /// Whether clients may be documents.
    pub(crate) documents: bool,
    pub(crate) enabled: bool,
    pub(crate) policy: OutboundPolicy,
    pub(crate) resolve: BTreeMap<String, IpAddr>,
    pub(crate) timeout: Duration,
}

impl OutboundConfig {
    /// Checks the table. Where registration is closed, documents are accepted only of the hosts
    /// that the operator names.
    pub(super) fn resolve(
        raw: &RawOutbound,
        registration: Registration,
        read: &dyn Fn(&str) -> Result<String, String>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let place = |key: &str| format!("auth.outbound.{key}");
        let mut hosts = |key: &str, texts: &[String]| -> Vec<HostPattern> {
            let mut patterns = Vec::new();
            for text in texts {
                match HostPattern::parse(text) {
                    Some(pattern) => patterns.push(pattern),
                    None => problems.push(Problem::new(
                        place(key),
                        format!("{text:?} is no host"),
                        "write app.example or *.app.example, in small letters",
                    )),
                }
            }
            patterns
        };
        let allowed = hosts("allowed_hosts", &raw.allowed_hosts);
        let blocked = hosts("blocked_hosts", &raw.blocked_hosts);
        let mut trusted = Vec::new();
        for text in &raw.allow {
            match Trusted::parse(text) {
                Some(exception) => trusted.push(exception),
                None => problems.push(Problem::new(
                    place("allow"),
                    format!("{text:?} is neither host:port nor a network"),
                    "write app.internal:8443 or 10.1.0.0/16",
                )),
            }
        }
        let authorities = raw.ca_file.as_ref().and_then(|file| {
            let text = read(file).and_then(|text| {
                are_certificates(&text).map_err(|error| error.to_string()).map(|()| text)
            });
            text.map_err(|error| {
                let remedy = "write certificates in PEM there, readable by this user alone";
                problems.push(Problem::new(place("ca_file"), error, remedy));
            })
            .ok()
        });
        let seconds = raw.timeout_seconds.unwrap_or(5);
        if !(1..=30).contains(&seconds) {
            problems.push(Problem::new(place("timeout_seconds"), "is not 1 to 30", "write 5"));
        }
        let enabled = raw.enabled.unwrap_or(true);
        Self {
            authorities,
            documents: enabled && (registration == Registration::Open || !allowed.is_empty()),
            enabled,
            policy: OutboundPolicy { allowed, blocked, trusted },
            resolve: raw.resolve.clone(),
            timeout: Duration::from_secs(seconds),
        }
    }
}
