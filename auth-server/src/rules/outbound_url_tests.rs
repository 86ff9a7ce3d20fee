//! The guard against every spelling of an address that is not public.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<OutboundUrl, UrlFault> {
    OutboundUrl::parse(text, &OutboundPolicy::default())
}

#[test]
fn an_ordinary_document_url_passes() {
    let url = parse("https://claude.ai/oauth/mcp-oauth-client-metadata?v=1").unwrap();
    assert_eq!((url.host(), url.port(), url.authority()), ("claude.ai", 443, "claude.ai"));
    assert_eq!(url.target(), "/oauth/mcp-oauth-client-metadata?v=1");
    assert!(url.has_path() && !parse("https://claude.ai/").unwrap().has_path());
    assert!(!parse("https://claude.ai/?x=/a").unwrap().has_path());
}

#[test]
fn each_deviation_has_its_name() {
    for (text, fault) in [
        ("http://app.example/c", UrlFault::Scheme),
        ("HTTPS://app.example/c", UrlFault::Scheme),
        ("https:app.example/c", UrlFault::Scheme),
        ("ftp://app.example/c", UrlFault::Scheme),
        ("https://user@app.example/c", UrlFault::UserInfo),
        ("https://user:pw@app.example/c", UrlFault::UserInfo),
        ("https://@app.example/c", UrlFault::UserInfo),
        ("https://app.example/c#f", UrlFault::Fragment),
        ("https://app.example/c#", UrlFault::Fragment),
        ("https://app.example/a/../c", UrlFault::Spelling),
        ("https://app.example/a/%2e%2e/c", UrlFault::Spelling),
        ("https://app.example/a/%2E/c", UrlFault::Spelling),
        ("https://app.example/.", UrlFault::Spelling),
        ("https://app.example", UrlFault::Spelling),
        ("https://app.example:443/c", UrlFault::Spelling),
        ("https://APP.example/c", UrlFault::Spelling),
        ("https:///app.example/c", UrlFault::Spelling),
        ("https://app.example\\@evil.example/c", UrlFault::Spelling),
        ("https://app.example/a b", UrlFault::Spelling),
        ("https://app.example/\u{e4}", UrlFault::Spelling),
        ("https://app.example:8443/c", UrlFault::Port),
        ("https://localhost/c", UrlFault::Host),
        ("https://app.localhost/c", UrlFault::Host),
        ("https://intranet/c", UrlFault::Host),
        ("https://app.example./c", UrlFault::Host),
        ("https://metadata.google.internal/c", UrlFault::Host),
        ("https://metadata.google.internal./c", UrlFault::Host),
        ("https://printer.local/c", UrlFault::Host),
        ("https://169.254.169.254/c", UrlFault::Address),
        ("https://8.8.8.8/c", UrlFault::Address),
        ("https://2130706433/c", UrlFault::Address),
        ("https://0x7f000001/c", UrlFault::Address),
        ("https://0177.0.0.1/c", UrlFault::Address),
        ("https://127.1/c", UrlFault::Address),
        ("https://127.0.0.1./c", UrlFault::Address),
        ("https://[::1]/c", UrlFault::Address),
        ("https://[::ffff:127.0.0.1]/c", UrlFault::Address),
        ("https://[64:ff9b::7f00:1]/c", UrlFault::Address),
        ("https://[2002:7f00:1::]/c", UrlFault::Address),
        ("https://[2606:4700::1111]/c", UrlFault::Address),
    ] {
        assert_eq!(parse(text), Err(fault), "{text}");
    }
    assert!(parse(&format!("https://app.example/{}", "a".repeat(2048))).is_err());
}

#[test]
fn an_operator_trusts_allows_and_blocks() {
    let policy = OutboundPolicy {
        allowed: vec![],
        blocked: vec![HostPattern::parse("*.evil.example").unwrap()],
        trusted: ["app.test:8443", "10.1.0.0/16", "fd00::/8"]
            .map(|text| Trusted::parse(text).unwrap())
            .to_vec(),
    };
    let url = OutboundUrl::parse("https://app.test:8443/c", &policy).unwrap();
    assert!(url.may_dial("127.0.0.1".parse().unwrap(), &policy));
    assert_eq!(url.authority(), "app.test:8443");
    assert_eq!(OutboundUrl::parse("https://app.test:8444/c", &policy), Err(UrlFault::Port));
    let inside = OutboundUrl::parse("https://app.example/c", &policy).unwrap();
    for (address, may) in [
        ("10.1.2.3", true),
        ("10.2.0.1", false),
        ("fd12::1", true),
        ("fe80::1", false),
        ("1.1.1.1", true),
    ] {
        assert_eq!(inside.may_dial(address.parse().unwrap(), &policy), may, "{address}");
    }
    for (host, blocked) in [("a.evil.example", true), ("evil.example", false), ("b.example", false)]
    {
        let text = format!("https://{host}/c");
        assert_eq!(OutboundUrl::parse(&text, &policy).is_err(), blocked, "{host}");
    }
    let allowed = vec![HostPattern::parse("claude.ai").unwrap()];
    let only = OutboundPolicy { allowed, ..OutboundPolicy::default() };
    assert!(OutboundUrl::parse("https://claude.ai/c", &only).is_ok());
    assert_eq!(OutboundUrl::parse("https://other.ai/c", &only), Err(UrlFault::Blocked));
    for bad in ["a.test", "a.test:x", "10.0.0.0/33", "UPPER.test:1", "", ":", "/"] {
        assert!(Trusted::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn special_addresses_are_not_public() {
    for special in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(special.parse().unwrap()), "{special}");
    }
    for public in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.1.0.1", "2606:4700::1111", "2a00::1"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
}

/// An IPv4 address in one of the spellings that some resolvers read.
fn spelling(address: Ipv4Addr, form: u8) -> String {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    match form {
        0 => address.to_string(),
        1 => number.to_string(),
        2 => format!("0x{number:x}"),
        3 => format!("0{number:o}"),
        4 => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        5 => format!("0x{a:x}.{b}.{c}.{d}"),
        6 => format!("{a}.{}", number & 0x00ff_ffff),
        7 => format!("{a}.{b}.{c}.{d}."),
        8 => format!("[::ffff:{address}]"),
        9 => format!("[64:ff9b::{address}]"),
        10 => format!("[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]"),
        11 => format!("%3{}{}", a % 10, address),
        _ => format!("{address}%2e"),
    }
}

proptest! {
    #[test]
    fn no_address_passes_in_any_spelling(number: u32, form in 0_u8..13) {
        let host = spelling(number.into(), form);
        prop_assert!(parse(&format!("https://{host}/c")).is_err(), "{}", host);
    }

    #[test]
    fn no_ipv6_address_passes_or_carries_a_special_ipv4_one(number: u128, inner: u32) {
        let address = Ipv6Addr::from(number);
        let text = format!("https://[{address}]/c");
        prop_assert!(parse(&text).is_err());
        for prefix in [0, 0xffff_u128 << 32, 0x0064_ff9b_u128 << 96, 0xffff_0000_u128 << 32] {
            let carried = Ipv6Addr::from(prefix | u128::from(inner));
            prop_assert!(!is_public(IpAddr::V6(carried)), "{}", carried);
        }
        let six_to_four = Ipv6Addr::from((0x2002_u128 << 112) | (u128::from(inner) << 80));
        prop_assert!(!is_public(IpAddr::V6(six_to_four)));
    }

    #[test]
    fn no_text_breaks_the_guard_and_what_passes_is_what_was_written(text in ".{0,80}") {
        for text in [text.clone(), format!("https://{text}"), format!("https://a.example/{text}")] {
            if let Ok(url) = parse(&text) {
                prop_assert_eq!(url.as_str(), &text);
                prop_assert_eq!(format!("https://{}{}", url.authority(), url.target()), text);
                prop_assert!(is_public_name(url.host()));
            }
        }
    }
}
