//! Places this server never sends a code to, whoever registered them.

use url::Url;

use super::redirect_uri::without_loopback_port;

/// The operator's blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockedRedirects {
    hosts: Vec<String>,
    uris: Vec<String>,
}

impl BlockedRedirects {
    /// Blocks hosts with everything below them, and single redirect URIs.
    pub(crate) fn new(hosts: &[String], uris: &[String]) -> Self {
        Self {
            hosts: hosts.iter().map(|host| plain(host)).collect(),
            uris: uris.iter().map(|uri| without_loopback_port(uri)).collect(),
        }
    }

    /// Whether a redirect URI leads to a blocked place.
    pub(crate) fn block(&self, uri: &str) -> bool {
        if !self.uris.is_empty() && self.uris.contains(&without_loopback_port(uri)) {
            return true;
        }
        if self.hosts.is_empty() {
            return false;
        }
        let url = Url::parse(uri).ok();
        let host = url.as_ref().and_then(Url::host_str).map(plain);
        host.is_some_and(|host| {
            let below = |blocked: &String| {
                host.strip_suffix(blocked.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            self.hosts.iter().any(below)
        })
    }
}

/// A host in the one spelling that is compared.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_blocked_with_everything_below_it_and_nothing_beside_it() {
        let blocked = BlockedRedirects::new(
            &["Evil.example".to_owned()],
            &["https://app.example/bad".to_owned(), "http://127.0.0.1:7/bad".to_owned()],
        );
        for uri in [
            "https://evil.example/cb",
            "https://a.evil.example/cb",
            "https://EVIL.example./cb",
            "evil://evil.example/cb",
            "https://app.example/bad",
            "http://127.0.0.1:9999/bad",
        ] {
            assert!(blocked.block(uri), "{uri}");
        }
        for uri in
            ["https://notevil.example/cb", "https://evil.example.org/", "https://app.example/"]
        {
            assert!(!blocked.block(uri), "{uri}");
        }
    }
}
