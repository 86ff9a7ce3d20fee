//! Identifiers: each a type of its own, so that one cannot be passed for another.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a string is not an identifier of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);

/// A client: a content-addressed or random id, or the URL of its metadata document; never of the
/// form of a person's id, so that a client's `sub` never equals a person's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

impl ClientId {
    /// Accepts 1 to 512 visible ASCII characters (RFC 6749 appendix A.1), but for `usr_…`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with("usr_") {
            return Err(InvalidId("usr_ begins a person's id, not a client_id"));
        }
        visible(text, 512).then(|| Self(text.to_owned())).ok_or(InvalidId("not a client_id"))
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person, as `sub` names them: `usr_` and letters, digits, `-`, `_`, so that it never equals
/// a client's `sub`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

impl UserId {
    /// Accepts `usr_` followed by 1 to 64 `[A-Za-z0-9_-]`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let rest = text.strip_prefix("usr_").ok_or(InvalidId("a person's id begins with usr_"))?;
        let fits = (1..=64).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        fits.then(|| Self(text.to_owned())).ok_or(InvalidId("not a person's id"))
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A workspace: 1 to 64 `[A-Za-z0-9_.:-]`; integers are their decimal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceId(String);

impl WorkspaceId {
    /// Accepts 1 to 64 `[A-Za-z0-9_.:-]`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        fits.then(|| Self(text.to_owned()))
            .ok_or(InvalidId("a workspace id is 1 to 64 of A-Z a-z 0-9 _ . : -"))
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A signing key's id: the RFC 7638 thumbprint of its public half.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Accepts 1 to 128 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        visible(text, 128).then(|| Self(text.to_owned())).ok_or(InvalidId("not a key id"))
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token's `jti`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

impl TokenId {
    /// Accepts 1 to 128 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        visible(text, 128).then(|| Self(text.to_owned())).ok_or(InvalidId("not a token id"))
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An API key's id, which is no secret: `key_` and 22 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyId(String);

impl ApiKeyId {
    /// The id of these bytes, which the caller has drawn at random.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("key_{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Accepts `key_` followed by 22 `[A-Za-z0-9_-]`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let fits = text.strip_prefix("key_").is_some_and(|rest| {
            rest.len() == 22
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        });
        fits.then(|| Self(text.to_owned())).ok_or(InvalidId("not an API key's id"))
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A grant's family: every refresh token and code of one sign-in. 16 random bytes, written in
/// base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId([u8; 16]);

impl FamilyId {
    /// A family of these bytes, which the caller has drawn at random.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads the base64url form.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidId("not a family id"))?;
        bytes.try_into().map(Self).map_err(|_| InvalidId("a family id has 16 bytes"))
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyId({self})")
    }
}

impl Serialize for FamilyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FamilyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

fn visible(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

impl TryFrom<String> for ApiKeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ApiKeyId> for String {
    fn from(id: ApiKeyId) -> Self {
        id.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ApiKeyId> for ClientId {
    /// A key stands where a client would: it is what acts for the person.
    fn from(id: ApiKeyId) -> Self {
        Self(id.0)
    }
}

impl TryFrom<String> for ClientId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for UserId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WorkspaceId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<WorkspaceId> for String {
    fn from(id: WorkspaceId) -> Self {
        id.0
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TokenId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
