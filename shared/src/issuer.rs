//! The issuer's identifier (RFC 8414 section 2).

use url::Url;

use crate::{problem::Problem, resource::is_loopback};

/// An issuer identifier (RFC 8414 section 2): compared byte by byte, without trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    url: Url,
}

impl Issuer {
    /// Accepts an https URL, or http on loopback, without query, fragment and trailing slash.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let problem = |what: &str| {
            Problem::new("deployment.issuer", what, "write it like https://auth.example")
        };
        let url = Url::parse(text).map_err(|_| problem("is not a URL"))?;
        if text.ends_with('/') {
            return Err(problem("ends with a slash, and clients compare it byte by byte"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(problem("has a query, a fragment or a user name"));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(problem("is neither https nor loopback http"));
        }
        Ok(Self { text: text.to_owned(), url })
    }

    /// Its host, with the port where the URL has one: what the `Host` header says.
    pub fn authority(&self) -> String {
        authority_of(&self.url)
    }

    /// The identifier, byte for byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The identifier as a URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its path without trailing slash: empty for most issuers.
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

/// The host of a URL, with the port where the URL has one: what the `Host` header says.
pub fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
