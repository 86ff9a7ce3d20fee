//! Parameters of the authorization and token endpoints (RFC 6749 sections 3.1 and 3.2): each at
//! most once, but for `resource` (RFC 8707 section 2); empty values count as omitted.

use std::collections::BTreeMap;

use shared::secret::SecretHash;
use url::form_urlencoded;

const MOST_BYTES: usize = 32 * 1024;
const MOST_VALUE: usize = 24 * 1024;

/// Parameters that cannot be read: a repeated one, or one that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidParameters;

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    once: BTreeMap<String, String>,
    resources: Vec<String>,
}

impl Params {
    /// Reads a query or a form body.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidParameters> {
        if text.len() > MOST_BYTES {
            return Err(InvalidParameters);
        }
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            if value.len() > MOST_VALUE || name.len() > 256 {
                return Err(InvalidParameters);
            }
            if value.is_empty() {
                continue;
            }
            if name == "resource" {
                params.resources.push(value.into_owned());
            } else if params.once.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(InvalidParameters);
            }
        }
        if params.resources.len() > 16 {
            return Err(InvalidParameters);
        }
        Ok(params)
    }

    /// The same with a value for a parameter that was not sent.
    pub(crate) fn or(mut self, name: &str, value: String) -> Self {
        self.once.entry(name.to_owned()).or_insert(value);
        self
    }

    /// A parameter, if it was sent with a value.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.once.get(name).map(String::as_str)
    }

    /// A digest of every name and value, which an identical request shares.
    pub(crate) fn digest(&self) -> SecretHash {
        let all = format!("{:?}", (&self.once, &self.resources));
        SecretHash::of(all.as_bytes())
    }

    /// Every `resource`.
    pub(crate) fn resources(&self) -> &[String] {
        &self.resources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resource_may_be_repeated() {
        let params = Params::parse(b"a=1&resource=x&resource=y&b=").unwrap();
        assert_eq!(params.one("a"), Some("1"));
        assert_eq!(params.one("b"), None);
        assert_eq!(params.resources(), ["x", "y"]);
        assert!(Params::parse(b"a=1&a=1").is_err());
        assert!(Params::parse(&vec![b'a'; MOST_BYTES + 1]).is_err());
    }
}
