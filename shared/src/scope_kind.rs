//! What a scope allows at its worst: what read-only and read-write levels are made of.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    deployment::RawScope,
    problem::Problem,
    scope::{covers, is_wildcard},
};

/// What a scope allows, at its worst; the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    Read,
    Write,
    Delete,
}

impl ScopeKind {
    /// The kind that a scope's name suggests. A wildcard covers scopes that nobody wrote yet.
    fn of(name: &str) -> Self {
        match name.rsplit([':', '.']).next() {
            _ if is_wildcard(name) => Self::Delete,
            Some("read") => Self::Read,
            Some("delete") => Self::Delete,
            _ => Self::Write,
        }
    }

    /// The word for it in the deployment file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

/// The kind of each scope. A wildcard that is said to be milder than what it covers is a problem:
/// a key that may do everything but delete would have it.
pub(crate) fn kinds(
    scopes: &[RawScope],
    place: &str,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, ScopeKind> {
    let kinds = scopes.iter().map(|raw| {
        let kind = raw.kind.unwrap_or_else(|| ScopeKind::of(&raw.name));
        (raw.name.clone(), kind)
    });
    let kinds: BTreeMap<String, ScopeKind> = kinds.collect();
    for (wildcard, kind) in kinds.iter().filter(|(name, _)| is_wildcard(name)) {
        let worse = kinds.iter().find(|(name, other)| *other > kind && covers(wildcard, name));
        if let Some((name, other)) = worse {
            let (kind, other) = (kind.as_str(), other.as_str());
            let what = format!("{wildcard} is of kind {kind} and covers {name}, of kind {other}");
            problems.push(Problem::new(place, what, "leave out the kind of the wildcard"));
        }
    }
    kinds
}
