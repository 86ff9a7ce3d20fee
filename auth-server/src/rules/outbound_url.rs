//! Which of strangers' URLs this server dials: https with a public host name, in the one spelling
//! there is of it, and only addresses that RFC 6890 section 2.2 and its successors leave to the
//! public network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The longest URL that is dialled.
const MOST_BYTES: usize = 2048;

/// Names that mean this machine or this network, with everything below them.
const LOCAL: [&str; 10] = [
    "alt",
    "arpa",
    "home",
    "internal",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
];

/// What an operator says about where this server may dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboundPolicy {
    /// If any, the only hosts.
    pub(crate) allowed: Vec<HostPattern>,
    pub(crate) blocked: Vec<HostPattern>,
    /// Exceptions from the rules for hosts, ports and addresses.
    pub(crate) trusted: Vec<Trusted>,
}

/// A host, or with `*.` in front every host below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern(String);

/// An exception that an operator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// This host at this port, wherever it is.
    Endpoint { host: String, port: u16 },
    /// Addresses of this network, for any host.
    Network { address: IpAddr, prefix: u8 },
}

/// A URL that may be dialled, if its host resolves to where it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboundUrl {
    host: String,
    port: u16,
    text: String,
    trusted: bool,
}

/// Why a URL is never dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlFault {
    #[error("its host is an address, not a name")]
    Address,
    #[error("its host is blocked here")]
    Blocked,
    #[error("it holds a fragment")]
    Fragment,
    #[error("its host is no public name")]
    Host,
    #[error("its port is not 443")]
    Port,
    #[error("it does not begin with https://")]
    Scheme,
    #[error("it is not written in its normal form, without dot segments and default port")]
    Spelling,
    #[error("it holds user information")]
    UserInfo,
}

impl OutboundUrl {
    /// Checks the text of a URL.
    pub(crate) fn parse(text: &str, policy: &OutboundPolicy) -> Result<Self, UrlFault> {
        let rest = text.strip_prefix("https://").ok_or(UrlFault::Scheme)?;
        if text.len() > MOST_BYTES || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(UrlFault::Spelling);
        }
        if text.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest.get(..end).is_none_or(|authority| authority.contains('@')) {
            return Err(UrlFault::UserInfo);
        }
        let url = Url::parse(text).map_err(|_| UrlFault::Spelling)?;
        // The parser mends: numbers become addresses, dot segments go, letters become small. What
        // it had to mend would be read differently elsewhere.
        if url.as_str() != text {
            let address = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
            return Err(if address { UrlFault::Address } else { UrlFault::Spelling });
        }
        let host = url.host_str().ok_or(UrlFault::Host)?.to_owned();
        let port = url.port_or_known_default().ok_or(UrlFault::Port)?;
        if policy.blocked.iter().any(|pattern| pattern.covers(&host)) {
            return Err(UrlFault::Blocked);
        }
        let trusted = policy.trusted.iter().any(|trusted| trusted.is_endpoint(&host, port));
        if !policy.allowed.is_empty() && !policy.allowed.iter().any(|pattern| pattern.covers(&host))
        {
            return Err(UrlFault::Blocked);
        }
        if !trusted {
            match url.host() {
                Some(Host::Domain(name)) if is_public_name(name) => {}
                Some(Host::Domain(_)) | None => return Err(UrlFault::Host),
                Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(UrlFault::Address),
            }
            if port != 443 {
                return Err(UrlFault::Port);
            }
        }
        Ok(Self { host, port, text: text.to_owned(), trusted })
    }

    /// The URL, byte for byte.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the `Host` header has them.
    pub(crate) fn authority(&self) -> &str {
        let rest = self.text.get("https://".len()..).unwrap_or_default();
        rest.get(..rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or_default()
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        let at = "https://".len() + self.authority().len();
        self.text.get(at..).filter(|target| !target.is_empty()).unwrap_or("/")
    }

    /// Whether it has a path beyond the root.
    pub(crate) fn has_path(&self) -> bool {
        self.target().starts_with('/') && self.target().split('?').next() != Some("/")
    }

    /// Whether the host, having resolved to this address, may be dialled there.
    pub(crate) fn may_dial(&self, address: IpAddr, policy: &OutboundPolicy) -> bool {
        self.trusted
            || is_public(address)
            || policy.trusted.iter().any(|trusted| trusted.is_network_of(address))
    }
}

impl HostPattern {
    /// Reads `host` or `*.host`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let parsed = Url::parse(&format!("https://{name}/")).ok()?;
        (parsed.host_str() == Some(name)).then(|| Self(text.to_owned()))
    }

    fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.ends_with(below) && host.len() > below.len(),
            None => self.0 == host,
        }
    }
}

impl Trusted {
    /// Reads `host:port`, or a network such as `10.1.0.0/16`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some((address, prefix)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let prefix: u8 = prefix.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (prefix <= most).then_some(Self::Network { address, prefix });
        }
        let (host, port) = text.rsplit_once(':')?;
        let parsed = Url::parse(&format!("https://{host}/")).ok()?;
        let port = port.parse().ok()?;
        (parsed.host_str() == Some(host)).then(|| Self::Endpoint { host: host.to_owned(), port })
    }

    fn is_endpoint(&self, asked: &str, at: u16) -> bool {
        matches!(self, Self::Endpoint { host, port } if host == asked && *port == at)
    }

    fn is_network_of(&self, asked: IpAddr) -> bool {
        match (self, asked) {
            (Self::Network { address: IpAddr::V4(address), prefix }, IpAddr::V4(asked)) => {
                let differ = u32::from(*address) ^ u32::from(asked);
                differ.checked_shr(32 - u32::from(*prefix)).unwrap_or(0) == 0
            }
            (Self::Network { address: IpAddr::V6(address), prefix }, IpAddr::V6(asked)) => {
                let differ = u128::from(*address) ^ u128::from(asked);
                differ.checked_shr(128 - u32::from(*prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Whether a name can be one of the public DNS: at least two labels, and none of the local ends.
fn is_public_name(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    labels.len() > 1
        && labels.iter().all(|label| !label.is_empty() && label.len() <= 63)
        && name.len() <= 253
        && !LOCAL.contains(&last)
        && !last.bytes().all(|b| b.is_ascii_digit())
}

/// Whether an address belongs to the public network and to nobody's special use.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, private use, loopback, multicast and what is reserved.
        [0 | 10 | 127 | 224..=255, ..]
        // Shared by carriers and clouds.
        | [100, 64..=127, ..]
        // Link-local, with the metadata services of clouds.
        | [169, 254, ..]
        | [172, 16..=31, ..]
        // Protocol assignments, documentation, the anycast of 6to4.
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [192, 168, ..]
        // Benchmarks and documentation.
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        // A cloud's own service at a public address.
        | [168, 63, 129, 16] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Everything outside of 2000::/3 is special: loopback, mapped and compatible IPv4, NAT64,
    // unique local, link-local, multicast.
    match address.segments() {
        // Protocol assignments, Teredo among them; documentation; 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
#[path = "outbound_url_tests.rs"]
mod tests;
