//! What a session says of the device it began at: enough for its owner to know it again, and no
//! more.

use std::net::IpAddr;

/// The product in a `User-Agent` (RFC 9110 section 10.1.5), in words such as `Firefox on Linux`.
pub(crate) fn product(user_agent: &str) -> String {
    let browsers = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let known = |list: &[(&str, &'static str)]| {
        list.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
    };
    match (known(&browsers), known(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => {
            let first = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
            let plain: String = first.chars().filter(char::is_ascii_graphic).take(40).collect();
            if plain.is_empty() { "An unknown program".to_owned() } else { plain }
        }
    }
}

/// The neighbourhood of an address: its /24 or /48, in words where it is this machine.
pub(crate) fn network(address: IpAddr) -> String {
    let address = address.to_canonical();
    if address.is_loopback() {
        return "this computer".to_owned();
    }
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_browser_and_system() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("<script>/1", "<script>"),
            ("", "An unknown program"),
        ] {
            assert_eq!(product(agent), name);
        }
    }

    #[test]
    fn an_address_is_shown_as_its_neighbourhood() {
        for (address, name) in [
            ("203.0.113.9", "203.0.113.0/24"),
            ("::ffff:203.0.113.9", "203.0.113.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("127.0.0.1", "this computer"),
            ("::1", "this computer"),
        ] {
            assert_eq!(network(address.parse().unwrap()), name);
        }
    }
}
