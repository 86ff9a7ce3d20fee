//! What stands before the services of a deployment with public hosts of its own: TLS ends here, and
//! the path says which service is asked, as the balancer of docs/operate/README.md does.

use shared::{deployment::Deployment, issuer::authority_of};
use url::Url;

/// A balancer in the client's own process.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    auth: u16,
    gateway: u16,
    issuer_hosts: Vec<String>,
    /// The resources, as host and path.
    resources: Vec<(String, String)>,
}

/// What a gateway has at a host beside resources.
const OF_GATEWAY: [&str; 4] =
    ["/.well-known/mcp.json", "/.well-known/oauth-protected-resource", "/openapi.json", "/sse"];

impl Front {
    /// Before the two services at these ports.
    pub(crate) fn new(deployment: &Deployment, auth: u16, gateway: u16) -> Self {
        let url = |text: &str| Url::parse(text).unwrap();
        let urls = deployment.resources.iter().map(|one| url(one.indicator.as_str()));
        let resources = urls.map(|url| (authority_of(&url), url.path().to_owned())).collect();
        Self { auth, gateway, issuer_hosts: deployment.issuer_hosts(), resources }
    }

    /// Where a public URL leads, and the host that is named there.
    pub(crate) fn lead(&self, url: &Url) -> Option<(Url, String)> {
        if url.scheme() != "https" {
            return None;
        }
        let (host, path) = (authority_of(url), url.path());
        let is_resource = self
            .resources
            .iter()
            .any(|(own, at)| *own == host && (path == at || path == format!("{at}/server-card")));
        let is_gateways = is_resource
            || !self.issuer_hosts.contains(&host)
            || OF_GATEWAY.iter().any(|one| path.starts_with(one));
        let mut inner = url.clone();
        inner.set_scheme("http").unwrap();
        inner.set_host(Some("127.0.0.1")).unwrap();
        inner.set_port(Some(if is_gateways { self.gateway } else { self.auth })).unwrap();
        Some((inner, host))
    }
}
