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
        if url.query().is_some() || url.fragment().is_some() || text.contains('@') {
            return Err(problem("has a query, a fragment or a user name"));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let mut words = url.path().split('/').skip(1);
        if url.path() != "/" && !words.all(|one| !one.is_empty() && one.bytes().all(is_plain)) {
            return Err(problem("has a path that is not words of A-Z a-z 0-9 - _ . ~"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_written_in_one_way_and_has_a_path_of_plain_words() {
        for right in [
            "https://auth.example",
            "https://auth.example:8443/tenants/a-1",
            "http://localhost:7410",
        ] {
            assert_eq!(Issuer::parse(right).unwrap().as_str(), right);
        }
        for wrong in [
            "auth.example",
            "https://auth.example/",
            "http://auth.example",
            "https://auth.example/?a",
            "https://auth.example/a#b",
            "https://a@auth.example",
            "https://:b@auth.example",
            "https://auth.example/{tenant}",
            "https://auth.example/:tenant",
            "https://auth.example/*",
            "https://auth.example//a",
            "https://auth.example/%61",
        ] {
            let problem = Issuer::parse(wrong).unwrap_err();
            assert_eq!(problem.place, "deployment.issuer", "{wrong}");
        }
    }
}
