//! The Content-Security-Policy of a page (Content Security Policy Level 3).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use sha2::{Digest, Sha256};
use url::{Host, Url};

/// Where the forms of a page may lead, redirects after the post included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormTarget {
    /// The page has no form.
    None,
    /// A form leads to our own pages only.
    OwnOrigin,
    /// A form may end at a client's redirect URI, which may pass the browser on to a page of its
    /// own. Browsers hold every hop that follows a post against the policy of the form's page,
    /// so sign-in and consent both need this when they stand in the way to a client.
    Redirect(Sources),
}

/// A list of sources for `form-action`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(String);

impl FormTarget {
    /// The target of a form whose answer may be a redirect to this URI.
    pub fn redirect_to(redirect_uri: &Url) -> Self {
        let scheme = redirect_uri.scheme();
        let sources = match (scheme, redirect_uri.host()) {
            ("https", _) => "https:".to_owned(),
            // No source can name an IPv6 address.
            ("http", Some(Host::Ipv6(_))) => "http: https:".to_owned(),
            ("http", _) => {
                let origin = redirect_uri.origin().ascii_serialization();
                format!("{origin} http://127.0.0.1:* http://localhost:* https:")
            }
            _ => format!("{scheme}: https:"),
        };
        Self::Redirect(Sources(sources))
    }

    fn sources(&self) -> String {
        match self {
            Self::None => "'none'".to_owned(),
            Self::OwnOrigin => "'self'".to_owned(),
            Self::Redirect(Sources(sources)) => format!("'self' {sources}"),
        }
    }
}

/// The policy: nothing but one inline stylesheet and perhaps one script, known by their digests,
/// and the window's icon.
pub(super) fn header(form_target: &FormTarget, style: &str, script: Option<&str>) -> HeaderValue {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    let style = digest(style);
    let script = script.map(|script| format!(" script-src 'sha256-{}';", digest(script)));
    let script = script.unwrap_or_default();
    let form_action = form_target.sources();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}';{script} img-src data:; \
         form-action {form_action}; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_action(redirect_uri: &str) -> String {
        FormTarget::redirect_to(&Url::parse(redirect_uri).unwrap()).sources()
    }

    #[test]
    fn a_form_may_lead_to_the_redirect_uri_of_each_kind() {
        for (redirect_uri, sources) in [
            ("https://claude.ai/api/mcp/auth_callback", "'self' https:"),
            (
                "http://127.0.0.1:33418/callback",
                "'self' http://127.0.0.1:33418 http://127.0.0.1:* http://localhost:* https:",
            ),
            (
                "http://localhost/callback",
                "'self' http://localhost http://127.0.0.1:* http://localhost:* https:",
            ),
            ("http://[::1]:33418/callback", "'self' http: https:"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "'self' cursor: https:"),
            ("com.example.app:/callback", "'self' com.example.app: https:"),
        ] {
            assert_eq!(form_action(redirect_uri), sources);
        }
    }

    #[test]
    fn a_page_without_a_form_sends_none() {
        let policy = header(&FormTarget::None, "a{}", None);
        assert!(policy.to_str().unwrap().contains("form-action 'none'"));
        assert!(policy.to_str().unwrap().contains("style-src 'sha256-"));
    }
}
