//! API keys: opaque secrets with a prefix and a check part, so that what is none is refused
//! without asking anybody.

use std::fmt::Write;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{problem::Problem, secret::Secret};

/// What stands after the prefix of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyShape {
    /// 49 letters and digits: 256 random bits and six characters of check.
    #[default]
    Alphanumeric,
    /// 64 digits of hexadecimal: 224 random bits and eight characters of check.
    Hex,
}

/// A `[resource.api_keys]` table as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawApiKeys {
    /// What every key begins with, such as `sk_live_`.
    pub prefix: String,
    #[serde(default)]
    pub shape: ApiKeyShape,
    /// The headers that may carry a key; `authorization` means `Authorization: Bearer`.
    #[serde(default = "headers")]
    pub headers: Vec<String>,
}

/// A resource's API keys: what they look like and where they travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeys {
    /// Whether `Authorization: Bearer` may carry one.
    pub authorization: bool,
    pub format: ApiKeyFormat,
    /// Further headers that carry a key alone, in lower case.
    pub headers: Vec<String>,
}

/// What keys look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyFormat {
    prefix: String,
    shape: ApiKeyShape,
}

impl ApiKeys {
    /// Checks the table at `place`.
    pub(crate) fn resolve(raw: RawApiKeys, place: &str, problems: &mut Vec<Problem>) -> Self {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = (3..=32).contains(&raw.prefix.len()) && raw.prefix.bytes().all(is_word);
        // Every JWT begins so.
        if !fits || raw.prefix.starts_with("ey") {
            let what = "is not 3 to 32 of A-Z a-z 0-9 _ -, or begins like a JWT";
            problems.push(Problem::new(format!("{place}.prefix"), what, "write one like sk_live_"));
        }
        let headers: Vec<String> = raw.headers.iter().map(|name| name.to_lowercase()).collect();
        for name in &headers {
            let is_name = !name.is_empty() && name.bytes().all(is_word);
            let is_taken = TAKEN.contains(&name.as_str())
                || ["content-", "mcp-", "proxy-", "sec-"].iter().any(|part| name.starts_with(part));
            if !is_name || is_taken {
                let what = format!("names {name:?}, which cannot carry a key");
                let remedy = "write authorization, x-api-key, or a header of your own";
                problems.push(Problem::new(format!("{place}.headers"), what, remedy));
            }
        }
        if headers.is_empty() {
            let remedy = "write [\"authorization\"]";
            problems.push(Problem::new(format!("{place}.headers"), "is empty", remedy));
        }
        let own = headers.iter().filter(|name| *name != AUTHORIZATION);
        Self {
            authorization: headers.iter().any(|name| name == AUTHORIZATION),
            headers: own.cloned().collect(),
            format: ApiKeyFormat { prefix: raw.prefix, shape: raw.shape },
        }
    }
}

impl ApiKeyFormat {
    /// Whether the text is meant to be a key: it begins like one, and no JWT is without full
    /// stops.
    pub fn is_meant(&self, text: &str) -> bool {
        text.starts_with(&self.prefix) && !text.contains('.')
    }

    /// Whether the text is a whole key by its shape and its check part. It may still be unknown.
    pub fn is_whole(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&self.prefix) else { return false };
        let fits = match self.shape {
            ApiKeyShape::Alphanumeric => {
                rest.len() == DIGITS + CHECK_DIGITS
                    && rest.bytes().all(|b| b.is_ascii_alphanumeric())
            }
            ApiKeyShape::Hex => {
                rest.len() == 64 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
        };
        let body = match self.shape {
            ApiKeyShape::Alphanumeric => rest.get(..DIGITS),
            ApiKeyShape::Hex => rest.get(..HEX_BYTES * 2),
        };
        fits && body.is_some_and(|body| rest.get(body.len()..) == Some(self.check(body).as_str()))
    }

    /// The key of these bytes, which the caller has drawn at random.
    pub fn write(&self, random: &[u8; 32]) -> Secret {
        let body = match self.shape {
            ApiKeyShape::Alphanumeric => base62(random, DIGITS),
            ApiKeyShape::Hex => hex(random.get(..HEX_BYTES).unwrap_or(random)),
        };
        let check = self.check(&body);
        Secret::new(format!("{}{body}{check}", self.prefix))
    }

    /// What a person may see of a key later: its beginning.
    pub fn hint(&self, key: &Secret) -> String {
        let shown = self.prefix.len() + 4;
        key.expose().get(..shown).unwrap_or(&self.prefix).to_owned()
    }

    fn check(&self, body: &str) -> String {
        let digest = Sha256::new().chain_update(&self.prefix).chain_update(body).finalize();
        let digest = digest.get(..4).unwrap_or_default();
        match self.shape {
            ApiKeyShape::Alphanumeric => base62(digest, CHECK_DIGITS),
            ApiKeyShape::Hex => hex(digest),
        }
    }
}

const AUTHORIZATION: &str = "authorization";
/// Headers that mean something else.
const TAKEN: [&str; 10] = [
    "accept",
    "connection",
    "cookie",
    "forwarded",
    "host",
    "last-event-id",
    "origin",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// 256 bits in base 62.
const DIGITS: usize = 43;
/// 32 bits in base 62.
const CHECK_DIGITS: usize = 6;
const HEX_BYTES: usize = 28;

/// A number in base 62, the largest digit first.
fn base62(bytes: &[u8], digits: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = bytes.to_vec();
    let mut reversed = Vec::with_capacity(digits);
    for _ in 0..digits {
        let mut rest = 0_usize;
        for byte in &mut number {
            let value = rest * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or_default();
            rest = value % 62;
        }
        reversed.extend(LETTERS.get(rest).map(|letter| char::from(*letter)));
    }
    reversed.into_iter().rev().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn headers() -> Vec<String> {
    vec![AUTHORIZATION.to_owned(), "x-api-key".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(shape: ApiKeyShape) -> ApiKeyFormat {
        ApiKeyFormat { prefix: "sk_live_".to_owned(), shape }
    }

    #[test]
    fn a_key_has_its_prefix_its_shape_and_its_check() {
        for (shape, length) in [(ApiKeyShape::Alphanumeric, 49), (ApiKeyShape::Hex, 64)] {
            let format = format(shape);
            for random in [[0; 32], [255; 32], [7; 32]] {
                let key = format.write(&random);
                let text = key.expose();
                assert_eq!(text.len(), "sk_live_".len() + length);
                assert!(format.is_meant(text) && format.is_whole(text), "{text}");
                assert!(text.starts_with(&format.hint(&key)));
            }
        }
    }

    #[test]
    fn a_key_with_one_character_wrong_is_none() {
        for shape in [ApiKeyShape::Alphanumeric, ApiKeyShape::Hex] {
            let format = format(shape);
            let key = format.write(&[7; 32]).expose().to_owned();
            for at in 8..key.len() {
                let mut bytes = key.clone().into_bytes();
                bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
                let wrong = String::from_utf8(bytes).unwrap();
                assert!(!format.is_whole(&wrong), "{wrong}");
            }
            for wrong in [&key[..key.len() - 1], &format!("{key}a"), "sk_live_", "", "é"] {
                assert!(!format.is_whole(wrong), "{wrong}");
            }
        }
    }

    #[test]
    fn the_check_belongs_to_the_prefix() {
        let key = format(ApiKeyShape::Hex).write(&[7; 32]).expose().replace("live", "test");
        let other = ApiKeyFormat { prefix: "sk_test_".to_owned(), shape: ApiKeyShape::Hex };
        assert!(!other.is_whole(&key));
    }

    #[test]
    fn a_token_with_the_same_beginning_is_not_meant_to_be_a_key() {
        assert!(!format(ApiKeyShape::Hex).is_meant("sk_live_a.b.c"));
    }

    #[test]
    fn a_header_that_means_something_else_cannot_carry_keys() {
        for (prefix, headers, wrong) in [
            ("sk_live_", vec!["authorization", "X-Api-Key"], 0),
            ("sk.live", vec!["authorization"], 1),
            ("eyJ", vec!["authorization"], 1),
            ("sk_live_", vec!["cookie"], 1),
            ("sk_live_", vec!["mcp-session-id"], 1),
            ("sk_live_", vec![], 1),
        ] {
            let raw = RawApiKeys {
                prefix: prefix.to_owned(),
                shape: ApiKeyShape::default(),
                headers: headers.iter().map(|&name| name.to_owned()).collect(),
            };
            let mut problems = Vec::new();
            let keys = ApiKeys::resolve(raw, "resource[0].api_keys", &mut problems);
            assert_eq!(problems.len(), wrong, "{prefix} {headers:?}");
            assert!(wrong > 0 || keys.headers == ["x-api-key"]);
        }
    }
}
