//! Resource indicators (RFC 8707 section 2): the absolute URL of a protected resource.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Why a string is not a resource indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResource {
    #[error("a resource has no fragment")]
    Fragment,
    #[error("a resource is an absolute https URL, or http on a loopback host")]
    NotAbsolute,
    #[error("a resource has no user name or password")]
    UserInfo,
}

/// A resource indicator, kept exactly as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceIndicator(String);

impl ResourceIndicator {
    /// Accepts an absolute URL without fragment and user info, https or loopback http.
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        let url = Url::parse(text).map_err(|_| InvalidResource::NotAbsolute)?;
        // The parser drops white space, which a URI does not have.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidResource::NotAbsolute);
        }
        if url.fragment().is_some() {
            return Err(InvalidResource::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidResource::UserInfo);
        }
        if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidResource::NotAbsolute)
    }

    /// The indicator as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `asked` names this resource: the same string, or equal but for the case of scheme
    /// and host, or for one trailing slash where this resource has no path.
    pub fn names(&self, asked: &str) -> bool {
        if self.0 == asked {
            return true;
        }
        match (Url::parse(&self.0), Url::parse(asked)) {
            // `Url` lower-cases scheme and host and writes the empty path as `/`.
            (Ok(own), Ok(asked)) => own == asked,
            _ => false,
        }
    }
}

impl TryFrom<String> for ResourceIndicator {
    type Error = InvalidResource;

    fn try_from(text: String) -> Result<Self, InvalidResource> {
        Self::parse(&text)
    }
}

impl From<ResourceIndicator> for String {
    fn from(resource: ResourceIndicator) -> Self {
        resource.0
    }
}

impl fmt::Display for ResourceIndicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the URL's host is 127.0.0.0/8, `[::1]` or `localhost`.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_https_or_loopback_urls_are_resources() {
        for good in ["https://mcp.example/mcp", "http://localhost:7400/mcp", "http://[::1]/mcp"] {
            assert!(ResourceIndicator::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["mcp", "/mcp", "http://mcp.example/mcp", "https://a@b/", "https://a/#x", "https://a /"]
        {
            assert!(ResourceIndicator::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_trailing_slash_is_forgiven_without_a_path_only() {
        let bare = ResourceIndicator::parse("https://mcp.example").unwrap();
        assert!(bare.names("https://mcp.example/"));
        assert!(bare.names("HTTPS://MCP.example"));
        let path = ResourceIndicator::parse("https://mcp.example/mcp").unwrap();
        assert!(!path.names("https://mcp.example/mcp/"));
        assert!(!path.names("https://mcp.example/other"));
    }
}
