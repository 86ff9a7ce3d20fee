//! The one `WWW-Authenticate` challenge (RFC 6750 section 3, RFC 9728 section 5.1).

use crate::scope::Scope;

/// A Bearer challenge in parts; [`Challenge::header`] writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    pub realm: Option<String>,
    /// `invalid_token`, `insufficient_scope` …; absent where no credential was sent.
    pub error: Option<&'static str>,
    pub error_description: Option<String>,
    pub scope: Scope,
    pub resource_metadata: Option<String>,
}

impl Challenge {
    /// The header's value: one challenge, every value quoted, ASCII only.
    pub fn header(&self) -> String {
        let mut parts = Vec::new();
        let mut add = |name: &str, value: &str| parts.push(format!("{name}=\"{}\"", quote(value)));
        if let Some(realm) = &self.realm {
            add("realm", realm);
        }
        if let Some(error) = self.error {
            add("error", error);
        }
        if let Some(description) = &self.error_description {
            add("error_description", description);
        }
        if !self.scope.is_empty() {
            add("scope", &self.scope.to_string());
        }
        if let Some(url) = &self.resource_metadata {
            add("resource_metadata", url);
        }
        if parts.is_empty() { "Bearer".to_owned() } else { format!("Bearer {}", parts.join(", ")) }
    }
}

/// Leaves what RFC 6750 section 3 allows inside quotes: printable ASCII without `"` and `\`.
fn quote(value: &str) -> String {
    value.chars().filter(|c| is_quotable(*c)).collect()
}

/// Whether a quoted value may have it: printable ASCII without `"` and `\`.
pub fn is_quotable(c: char) -> bool {
    matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_one_bearer_with_quoted_values() {
        let challenge = Challenge {
            error: Some("invalid_token"),
            error_description: Some("expired \"now\"\r\n".to_owned()),
            resource_metadata: Some("https://a/.well-known/x".to_owned()),
            scope: Scope::parse("b a").unwrap(),
            realm: None,
        };
        assert_eq!(
            challenge.header(),
            "Bearer error=\"invalid_token\", error_description=\"expired now\", scope=\"a b\", \
             resource_metadata=\"https://a/.well-known/x\""
        );
        assert_eq!(Challenge::default().header(), "Bearer");
    }
}
