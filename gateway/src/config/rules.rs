//! The rules of a backend's tools, prompts and resources, and what a resource says of its scopes,
//! checked.

use shared::{deployment::Resource, problem::Problem, scope::Scope};

use super::{RawBackend, RawClass, RawRoute, RawRule};
use crate::rules::{
    listing::Hints,
    policy::{Need, Pattern, Policies, Policy, Rule},
    scopes::Implications,
};

/// The backend's policies; what is wrong with them is added to `problems`.
pub(super) fn policies(raw: &RawBackend, at: usize, problems: &mut Vec<Problem>) -> Policies {
    let mut policy = |kind: &str, rules: &[RawRule]| {
        let checked = rules.iter().enumerate().filter_map(|(number, rule)| {
            let place = format!("backend[{at}].{kind}[{number}]");
            check(rule, &place).map_err(|problem| problems.push(problem)).ok()
        });
        Policy(checked.collect())
    };
    let prompts = policy("prompt", &raw.prompt);
    let resources = policy("resource", &raw.resource);
    let mut tools = policy("tool", &raw.tool);
    for (number, class) in raw.class.iter().enumerate() {
        let place = format!("backend[{at}].class[{number}]");
        match check(&of_class(class, &raw.scope_template), &place) {
            Ok(rule) => tools.0.push(rule),
            Err(problem) => problems.push(problem),
        }
    }
    Policies { prompts, resources, tools }
}

/// What a route says of its resource's scopes and tools.
pub(super) fn resource_scopes(
    raw: &RawRoute,
    resource: &Resource,
    at: usize,
    problems: &mut Vec<Problem>,
) -> (Implications, Vec<Pattern>) {
    let all = resource.all_scopes();
    let mut implies = Vec::new();
    for (name, brought) in &raw.implies {
        let scope = Scope::from_tokens(brought.iter().map(String::as_str)).unwrap_or_default();
        if !all.contains(name) || scope.len() != brought.len() || !all.includes(&scope) {
            let place = format!("gateway.route[{at}].implies");
            let what = format!("{name} or what it brings is no scope of the resource");
            problems.push(Problem::new(place, what, "list names from [[resource.scope]]"));
        } else if let Some(worse) =
            scope.iter().find(|brought| resource.kind_of(brought) > resource.kind_of(name))
        {
            // A key that may do everything but delete has the first and not the second.
            let (kind, worst) = (resource.kind_of(name).as_str(), resource.kind_of(worse).as_str());
            let place = format!("gateway.route[{at}].implies");
            let what = format!("{name} is of kind {kind} and brings {worse}, of kind {worst}");
            let remedy = format!("write kind = \"{worst}\" for {name} in [[resource.scope]]");
            problems.push(Problem::new(place, what, remedy));
        }
        implies.push((name.clone(), scope));
    }
    let mut exempt = Vec::new();
    for text in &raw.exempt_tools {
        match Pattern::parse(text) {
            Ok(pattern) => exempt.push(pattern),
            Err(error) => {
                let place = format!("gateway.route[{at}].exempt_tools");
                let remedy = "write a name with at most one *";
                problems.push(Problem::new(place, format!("{text} {error}"), remedy));
            }
        }
    }
    (Implications::new(implies), exempt)
}

/// A class as the rule that it stands for.
fn of_class(raw: &RawClass, template: &str) -> RawRule {
    let scope = template.replace("{access}", &raw.access);
    let scope = match &raw.domain {
        Some(domain) => scope.replace("{domain}", domain),
        None => scope,
    };
    RawRule {
        always_allowed: false,
        any_of: Vec::new(),
        destructive: raw.destructive,
        idempotent: raw.idempotent,
        open_world: raw.open_world,
        patterns: raw.patterns.clone(),
        read_only: raw.read_only,
        scopes: vec![scope],
    }
}

fn check(raw: &RawRule, place: &str) -> Result<Rule, Problem> {
    let problem = |key: &str, what: String, remedy: &str| {
        Problem::new(format!("{place}.{key}"), what, remedy)
    };
    let named = || raw.scopes.iter().chain(&raw.any_of);
    let mut patterns = Vec::new();
    for text in raw.patterns.iter() {
        let pattern = Pattern::parse(text).map_err(|error| {
            problem("match", format!("{text} {error}"), "write a name with one * or {word}")
        })?;
        if let Some(scope) = named().find(|scope| !pattern.provides(scope)) {
            let what = format!("{scope} repeats a word that {text} does not take");
            return Err(problem("scopes", what, "use the word of the pattern"));
        }
        patterns.push(pattern);
    }
    if raw.always_allowed != (raw.scopes.is_empty() && raw.any_of.is_empty()) {
        let what = "are given together with always_allowed, or neither is given".to_owned();
        return Err(problem("scopes", what, "list scopes, or write always_allowed = true"));
    }
    let literal = named().filter(|scope| !scope.contains('{'));
    if Scope::from_tokens(literal.map(String::as_str)).is_err() {
        return Err(problem("scopes", "hold no scope token".to_owned(), "see RFC 6749"));
    }
    let need = if raw.always_allowed {
        Need::Nothing
    } else {
        Need::Scopes { all: raw.scopes.clone(), any: raw.any_of.clone() }
    };
    let hints = Hints {
        destructive: raw.destructive,
        idempotent: raw.idempotent,
        open_world: raw.open_world,
        read_only: raw.read_only,
    };
    Ok(Rule { hints, need, patterns })
}
