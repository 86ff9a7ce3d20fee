//! Fewer tools by the address: `/mcp?toolset=read`, `?tools=a,b`, `?read_only=true`.
//!
//! Invariant: an address never shows or permits what the same caller would not have without it.

use std::collections::{BTreeMap, BTreeSet};

use url::form_urlencoded;

use crate::rules::{policy::Pattern, violation::RpcViolation};

/// How many names an address may list.
const MOST_NAMES: usize = 200;

/// The toolsets of a resource, by name.
pub(crate) type Toolsets = BTreeMap<String, Vec<Pattern>>;

/// Which tools an address asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrowing {
    read_only: bool,
    /// The toolsets asked for, with what they hold.
    sets: Option<Toolsets>,
    tools: Option<BTreeSet<String>>,
}

impl Narrowing {
    /// Reads the query of an address; `None` where it asks for everything. What is not about tools
    /// is somebody else's.
    pub(crate) fn of(
        query: Option<&str>,
        toolsets: &Toolsets,
    ) -> Result<Option<Self>, RpcViolation> {
        let mut narrowing = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let kind = match name.as_ref() {
                "toolset" | "toolsets" => "toolsets",
                "tools" => "tools",
                "read_only" => "read_only",
                _ => continue,
            };
            if !seen.insert(kind) {
                return Err(RpcViolation::Narrowing("names the same thing twice"));
            }
            match kind {
                "read_only" => narrowing.read_only = flag(&value)?,
                "tools" => narrowing.tools = Some(names(&value)?),
                _ => narrowing.sets = Some(sets(names(&value)?, toolsets)?),
            }
        }
        Ok((narrowing != Self::default()).then_some(narrowing))
    }

    /// Whether a tool with this name here remains.
    pub(crate) fn admits(&self, name: &str, read_only: bool) -> bool {
        let is_in_sets =
            |sets: &Toolsets| sets.values().flatten().any(|pattern| pattern.matches(name));
        (read_only || !self.read_only)
            && self.tools.as_ref().is_none_or(|tools| tools.contains(name))
            && self.sets.as_ref().is_none_or(is_in_sets)
    }

    /// A text that tells this one from every other.
    pub(crate) fn key(&self) -> String {
        let sets = self.sets.as_ref().map(|sets| sets.keys().collect::<Vec<_>>());
        format!("{:?} {:?} {:?}", self.read_only, sets, self.tools)
    }
}

fn flag(value: &str) -> Result<bool, RpcViolation> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(RpcViolation::Narrowing("says neither true nor false for read_only")),
    }
}

fn names(value: &str) -> Result<BTreeSet<String>, RpcViolation> {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: BTreeSet<String> = names.take(MOST_NAMES + 1).map(str::to_owned).collect();
    if names.len() > MOST_NAMES {
        return Err(RpcViolation::Narrowing("lists more names than are read"));
    }
    Ok(names)
}

fn sets(asked: BTreeSet<String>, toolsets: &Toolsets) -> Result<Toolsets, RpcViolation> {
    let found = asked.into_iter().map(|name| {
        let patterns = toolsets.get(&name).cloned();
        let unknown = RpcViolation::Narrowing("names a toolset that this resource does not have");
        patterns.map(|patterns| (name, patterns)).ok_or(unknown)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn toolsets() -> Toolsets {
        let patterns = |texts: &[&str]| -> Vec<Pattern> {
            texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
        };
        [("read", &["get_*", "list_*"][..]), ("notes", &["set_notes"])]
            .map(|(name, texts)| (name.to_owned(), patterns(texts)))
            .into()
    }

    fn left(query: &str) -> Vec<&'static str> {
        const TOOLS: [(&str, bool); 4] =
            [("get_a", true), ("list_a", true), ("set_notes", false), ("drop_a", false)];
        let narrowing = Narrowing::of(Some(query), &toolsets()).unwrap();
        let admits = |name, reads| narrowing.as_ref().is_none_or(|one| one.admits(name, reads));
        TOOLS
            .into_iter()
            .filter(|&(name, reads)| admits(name, reads))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn each_parameter_leaves_fewer_tools() {
        for (query, expected) in [
            ("", &["get_a", "list_a", "set_notes", "drop_a"][..]),
            ("utm=x&read_only=false", &["get_a", "list_a", "set_notes", "drop_a"]),
            ("toolset=read", &["get_a", "list_a"]),
            ("toolsets=read,notes", &["get_a", "list_a", "set_notes"]),
            ("toolsets=", &[]),
            ("tools=drop_a,%20get_a,gone", &["get_a", "drop_a"]),
            ("tools=drop_a&toolset=read", &[]),
            ("read_only=true", &["get_a", "list_a"]),
            ("toolsets=notes&read_only=true", &[]),
        ] {
            assert_eq!(left(query), expected, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let many =
            format!("tools={}", (0..300).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        for query in
            ["toolset=gone", "toolset=read&toolsets=read", "tools=a&tools=b", "read_only=1", &many]
        {
            let outcome = Narrowing::of(Some(query), &toolsets());
            assert!(matches!(outcome, Err(RpcViolation::Narrowing(_))), "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_further_parameter_never_adds_a_tool(
            sets in prop::option::of("(read|notes)(,(read|notes))?"),
            tools in prop::option::of("(get_a|drop_a|x)(,(list_a|set_notes))?"),
            read_only in prop::option::of("true|false"),
            drop in 0_usize..3,
        ) {
            let given = [("toolsets", sets), ("tools", tools), ("read_only", read_only)];
            let query = |skip: Option<usize>| {
                let kept = given.iter().enumerate().filter(|(at, _)| Some(*at) != skip);
                let kept = kept.filter_map(|(_, (name, value))| Some(format!("{name}={}", value.as_ref()?)));
                kept.collect::<Vec<_>>().join("&")
            };
            let (more, fewer) = (left(&query(Some(drop))), left(&query(None)));
            prop_assert!(fewer.iter().all(|tool| more.contains(tool)), "{fewer:?} {more:?}");
        }
    }
}
