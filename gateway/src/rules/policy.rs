//! Which scopes a tool, prompt or resource needs: the first rule whose pattern matches its name
//! decides, and what no rule matches is not offered.

use shared::scope::Scope;

use crate::rules::{listing::Hints, scopes::Requirement};

/// A name pattern: literal text with at most one hole, written `*` or `{word}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What stands before the hole, or the whole name.
    before: String,
    hole: Option<Hole>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hole {
    after: String,
    /// The word that rules may repeat; empty for `*`.
    word: String,
}

/// A pattern that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPattern {
    #[error("has a brace without its partner")]
    Brace,
    #[error("has more than one * or {{word}}")]
    Holes,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What the tools are said to do, at the least.
    pub(crate) hints: Hints,
    pub(crate) need: Need,
    pub(crate) patterns: Vec<Pattern>,
}

/// What a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Any valid token.
    Nothing,
    /// All of these scopes, and one of those, where there are any; each may repeat the pattern's
    /// `{word}`.
    Scopes { all: Vec<String>, any: Vec<String> },
    /// Nothing is said: another rule decides.
    Unsaid,
}

/// Rules in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy(pub(crate) Vec<Rule>);

/// The policies of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policies {
    pub(crate) prompts: Policy,
    pub(crate) resources: Policy,
    pub(crate) tools: Policy,
}

impl Policy {
    /// What `name` needs, or `None` if no rule speaks of it.
    pub(crate) fn required(&self, name: &str) -> Option<Requirement> {
        let mut said = self.0.iter().filter(|rule| rule.need != Need::Unsaid);
        let (need, (pattern, part)) =
            said.find_map(|rule| Some((&rule.need, rule.matched(name)?)))?;
        let Need::Scopes { all, any } = need else { return Some(Requirement::default()) };
        let fill = |templates: &[String]| -> Vec<String> {
            templates.iter().map(|text| pattern.fill(text, part)).collect()
        };
        let (all, any) = (fill(all), fill(any));
        // A name that makes no scope is offered to nobody, whatever a later rule says.
        let tokens = |filled: &[String]| Scope::from_tokens(filled.iter().map(String::as_str)).ok();
        tokens(&any)?;
        Some(Requirement { all: tokens(&all)?, any })
    }

    /// What a tool of that name is said to do: for each hint, by the first rule that matches and
    /// says something.
    pub(crate) fn hints(&self, name: &str) -> Hints {
        let rules = self.0.iter().filter(|rule| rule.matched(name).is_some());
        rules.fold(Hints::default(), |hints, rule| hints.or(rule.hints))
    }
}

impl Policy {
    /// For each rule that could speak of some name beginning with `start`, what such a name needs
    /// whatever the rest is.
    pub(crate) fn reaching(&self, start: &str) -> impl Iterator<Item = Requirement> {
        let reaches = move |pattern: &Pattern| {
            let before = pattern.before.as_str();
            let is_open = pattern.hole.is_some() || before.len() >= start.len();
            is_open && (before.starts_with(start) || start.starts_with(before))
        };
        let said = self.0.iter().filter(|rule| rule.need != Need::Unsaid);
        let rules = said.filter(move |rule| rule.patterns.iter().any(reaches));
        rules.map(|rule| {
            let Need::Scopes { all, any } = &rule.need else { return Requirement::default() };
            let is_fixed = |text: &&String| !text.contains('{');
            let all = all.iter().filter(is_fixed).map(String::as_str);
            let all = Scope::from_tokens(all).unwrap_or_default();
            // One that depends on the rest might be the one that suffices.
            let any = if any.iter().all(|text| is_fixed(&text)) { any.clone() } else { Vec::new() };
            Requirement { all, any }
        })
    }
}

impl Rule {
    /// The first pattern that matches, with what stands in its hole.
    fn matched<'n>(&self, name: &'n str) -> Option<(&Pattern, &'n str)> {
        self.patterns.iter().find_map(|pattern| Some((pattern, pattern.matched(name)?)))
    }
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let Some(start) = text.find(['*', '{']) else {
            if text.contains('}') {
                return Err(InvalidPattern::Brace);
            }
            return Ok(Self { before: text.to_owned(), hole: None });
        };
        let (before, rest) = text.split_at(start);
        let (word, after) = match rest.strip_prefix('*') {
            Some(after) => ("", after),
            None => rest
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .ok_or(InvalidPattern::Brace)?,
        };
        if before.contains('}') || word.contains(['{', '*']) {
            return Err(InvalidPattern::Brace);
        }
        if after.contains(['*', '{', '}']) {
            return Err(InvalidPattern::Holes);
        }
        let hole = Hole { after: after.to_owned(), word: word.to_owned() };
        Ok(Self { before: before.to_owned(), hole: Some(hole) })
    }

    /// A pattern of this one name, whatever characters it has.
    pub(crate) fn literal(name: &str) -> Self {
        Self { before: name.to_owned(), hole: None }
    }

    /// Whether a template's `{word}` is the one this pattern takes.
    pub(crate) fn provides(&self, template: &str) -> bool {
        match &self.hole {
            Some(hole) if !hole.word.is_empty() => {
                !template.replace(&format!("{{{}}}", hole.word), "").contains(['{', '}'])
            }
            _ => !template.contains(['{', '}']),
        }
    }

    /// Whether the name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.matched(name).is_some()
    }

    /// The part of the name that stands in the hole, if the name matches.
    fn matched<'n>(&self, name: &'n str) -> Option<&'n str> {
        let rest = name.strip_prefix(self.before.as_str())?;
        match &self.hole {
            Some(hole) => rest.strip_suffix(hole.after.as_str()),
            None => rest.is_empty().then_some(""),
        }
    }

    fn fill(&self, template: &str, part: &str) -> String {
        match &self.hole {
            Some(hole) if !hole.word.is_empty() => {
                template.replace(&format!("{{{}}}", hole.word), part)
            }
            _ => template.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(patterns: &[&str], scopes: &[&str]) -> Rule {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        Rule {
            hints: Hints::default(),
            need: Need::Scopes { all: scopes, any: Vec::new() },
            patterns: patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = Policy(vec![
            Rule {
                hints: Hints::default(),
                need: Need::Nothing,
                patterns: vec![Pattern::parse("whoami").unwrap()],
            },
            rule(&["list_{module}", "search_{module}"], &["{module}:read"]),
            rule(&["get_company"], &["companies:read"]),
            rule(&["*_all"], &["admin", "danger"]),
        ]);
        for (name, expected) in [
            ("whoami", Some("")),
            ("list_contacts", Some("contacts:read")),
            ("search_deals", Some("deals:read")),
            ("get_company", Some("companies:read")),
            ("get_companys", None),
            ("drop_all", Some("admin danger")),
            ("list_all", Some("all:read")),
            ("unlisted", None),
        ] {
            let required = policy.required(name).map(|needed| needed.all.to_string());
            assert_eq!(required.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_rule_that_only_hints_leaves_the_scopes_to_the_next() {
        let hints = Hints { destructive: Some(true), ..Hints::default() };
        let mut hinting = rule(&["list_deals"], &[]);
        (hinting.hints, hinting.need) = (hints, Need::Unsaid);
        let policy = Policy(vec![hinting, rule(&["list_{module}"], &["{module}:read"])]);
        assert_eq!(policy.required("list_deals").unwrap().all.to_string(), "deals:read");
        assert_eq!(policy.hints("list_deals"), hints);
        assert_eq!(policy.reaching("list_deals").count(), 1);
    }

    #[test]
    fn rules_that_could_speak_of_a_beginning_are_found() {
        let policy = Policy(vec![
            rule(&["crm://contacts/*"], &["contacts:read"]),
            rule(&["crm://all"], &["admin"]),
            rule(&["file://{name}"], &["{name}:read", "files"]),
        ]);
        let reaching = |start: &str| {
            policy.reaching(start).map(|needed| needed.all.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(reaching("crm://"), ["contacts:read", "admin"]);
        assert_eq!(reaching("crm://contacts/7/"), ["contacts:read"]);
        assert_eq!(reaching("crm://deals/"), [""; 0]);
        assert_eq!(reaching("file://"), ["files"]);
    }

    #[test]
    fn a_part_that_makes_no_scope_token_leaves_the_tool_unmatched() {
        let policy = Policy(vec![rule(&["x{part}"], &["{part}:read"])]);
        assert_eq!(policy.required("x\"q"), None);
        let open = rule(&["*"], &["low"]);
        let policy = Policy(vec![policy.0[0].clone(), open]);
        assert_eq!(policy.required("x\"q"), None, "no later rule decides it");
    }

    #[test]
    fn broken_patterns_and_templates_are_told_apart() {
        assert_eq!(Pattern::parse("a{b"), Err(InvalidPattern::Brace));
        assert_eq!(Pattern::parse("a}"), Err(InvalidPattern::Brace));
        assert_eq!(Pattern::parse("*_*"), Err(InvalidPattern::Holes));
        assert!(Pattern::parse("list_{module}").unwrap().provides("{module}:read"));
        assert!(!Pattern::parse("list_*").unwrap().provides("{module}:read"));
        assert!(!Pattern::parse("list_{a}").unwrap().provides("{b}:read"));
    }
}
