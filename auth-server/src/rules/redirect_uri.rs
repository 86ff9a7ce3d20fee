//! Redirect URIs: what may be registered, and which of them a request means
//! (RFC 6749 section 3.1.2, RFC 8252 section 7.3).
//!
//! Strings are compared as they were registered; only the port of a loopback redirect floats.

use serde::{Deserialize, Serialize};
use url::Url;

use super::violation::{RegistrationViolation, UntrustedRedirect};

/// A redirect URI that a client registered and a request named: the only thing that can be
/// redirected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RedirectTarget {
    /// Whether the answer is posted there by a form (OAuth 2.0 Form Post Response Mode section 2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_posted: bool,
    uri: String,
    /// Whether the request itself carried it (then the token request must repeat it if it sends one).
    sent: bool,
}

/// What kind of place a redirect URI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectKind {
    Https,
    Loopback,
    PrivateScheme,
}

impl RedirectTarget {
    /// Finds the registered URI that a request means.
    pub(crate) fn find(
        registered: &[String],
        asked: Option<&str>,
    ) -> Result<Self, UntrustedRedirect> {
        match (asked, registered) {
            // A loopback registration has no port of its own to return to.
            (None, [only]) if kind(only) != Some(RedirectKind::Loopback) => {
                Ok(Self { is_posted: false, uri: only.clone(), sent: false })
            }
            (None, _) => Err(UntrustedRedirect::RedirectMissing),
            (Some(asked), _) if registered.iter().any(|uri| matches(uri, asked)) => {
                Ok(Self { is_posted: false, uri: asked.to_owned(), sent: true })
            }
            (Some(_), _) => Err(UntrustedRedirect::RedirectUnregistered),
        }
    }

    /// The target in the response mode that a request asks for. Nothing can be posted to a scheme
    /// that a program of the machine answers.
    pub(crate) fn in_mode(self, mode: Option<&str>) -> Self {
        let is_posted = mode == Some("form_post") && self.kind() != RedirectKind::PrivateScheme;
        Self { is_posted, ..self }
    }

    /// Whether the answer is posted there.
    pub(crate) fn is_posted(&self) -> bool {
        self.is_posted
    }

    /// The URI as it was asked for.
    pub(crate) fn as_str(&self) -> &str {
        &self.uri
    }

    /// What kind of place it is.
    pub(crate) fn kind(&self) -> RedirectKind {
        kind(&self.uri).unwrap_or(RedirectKind::PrivateScheme)
    }

    /// The host people should know, or the scheme of a private one.
    pub(crate) fn host(&self) -> String {
        let Ok(url) = Url::parse(&self.uri) else { return self.uri.clone() };
        match (self.kind(), url.host_str(), url.port()) {
            (RedirectKind::PrivateScheme, _, _) | (_, None, _) => format!("{}:", url.scheme()),
            (_, Some(host), Some(port)) => format!("{host}:{port}"),
            (_, Some(host), None) => host.to_owned(),
        }
    }

    /// The URI with parameters added to its query (RFC 6749 section 4.1.2).
    pub(crate) fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            query.append_pair(name, value);
        }
        let joint = if self.uri.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}", self.uri, query.finish())
    }
}

/// Checks a URI that a client wants to register.
pub(crate) fn check_registration(uri: &str) -> Result<(), RegistrationViolation> {
    let malformed = || RegistrationViolation::RedirectMalformed(uri.to_owned());
    if uri.len() > 2048 || !uri.bytes().all(|b| b.is_ascii_graphic()) || uri.contains('\\') {
        return Err(malformed());
    }
    if uri.contains('*') {
        return Err(RegistrationViolation::RedirectWildcard(uri.to_owned()));
    }
    let url = Url::parse(uri).map_err(|_| malformed())?;
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(malformed());
    }
    // This parser mends `https:///host` and `https:host` as browsers do; others see no host.
    let host = uri.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
    if matches!(url.scheme(), "http" | "https") && host.is_none_or(|host| host.starts_with('/')) {
        return Err(malformed());
    }
    kind_of(&url, uri)
        .map(drop)
        .ok_or_else(|| RegistrationViolation::RedirectScheme(uri.to_owned()))
}

/// The URI without its port if it is a loopback one; identical otherwise. Two registrations that
/// differ only in loopback ports are the same registration.
pub(crate) fn without_loopback_port(uri: &str) -> String {
    // Most are not, which shows without taking them apart.
    let url = if is_literal_loopback(uri) { Url::parse(uri).ok() } else { None };
    match url {
        Some(url) if kind_of(&url, uri) == Some(RedirectKind::Loopback) => {
            let rest = uri.find("://").and_then(|at| uri.get(at + 3..)).unwrap_or_default();
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            format!(
                "http://{}{}",
                url.host_str().unwrap_or_default(),
                rest.get(end..).unwrap_or_default()
            )
        }
        _ => uri.to_owned(),
    }
}

/// What kind of place a registered URI is; none if it could not be registered.
pub(crate) fn registered_kind(uri: &str) -> Option<RedirectKind> {
    kind(uri)
}

fn matches(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    // RFC 8252 section 7.3: the port of a loopback redirect is the client's to choose. What is
    // asked must otherwise be the registered string, so both are rebuilt without their port.
    kind(registered) == Some(RedirectKind::Loopback)
        && check_registration(asked).is_ok()
        && kind(asked) == Some(RedirectKind::Loopback)
        && without_loopback_port(registered) == without_loopback_port(asked)
}

fn is_literal_loopback(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://").unwrap_or_default();
    ["127.0.0.1", "[::1]", "localhost"].iter().any(|host| {
        rest.strip_prefix(host)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
    })
}

fn kind(uri: &str) -> Option<RedirectKind> {
    kind_of(&Url::parse(uri).ok()?, uri)
}

/// The kind of a URI that was taken apart.
fn kind_of(url: &Url, uri: &str) -> Option<RedirectKind> {
    const NEVER: [&str; 8] =
        ["javascript", "data", "file", "vbscript", "blob", "about", "ftp", "filesystem"];
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Some(RedirectKind::Https),
        // The host as it is written: other spellings of the address are not the address.
        ("http", Some(_)) if is_literal_loopback(uri) => Some(RedirectKind::Loopback),
        ("https" | "http" | "ws" | "wss", _) => None,
        (scheme, _) if NEVER.contains(&scheme) => None,
        // RFC 8252 section 7.1.
        _ => Some(RedirectKind::PrivateScheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(registered: &[&str], asked: Option<&str>) -> Result<RedirectTarget, UntrustedRedirect> {
        let registered: Vec<String> = registered.iter().map(|uri| (*uri).to_owned()).collect();
        RedirectTarget::find(&registered, asked)
    }

    #[test]
    fn only_the_registered_string_matches() {
        let app = ["https://app.example/cb"];
        assert!(find(&app, Some("https://app.example/cb")).is_ok());
        assert!(find(&app, None).is_ok());
        for other in [
            "https://app.example/cb/../evil",
            "https://app.example/cb%2f..",
            "https://app.example/cb/evil",
            "https://app.example/cb?x=1",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example@evil.example/cb",
            "https://app.example/cb#x",
            "javascript:alert(1)",
            "http://app.example/cb",
        ] {
            assert_eq!(
                find(&app, Some(other)),
                Err(UntrustedRedirect::RedirectUnregistered),
                "{other}"
            );
        }
        assert_eq!(
            find(&["https://a/", "https://b/"], None),
            Err(UntrustedRedirect::RedirectMissing)
        );
    }

    #[test]
    fn loopback_ports_float_and_nothing_else_does() {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let registered = format!("http://{host}/cb");
            let asked = format!("http://{host}:51234/cb");
            assert!(find(&[&registered], Some(&asked)).is_ok(), "{asked}");
        }
        for asked in [
            "http://127.0.0.1:5/other",
            "http://127.0.0.1:5/cb?x=1",
            "http://a@127.0.0.1:5/cb",
            "https://127.0.0.1:5/cb",
            "http://localhost:5/cb",
            "http://127.0.0.2:5/cb",
            "http://2130706433:5/cb/",
        ] {
            assert!(find(&["http://127.0.0.1/cb"], Some(asked)).is_err(), "{asked}");
        }
    }

    #[test]
    fn dangerous_schemes_are_never_registered() {
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "blob:https://a/b",
            "about:blank",
            "http://app.example/cb",
            "https://*.example/cb",
            "https://a.example/#f",
            "https:///a.example/",
            "https:/a.example/",
            "https:a.example",
            "/relative",
        ] {
            assert!(check_registration(bad).is_err(), "{bad}");
        }
        for good in ["cursor://anysphere.cursor-mcp/oauth/callback", "https://vscode.dev/redirect"]
        {
            assert!(check_registration(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn parameters_join_an_existing_query() {
        let target = find(&["https://a.example/cb?x=1"], None).unwrap();
        assert_eq!(target.with(&[("code", "a b")]), "https://a.example/cb?x=1&code=a+b");
    }
}
