//! Where the endpoints of the authorization server are: each may be on another origin than the
//! issuer (RFC 8414 section 2), and the pages stand beside the authorization endpoint.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::Url;

use crate::{
    issuer::{Issuer, authority_of},
    problem::Problem,
    resource::is_loopback,
};

/// The `[deployment.endpoints]` table as written: whole URLs. Default of each: the issuer with
/// the endpoint's name after it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawEndpoints {
    /// Where people sign in and consent; the pages of their account are beside it.
    pub authorize: Option<String>,
    pub introspect: Option<String>,
    pub jwks: Option<String>,
    pub register: Option<String>,
    pub revoke: Option<String>,
    pub token: Option<String>,
    pub userinfo: Option<String>,
}

/// The public URL of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    authority: String,
    url: Url,
}

/// Every endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub authorize: Endpoint,
    pub introspect: Endpoint,
    pub jwks: Endpoint,
    pub register: Endpoint,
    pub revoke: Endpoint,
    pub token: Endpoint,
    pub userinfo: Endpoint,
}

/// The first words of the pages' paths, below [`Endpoints::base`].
const PAGES: [&str; 4] = ["account", "consent", "login", "logout"];
/// What both services answer under every host.
const HEALTH: [&str; 2] = ["healthz", "readyz"];

impl Endpoint {
    /// The URL, byte for byte as metadata has it.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host as the `Host` header says it: with the port where the URL has one.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The URL in parts.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl Endpoints {
    /// Checks the table; what is wrong is added to `problems`.
    pub(crate) fn resolve(
        raw: &RawEndpoints,
        issuer: &Issuer,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut endpoint = |name: &str, written: &Option<String>| {
            let text = match written {
                Some(text) => text.clone(),
                None => format!("{}/{name}", issuer.as_str()),
            };
            let checked = if written.is_some() {
                checked(&text, issuer)
            } else {
                Url::parse(&text).map_err(|_| "is no URL")
            };
            let url = checked.map_err(|what| {
                let remedy = "write a whole URL such as https://app.example/oauth/authorize";
                problems.push(Problem::new(place(name), what, remedy));
            });
            url.ok().map(|url| Endpoint { authority: authority_of(&url), url })
        };
        let endpoints = Self {
            authorize: endpoint("authorize", &raw.authorize)?,
            introspect: endpoint("introspect", &raw.introspect)?,
            jwks: endpoint("jwks", &raw.jwks)?,
            register: endpoint("register", &raw.register)?,
            revoke: endpoint("revoke", &raw.revoke)?,
            token: endpoint("token", &raw.token)?,
            userinfo: endpoint("userinfo", &raw.userinfo)?,
        };
        endpoints.check_apart(problems);
        Some(endpoints)
    }

    /// Each endpoint by its name in the deployment file.
    pub fn all(&self) -> [(&'static str, &Endpoint); 7] {
        [
            ("authorize", &self.authorize),
            ("introspect", &self.introspect),
            ("jwks", &self.jwks),
            ("register", &self.register),
            ("revoke", &self.revoke),
            ("token", &self.token),
            ("userinfo", &self.userinfo),
        ]
    }

    /// The path below which the pages are: the authorization endpoint's without its last word.
    pub fn base(&self) -> &str {
        self.authorize.path().rsplit_once('/').map_or("", |(base, _)| base)
    }

    /// The hosts at which something of the authorization server is, beside the issuer's.
    pub fn hosts(&self) -> BTreeSet<&str> {
        self.all().iter().map(|(_, endpoint)| endpoint.authority()).collect()
    }

    /// Whether the path of that host is an endpoint, a page, or below one of them.
    pub fn has(&self, authority: &str, path: &str) -> bool {
        self.taken().iter().any(|(_, host, own)| *host == authority && is_within(path, own))
    }

    /// Every endpoint and page: its name, its host and its path.
    fn taken(&self) -> Vec<(&'static str, &str, String)> {
        let pages = PAGES.iter().map(|page| {
            ("authorize", self.authorize.authority(), format!("{}/{page}", self.base()))
        });
        let endpoints = self
            .all()
            .into_iter()
            .map(|(name, endpoint)| (name, endpoint.authority(), endpoint.path().to_owned()));
        endpoints.chain(pages).collect()
    }

    /// Two of them at one address would hide one another.
    fn check_apart(&self, problems: &mut Vec<Problem>) {
        let taken = self.taken();
        for (at, (name, host, path)) in taken.iter().enumerate() {
            let before = taken.iter().take(at).find(|(_, other, own)| {
                other == host && (is_within(path, own) || is_within(own, path))
            });
            if let Some((other, _, own)) = before {
                let what = format!("{host}{path} is at or below what {other} has ({own})");
                problems.push(Problem::new(place(name), what, "write another path"));
            }
        }
    }
}

fn place(name: &str) -> String {
    format!("deployment.endpoints.{name}")
}

/// Whether a path is this one or below it.
fn is_within(path: &str, own: &str) -> bool {
    path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An endpoint's URL as every reader takes it: nothing in it can be written in another way.
fn checked(text: &str, issuer: &Issuer) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    if url.scheme() != issuer.url().scheme() {
        return Err("has another scheme than the issuer");
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("is neither https nor loopback http");
    }
    if url.as_str() != text {
        return Err("is not written as URL readers write it: small letters, no default port");
    }
    if url.query().is_some() || url.fragment().is_some() || text.contains('@') {
        return Err("has a query, a fragment or a user name");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let segments: Vec<&str> = url.path().split('/').skip(1).collect();
    if segments.iter().any(|one| one.is_empty() || !one.bytes().all(is_plain)) {
        return Err("has a path that is not words of A-Z a-z 0-9 - _ . between single slashes");
    }
    let first = segments.first().copied().unwrap_or_default();
    if segments.contains(&".well-known") || (segments.len() == 1 && HEALTH.contains(&first)) {
        return Err("has a path that is kept for documents or for health");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(issuer: &str, raw: &RawEndpoints) -> Result<Endpoints, Vec<Problem>> {
        let mut problems = Vec::new();
        let found = Endpoints::resolve(raw, &Issuer::parse(issuer).unwrap(), &mut problems);
        found.filter(|_| problems.is_empty()).ok_or(problems)
    }

    fn authorize(url: &str) -> RawEndpoints {
        RawEndpoints { authorize: Some(url.to_owned()), ..RawEndpoints::default() }
    }

    #[test]
    fn endpoints_are_below_the_issuer_unless_they_are_written() {
        let endpoints = resolved("https://crm.example/auth", &RawEndpoints::default()).unwrap();
        assert_eq!(endpoints.token.as_str(), "https://crm.example/auth/token");
        assert_eq!(endpoints.base(), "/auth");
        assert_eq!(endpoints.hosts().into_iter().collect::<Vec<_>>(), ["crm.example"]);
        let raw = authorize("https://app.example:8443/oauth/start");
        let endpoints = resolved("https://api.example", &raw).unwrap();
        assert_eq!(endpoints.authorize.authority(), "app.example:8443");
        assert_eq!((endpoints.base(), endpoints.jwks.path()), ("/oauth", "/jwks"));
        assert_eq!(endpoints.hosts().len(), 2);
    }

    #[test]
    fn pages_are_beside_the_authorization_endpoint_and_nowhere_else() {
        let raw = authorize("https://app.example/oauth/authorize");
        let endpoints = resolved("https://api.example", &raw).unwrap();
        for (host, path, is_taken) in [
            ("app.example", "/oauth/authorize", true),
            ("app.example", "/oauth/login/github/callback", true),
            ("app.example", "/oauth/account", true),
            ("app.example", "/oauth/accounts", false),
            ("app.example", "/login", false),
            ("api.example", "/oauth/authorize", false),
            ("api.example", "/authorize", false),
            ("api.example", "/register/some-client", true),
            ("api.example", "/mcp", false),
        ] {
            assert_eq!(endpoints.has(host, path), is_taken, "{host}{path}");
        }
    }

    #[test]
    fn an_endpoint_that_readers_could_take_for_another_is_refused() {
        for wrong in [
            "oauth/authorize",
            "http://app.example/authorize",
            "http://localhost:7410/authorize",
            "https://app.example",
            "https://app.example/",
            "https://app.example/authorize/",
            "https://app.example/a//authorize",
            "https://app.example/a/../authorize",
            "https://app.example/%61uthorize",
            "https://app.example/{id}",
            "https://app.example/*",
            "https://APP.example/authorize",
            "https://app.example:443/authorize",
            "https://user@app.example/authorize",
            "https://app.example/authorize?tenant=1",
            "https://app.example/authorize#here",
            "https://app.example/.well-known/authorize",
            "https://app.example/readyz",
        ] {
            let problems = resolved("https://api.example", &authorize(wrong)).unwrap_err();
            assert_eq!(problems.len(), 1, "{wrong}");
            assert_eq!(problems[0].place, "deployment.endpoints.authorize", "{wrong}");
        }
        assert!(resolved("http://localhost:1", &authorize("http://127.0.0.1:1/authorize")).is_ok());
        assert!(resolved("http://localhost:1", &authorize("https://a.example/authorize")).is_err());
    }

    #[test]
    fn no_two_endpoints_or_pages_share_an_address() {
        for (authorize, token) in [
            ("https://api.example/oauth", "https://api.example/login"),
            ("https://api.example/oauth/login", "https://api.example/oauth/token"),
            ("https://app.example/authorize", "https://api.example/register/token"),
            ("https://app.example/authorize", "https://app.example/authorize"),
            ("https://app.example/authorize", "https://app.example/account/token"),
        ] {
            let raw = RawEndpoints {
                authorize: Some(authorize.to_owned()),
                token: Some(token.to_owned()),
                ..RawEndpoints::default()
            };
            assert!(resolved("https://api.example", &raw).is_err(), "{authorize} {token}");
        }
    }
}
