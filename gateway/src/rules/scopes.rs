//! Whether a caller's scopes suffice: what a rule asks for, what one scope brings with it, and
//! the wildcards `*` and `domain:*`.
//!
//! Invariant: more scopes never reach less.

use std::{borrow::Cow, collections::BTreeMap};

use shared::scope::{Scope, is_wildcard};

/// What a rule asks for, of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// Every one of these,
    pub(crate) all: Scope,
    /// and one of these, the one to ask for first; empty: none.
    pub(crate) any: Vec<String>,
}

impl Requirement {
    /// Whether any valid token will do.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_empty()
    }

    /// The scopes it names.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.all.iter().chain(self.any.iter().map(String::as_str))
    }

    /// What a caller who lacks some of it should ask for.
    pub(crate) fn to_ask(&self, granted: &Granted<'_>) -> Scope {
        let one = self.any.first().filter(|_| !granted.has_any(&self.any));
        let one = Scope::from_tokens(one.map(String::as_str)).unwrap_or_default();
        self.all.union(&one)
    }
}

/// Which scopes bring others with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Implications(BTreeMap<String, Scope>);

impl Implications {
    /// Each scope with those it brings.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (String, Scope)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// The scopes of a caller, with all that they bring.
#[derive(Clone, Debug)]
pub(crate) struct Granted<'s> {
    has_wildcards: bool,
    scope: Cow<'s, Scope>,
}

impl<'s> Granted<'s> {
    /// What a scope reaches.
    pub(crate) fn of(scope: &'s Scope, implications: &Implications) -> Self {
        let mut granted = Self { has_wildcards: has_wildcards(scope), scope: Cow::Borrowed(scope) };
        // Each round adds a scope or is the last.
        loop {
            let brought = implications
                .0
                .iter()
                .find(|(name, brought)| granted.has(name) && !granted.scope.includes(brought));
            let Some((_, brought)) = brought else { return granted };
            granted.scope = Cow::Owned(granted.scope.union(brought));
            granted.has_wildcards = has_wildcards(&granted.scope);
        }
    }

    /// Whether it reaches one scope.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.scope.contains(name) || (self.has_wildcards && self.has_by_wildcard(name))
    }

    /// Whether it reaches all that a rule asks for.
    pub(crate) fn meets(&self, requirement: &Requirement) -> bool {
        (self.scope.includes(&requirement.all) || requirement.all.iter().all(|one| self.has(one)))
            && (requirement.any.is_empty() || self.has_any(&requirement.any))
    }

    fn has_any(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    fn has_by_wildcard(&self, name: &str) -> bool {
        let domains = name.match_indices(':').filter_map(|(at, _)| name.get(..=at));
        self.scope.contains("*")
            || domains.into_iter().any(|domain| self.scope.contains(&format!("{domain}*")))
    }
}

fn has_wildcards(scope: &Scope) -> bool {
    scope.iter().any(is_wildcard)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    fn requirement(all: &str, any: &[&str]) -> Requirement {
        Requirement { all: scope(all), any: any.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn all_of_one_of_implied_and_wildcard_scopes_suffice() {
        let implications = Implications::new([
            ("a:write".to_owned(), scope("a:read")),
            ("a:read".to_owned(), scope("index")),
            ("admin".to_owned(), scope("b:*")),
        ]);
        for (granted, all, any, expected) in [
            ("", "", &[][..], true),
            ("a:read", "a:read", &[], true),
            ("a:read", "a:read b:read", &[], false),
            ("a:write", "a:read index", &[], true),
            ("a:read", "a:write", &[], false),
            ("b:read", "", &["a:read", "b:read"], true),
            ("c:read", "", &["a:read", "b:read"], false),
            ("b:read", "c:read", &["b:read"], false),
            ("*", "a:read anything", &["else"], true),
            ("a:*", "a:read a:b:c", &[], true),
            ("a:*", "ab:read", &[], false),
            ("a:*", "a", &[], false),
            ("a:*", "index", &[], true),
            ("a:b:*", "a:b:c", &[], true),
            ("a:b:*", "a:c", &[], false),
            ("admin", "b:delete", &[], true),
        ] {
            let held = scope(granted);
            let met = Granted::of(&held, &implications).meets(&requirement(all, any));
            assert_eq!(met, expected, "{granted} for {all} and one of {any:?}");
        }
    }

    #[test]
    fn what_to_ask_for_is_all_and_the_first_of_several() {
        let none = Implications::default();
        let needed = requirement("a", &["b", "c"]);
        let (nothing, other) = (Scope::default(), scope("c"));
        assert_eq!(needed.to_ask(&Granted::of(&nothing, &none)).to_string(), "a b");
        assert_eq!(needed.to_ask(&Granted::of(&other, &none)).to_string(), "a");
    }

    proptest! {
        #[test]
        fn more_scopes_never_reach_less(
            held in prop::collection::vec("[ab](:[rw*])?|\\*", 0..4),
            more in prop::collection::vec("[ab](:[rw*])?|\\*", 0..3),
            all in prop::collection::vec("[ab](:[rw])?", 0..3),
            any in prop::collection::vec("[ab](:[rw])?", 0..3),
            implied in prop::collection::vec(("[ab](:[rw])?", "[ab](:[rw*])?"), 0..4),
        ) {
            let one = |names: &[String]| Scope::from_tokens(names.iter().map(String::as_str)).unwrap();
            let implications =
                Implications::new(implied.into_iter().map(|(from, to)| (from, one(&[to]))));
            let (less, added) = (one(&held), one(&more));
            let both = less.union(&added);
            let needed = Requirement { all: one(&all), any };
            let before = Granted::of(&less, &implications).meets(&needed);
            let after = Granted::of(&both, &implications).meets(&needed);
            prop_assert!(after || !before, "{} and then {}", less, both);
        }
    }
}
