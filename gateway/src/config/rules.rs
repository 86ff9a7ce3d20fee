//! The rules of a backend's tools, prompts and resources, checked.

use shared::{problem::Problem, scope::Scope};

use super::{RawBackend, RawRule};
use crate::rules::policy::{Need, Pattern, Policies, Policy, Rule};

/// The backend's policies; what is wrong with them is added to `problems`.
pub(super) fn policies(raw: &RawBackend, at: usize, problems: &mut Vec<Problem>) -> Policies {
    let mut policy = |kind: &str, rules: &[RawRule]| {
        let checked = rules.iter().enumerate().filter_map(|(number, rule)| {
            let place = format!("backend[{at}].{kind}[{number}]");
            check(rule, &place).map_err(|problem| problems.push(problem)).ok()
        });
        Policy(checked.collect())
    };
    Policies {
        prompts: policy("prompt", &raw.prompt),
        resources: policy("resource", &raw.resource),
        tools: policy("tool", &raw.tool),
    }
}

fn check(raw: &RawRule, place: &str) -> Result<Rule, Problem> {
    let problem = |key: &str, what: String, remedy: &str| {
        Problem::new(format!("{place}.{key}"), what, remedy)
    };
    let mut patterns = Vec::new();
    for text in raw.patterns.iter() {
        let pattern = Pattern::parse(text).map_err(|error| {
            problem("match", format!("{text} {error}"), "write a name with one * or {word}")
        })?;
        if let Some(scope) = raw.scopes.iter().find(|scope| !pattern.provides(scope)) {
            let what = format!("{scope} repeats a word that {text} does not take");
            return Err(problem("scopes", what, "use the word of the pattern"));
        }
        patterns.push(pattern);
    }
    if raw.always_allowed != raw.scopes.is_empty() {
        let what = "are given together with always_allowed, or neither is given".to_owned();
        return Err(problem("scopes", what, "list scopes, or write always_allowed = true"));
    }
    let literal = raw.scopes.iter().filter(|scope| !scope.contains('{'));
    if Scope::from_tokens(literal.map(String::as_str)).is_err() {
        return Err(problem("scopes", "hold no scope token".to_owned(), "see RFC 6749"));
    }
    let need = if raw.always_allowed { Need::Nothing } else { Need::Scopes(raw.scopes.clone()) };
    Ok(Rule { need, patterns })
}
