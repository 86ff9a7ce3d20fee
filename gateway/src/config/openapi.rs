//! A REST backend's description with what the operator says otherwise: its tools, and what each
//! of them needs.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde_json::{Value, json};
use shared::{problem::Problem, scope::Scope};

use super::{RawBackend, RawOperation};
use crate::rules::{
    arguments::ArgumentSchema,
    catalogue::{Catalogue, Eras, Fingerprint, Tool},
    listing::Hints,
    openapi::{Description, Operation, is_tool_name},
    policy::{Need, Pattern, Policies, Rule},
    protocol::Version,
};

/// What a REST backend offers.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) catalogue: Arc<Catalogue>,
    /// By the names of their tools.
    pub(crate) operations: HashMap<String, Operation>,
    /// Which operations are not offered and why, for the log.
    pub(crate) skipped: Vec<String>,
}

/// Reads the description of a REST backend, if it is one; scopes that are set for operations go
/// before the rules of its tools.
pub(super) fn api(
    raw: &RawBackend,
    at: usize,
    policies: &mut Policies,
    problems: &mut Vec<Problem>,
) -> Option<Api> {
    let place = |key: &str| format!("backend[{at}].{key}");
    let Some(path) = &raw.openapi else {
        if !raw.operation.is_empty() || !raw.header_parameters.is_empty() {
            let what = "is missing, and operation or header_parameters speak of it";
            problems.push(Problem::new(place("openapi"), what, "name the description's file"));
        }
        return None;
    };
    let headers = headers(raw, &place("header_parameters"), problems);
    let described = read(path).and_then(|value| {
        Description::read(&value, &headers).map_err(|error| format!("{path} {error}"))
    });
    let mut described = match described {
        Ok(described) => described,
        Err(what) => {
            let remedy = "name a file with an OpenAPI 3.0 or 3.1 description in JSON or YAML";
            problems.push(Problem::new(place("openapi"), what, remedy));
            return None;
        }
    };
    let mut rules = Vec::new();
    let mut hidden = vec![false; described.operations.len()];
    for (number, said) in raw.operation.iter().enumerate() {
        let change = Change { at: place(&format!("operation[{number}]")), said };
        match change.apply(&mut described.operations, &mut hidden) {
            Ok(own) => rules.extend(own),
            Err(problem) => problems.push(problem),
        }
    }
    rules.append(&mut policies.tools.0);
    policies.tools.0 = rules;
    let kept = described.operations.drain(..).zip(hidden);
    let kept: Vec<Operation> = kept.filter(|(_, hide)| !hide).map(|(kept, _)| kept).collect();
    Some(offer(described, kept, &place("operation"), problems))
}

/// The largest description.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

fn read(path: &str) -> Result<Value, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{path} cannot be read: {error}");
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MOST_BYTES {
        return Err(failed(&"it is too large"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| failed(&error));
    }
    serde_saphyr::from_str(&text).map_err(|error| failed(&error))
}

/// The header parameters that calls may set, in lower case.
fn headers(raw: &RawBackend, place: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    const RESERVED: [&str; 17] = [
        "accept",
        "authorization",
        "connection",
        "content-",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "mcp-",
        "proxy-",
        "ratelimit",
        "retry-after",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let lower = raw.header_parameters.iter().map(|name| name.to_ascii_lowercase());
    let (fit, unfit): (Vec<String>, Vec<String>) = lower.partition(|name| {
        let starts = |word: &str| {
            let is_family = word.ends_with('-') || matches!(word, "accept" | "ratelimit");
            if is_family { name.starts_with(word) } else { name == word }
        };
        let is_reserved = RESERVED.into_iter().any(starts)
            || ["x-forwarded-", "x-ratelimit"].into_iter().any(|start| name.starts_with(start));
        !is_reserved && http::HeaderName::try_from(name.as_str()).is_ok()
    });
    if let Some(name) = unfit.first() {
        let what = format!("lists {name}, which is this gateway's to write, or no header");
        problems.push(Problem::new(place, what, "remove it"));
    }
    fit
}

/// One `[[backend.operation]]` table.
struct Change<'r> {
    at: String,
    said: &'r RawOperation,
}

impl Change<'_> {
    fn problem(&self, key: &str, what: impl Into<String>, remedy: &str) -> Problem {
        Problem::new(format!("{}.{key}", self.at), what, remedy)
    }

    /// Changes what matches; returns the rule that its scopes and hints make.
    fn apply(
        &self,
        operations: &mut [Operation],
        hidden: &mut [bool],
    ) -> Result<Option<Rule>, Problem> {
        let said = self.said;
        let is_exact = |operation: &Operation| {
            operation.id == said.pattern || operation.declared.as_ref() == Some(&said.pattern)
        };
        let pattern = Pattern::parse(&said.pattern).ok();
        let matches = |operation: &Operation| {
            let id = operation.declared.as_deref();
            is_exact(operation)
                || (pattern.as_ref().zip(id)).is_some_and(|(pattern, id)| pattern.matches(id))
        };
        let found = operations.iter_mut().zip(hidden);
        let mut found: Vec<_> = found.filter(|(operation, _)| matches(operation)).collect();
        if found.is_empty() {
            let what = format!("{} is no operation that can be offered", said.pattern);
            let remedy = "write an operationId, or method and path as the description has them";
            return Err(self.problem("match", what, remedy));
        }
        let one = said.name.is_some() || said.title.is_some() || said.description.is_some();
        if one && found.len() > 1 {
            let what = format!("{} matches several operations", said.pattern);
            return Err(self.problem("match", what, "give names and words to one at a time"));
        }
        for (operation, hide) in &mut found {
            **hide |= said.hide;
            let tool = &mut operation.tool;
            if let Some(name) = &said.name {
                if !is_tool_name(name) {
                    let remedy = "write at most 64 letters, digits, _ and -";
                    return Err(self.problem("name", format!("{name} is no tool's name"), remedy));
                }
                tool.name.clone_from(name);
            }
            tool.title = said.title.clone().or(tool.title.take());
            tool.description = said.description.clone().or(tool.description.take());
        }
        let names = found.iter().map(|(operation, _)| operation.tool.name.as_str());
        self.rule(names)
    }

    fn rule<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<Option<Rule>, Problem> {
        let said = self.said;
        let hints = Hints {
            destructive: said.destructive,
            idempotent: said.idempotent,
            open_world: said.open_world,
            read_only: said.read_only,
        };
        let is_scoped = !said.scopes.is_empty() || !said.any_of.is_empty();
        let tokens = said.scopes.iter().chain(&said.any_of).map(String::as_str);
        let need = match (said.always_allowed, is_scoped) {
            (false, false) if hints == Hints::default() => return Ok(None),
            (false, false) => Need::Unsaid,
            (true, false) => Need::Nothing,
            (false, true) if Scope::from_tokens(tokens).is_ok() => {
                Need::Scopes { all: said.scopes.clone(), any: said.any_of.clone() }
            }
            (false, true) => {
                let what = "or any_of hold no scope token";
                return Err(self.problem("scopes", what, "see RFC 6749"));
            }
            (true, true) => {
                let what = "or any_of are given together with always_allowed";
                return Err(self.problem("scopes", what, "remove one of them"));
            }
        };
        let patterns = names.filter_map(|name| Pattern::parse(name).ok()).collect();
        Ok(Some(Rule { hints, need, patterns }))
    }
}

/// The catalogue that the operations make.
fn offer(
    described: Description,
    kept: Vec<Operation>,
    place: &str,
    problems: &mut Vec<Problem>,
) -> Api {
    let Description { about, skipped, title, version, .. } = described;
    let skipped = skipped.into_iter().map(|one| format!("{} is not offered: {}", one.id, one.why));
    let mut skipped: Vec<String> = skipped.collect();
    let mut operations = HashMap::new();
    let mut tools = Vec::new();
    for operation in kept {
        let name = operation.tool.name.clone();
        let schema = serde_json::value::to_raw_value(&operation.tool.schema);
        let raw = serde_json::value::to_raw_value(&operation.to_tool());
        let (Ok(schema), Ok(raw)) = (schema, raw) else { continue };
        let schema = match ArgumentSchema::compile(&schema) {
            Ok(schema) => schema,
            Err(error) => {
                skipped.push(format!("{} is not offered: {error}", operation.id));
                continue;
            }
        };
        match operations.entry(name.clone()) {
            Entry::Vacant(free) => {
                let read_only = operation.is_read_only();
                tools.push(Tool { name, raw, read_only, schema });
                free.insert(operation);
            }
            Entry::Occupied(taken) => {
                let (one, other) = (&taken.get().id, &operation.id);
                let what = format!("{one} and {other} are both the tool {name}");
                let remedy = format!("add match = \"{other}\" with another name, or hide = true");
                problems.push(Problem::new(place, what, remedy));
            }
        }
    }
    let info = json!({
        "name": title.unwrap_or_else(|| "vestibule".to_owned()),
        "version": version.unwrap_or_else(|| "0".to_owned()),
    });
    let catalogue = Catalogue {
        capabilities: json!({ "tools": {} }),
        // The gateway itself speaks for it, in either.
        eras: Eras { legacy: Some(Version::November2025), modern: true, sessions: false },
        fingerprint: Fingerprint::default(),
        instructions: about,
        prompts: Vec::new(),
        resources: Vec::new(),
        server_info: serde_json::value::to_raw_value(&info).ok(),
        templates: Vec::new(),
        tools,
    };
    Api { catalogue: Arc::new(catalogue), operations, skipped }
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
