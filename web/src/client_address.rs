//! The client's address: the peer's, or what trusted proxies say of it (RFC 7239 section 5.2).
//!
//! Only the part of the chain that trusted proxies wrote is believed: it is read from its end,
//! and the first address that is not one of them is the client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The text is neither an address nor a prefix such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is neither an IP address nor a prefix such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

/// The proxies whose word on a client's address is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl TrustedProxies {
    /// Parses addresses and prefixes.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, InvalidNetwork> {
        list.iter().map(|text| Network::parse(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address.to_canonical()))
    }

    /// The address of whoever sent the request that arrived from `peer`.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let forwarded = self.walk(peer, &forwarded_chain(headers));
        let x_forwarded_for = self.walk(peer, &x_forwarded_for_chain(headers));
        match (forwarded, x_forwarded_for) {
            (Some(one), Some(other)) if one == other => one,
            (Some(one), None) | (None, Some(one)) => one,
            // A proxy writes one of the two and passes the other on: they disagree when the
            // client made up the other one.
            _ => peer,
        }
    }

    /// The first address from the end of the chain that no trusted proxy has, or the last one
    /// that is known.
    fn walk(&self, peer: IpAddr, chain: &[Option<IpAddr>]) -> Option<IpAddr> {
        if chain.is_empty() {
            return None;
        }
        let mut nearest = peer;
        for hop in chain.iter().rev() {
            let Some(address) = hop else { return Some(nearest) };
            if !self.contains(*address) {
                return Some(*address);
            }
            nearest = *address;
        }
        Some(nearest)
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width { Err(invalid()) } else { Ok(Self { address, bits }) }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                v4_prefix(own, self.bits) == v4_prefix(other, self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                v6_prefix(own, self.bits) == v6_prefix(other, self.bits)
            }
            _ => false,
        }
    }
}

/// The first bits of an IPv4 address.
pub(crate) fn v4_prefix(address: Ipv4Addr, bits: u8) -> u32 {
    u32::from(address).checked_shr(32 - u32::from(bits)).unwrap_or_default()
}

/// The first bits of an IPv6 address.
pub(crate) fn v6_prefix(address: Ipv6Addr, bits: u8) -> u128 {
    u128::from(address).checked_shr(128 - u32::from(bits)).unwrap_or_default()
}

/// The `for` of each element, oldest first; `None` where it is missing or hidden.
fn forwarded_chain(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, &FORWARDED)
        .map(|element| {
            let mut parameters = element.split(';').filter_map(|pair| pair.trim().split_once('='));
            let (_, node) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
            node_address(node.trim_matches('"'))
        })
        .collect()
}

fn x_forwarded_for_chain(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, &X_FORWARDED_FOR).map(node_address).collect()
}

fn elements<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h str> + use<'h> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn node_address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().or_else(|_| node.parse::<SocketAddr>().map(|both| both.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, pairs: &[(&'static str, &'static str)]) -> String {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8", "::1"]).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        proxies.client_address(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("192.0.2.9", &[("x-forwarded-for", "198.51.100.1")]), "192.0.2.9");
        assert_eq!(client("192.0.2.9", &[("forwarded", "for=198.51.100.1")]), "192.0.2.9");
    }

    #[test]
    fn the_nearest_address_that_is_no_proxy_is_the_client() {
        for (header, value, expected) in [
            ("x-forwarded-for", "203.0.113.7", "203.0.113.7"),
            ("x-forwarded-for", "1.2.3.4, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
            ("x-forwarded-for", "203.0.113.7:4711", "203.0.113.7"),
            ("forwarded", "for=1.2.3.4, For=203.0.113.7;proto=https;by=10.1.1.1", "203.0.113.7"),
            ("forwarded", "for=\"[2001:db8::7]:80\"", "2001:db8::7"),
            ("x-forwarded-for", "::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(client("10.1.1.1", &[(header, value)]), expected, "{value}");
        }
    }

    #[test]
    fn a_hidden_or_broken_hop_ends_the_chain_at_the_last_known_address() {
        assert_eq!(
            client("10.1.1.1", &[("forwarded", "for=203.0.113.7, for=_hidden")]),
            "10.1.1.1"
        );
        assert_eq!(client("10.1.1.1", &[("x-forwarded-for", "junk, 10.2.2.2")]), "10.2.2.2");
        assert_eq!(client("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn a_second_header_the_client_made_up_is_not_believed() {
        let both = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(client("10.1.1.1", &both), "10.1.1.1");
    }

    #[test]
    fn lines_of_one_header_are_one_chain() {
        let lines = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(client("10.1.1.1", &lines), "203.0.113.7");
    }

    #[test]
    fn a_proxy_list_names_what_is_wrong() {
        for bad in ["10.0.0.0/33", "proxy.example", "10.0.0.0/x", "::1/129"] {
            assert!(TrustedProxies::parse(&[bad]).unwrap_err().to_string().contains(bad));
        }
    }
}
