//! Scopes (RFC 6749 section 3.3): a set of tokens that can be narrowed but not widened.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// A scope token or list that RFC 6749 section 3.3 does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope token may hold only visible ASCII without the quotation mark and the backslash")]
pub struct InvalidScope;

/// A set of scope tokens, possibly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(BTreeSet<String>);

impl Scope {
    /// Reads a space-separated list; repeated tokens count once.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        Self::from_tokens(text.split(' ').filter(|token| !token.is_empty()))
    }

    /// Makes a set of the given tokens.
    pub fn from_tokens<'a>(
        tokens: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidScope> {
        tokens
            .into_iter()
            .map(|token| is_token(token).then(|| token.to_owned()).ok_or(InvalidScope))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The tokens, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the token is in the set.
    pub fn contains(&self, token: &str) -> bool {
        self.0.contains(token)
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What both sets hold.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// What either set holds: for challenges, never for grants.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// What this set holds and the other does not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// Whether every token of `other` is held here too.
    pub fn includes(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, token) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScope;

    fn try_from(text: String) -> Result<Self, InvalidScope> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// Whether a scope is `*` or ends in `:*`: it stands for others, later ones too.
pub fn is_wildcard(name: &str) -> bool {
    name == "*" || name.ends_with(":*")
}

/// Whether a scope is a wildcard that stands for another.
pub fn covers(wildcard: &str, name: &str) -> bool {
    let domain = wildcard.strip_suffix('*').filter(|_| is_wildcard(wildcard));
    domain.is_some_and(|domain| name.starts_with(domain))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_set_in_order() {
        let scope = Scope::parse("b  a b").unwrap();
        assert_eq!(scope.to_string(), "a b");
        assert_eq!(scope.len(), 2);
    }

    #[test]
    fn a_wildcard_covers_what_begins_with_its_domain() {
        for (wildcard, name, expected) in [
            ("*", "contacts:read", true),
            ("contacts:*", "contacts:read", true),
            ("contacts:*", "contacts:notes:read", true),
            ("contacts:*", "contactsx:read", false),
            ("contacts:*", "contacts", false),
            ("contacts*", "contacts:read", false),
            ("contacts:read", "contacts:read", false),
        ] {
            assert_eq!(covers(wildcard, name), expected, "{wildcard} {name}");
        }
    }

    #[test]
    fn quotes_backslashes_and_controls_are_refused() {
        for bad in ["a\"b", "a\\b", "a\tb", "caf\u{e9}"] {
            assert_eq!(Scope::parse(bad), Err(InvalidScope), "{bad:?}");
        }
    }
}
