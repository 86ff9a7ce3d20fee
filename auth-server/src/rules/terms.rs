//! What a grant allows, apart from who gave it to whom: many grants have the same terms, so they
//! are kept once, under their own digest, and a refresh token names them.
//!
//! Whatever a refresh may ask for (RFC 6749 section 6, RFC 8707 section 2.2) is therefore decided
//! before the store is asked for the grant itself.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{resource::ResourceIndicator, scope::Scope};

/// The scopes of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The scopes that belong to no resource: of OpenID Connect, and `offline_access`.
    pub(crate) identity: Scope,
    /// What may be done at each resource; none is empty.
    pub(crate) scopes: BTreeMap<ResourceIndicator, Scope>,
}

/// The digest of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TermsId(pub(crate) [u8; 12]);

impl Terms {
    /// The digest of their one written form.
    pub(crate) fn id(&self) -> TermsId {
        let written = serde_json::to_vec(self).unwrap_or_default();
        let digest = Sha256::digest(written);
        let mut id = [0; 12];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        TermsId(id)
    }

    /// Every scope of every resource, for people and logs; never for a token.
    pub(crate) fn all_scopes(&self) -> Scope {
        self.scopes.values().fold(self.identity.clone(), |all, scope| all.union(scope))
    }

    /// The resources they are for.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &ResourceIndicator> {
        self.scopes.keys()
    }
}

impl fmt::Display for TermsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_differ_in_their_digest_when_they_differ_at_all() {
        let one = ResourceIndicator::parse("https://one.example/mcp").unwrap();
        let two = ResourceIndicator::parse("https://two.example/mcp").unwrap();
        let terms = |identity: &str, scopes: &[(&ResourceIndicator, &str)]| Terms {
            identity: Scope::parse(identity).unwrap(),
            scopes: scopes
                .iter()
                .map(|(name, scope)| ((*name).clone(), Scope::parse(scope).unwrap()))
                .collect(),
        };
        let plain = terms("", &[(&one, "a b")]);
        assert_eq!(plain.id(), terms("", &[(&one, "b a")]).id());
        for other in [
            terms("", &[(&one, "a")]),
            terms("", &[(&two, "a b")]),
            terms("a", &[(&one, "a b")]),
            terms("", &[(&one, "a"), (&two, "b")]),
        ] {
            assert_ne!(plain.id(), other.id());
        }
    }
}
