//! What the tools of a backend are called here, so that several stand behind one resource.

use std::collections::HashMap;

use shared::problem::Problem;

use super::{Backend, RawBackend, RawRoute, RawSession};
use crate::rules::{catalogue::Naming, openapi::is_tool_name};

/// The names of a backend; what is wrong with them is added to `problems`.
pub(super) fn naming(raw: &RawBackend, at: usize, problems: &mut Vec<Problem>) -> Naming {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if raw.prefix.len() > 32 || !raw.prefix.bytes().all(plain) {
        let what = "is not made of at most 32 letters, digits, - and _";
        let remedy = "write a plain beginning such as crm_";
        problems.push(Problem::new(format!("backend[{at}].prefix"), what, remedy));
    }
    let mut naming = Naming { prefix: raw.prefix.clone(), ..Naming::default() };
    for (public, own) in &raw.alias {
        let place = || format!("backend[{at}].alias.{public}");
        if !is_tool_name(public) {
            let what = "is no tool's name";
            let remedy = "write at most 64 letters, digits, _ and -";
            problems.push(Problem::new(place(), what, remedy));
        }
        if naming.aliases.insert(own.clone(), public.clone()).is_some() {
            let what = format!("is a second name of {own}");
            problems.push(Problem::new(place(), what, "write one name for each tool"));
        }
    }
    naming
}

/// Names that two backends of a route would share, as far as they are known before a backend is
/// asked; and names that sessions cannot have.
pub(super) fn check_route<'b>(
    route: &RawRoute,
    backends: impl Iterator<Item = &'b Backend>,
    place: &str,
    problems: &mut Vec<Problem>,
) {
    let mut owners: HashMap<String, &str> = HashMap::new();
    let own = route.whoami.iter().map(|own| (own.name.clone(), "the gateway itself"));
    owners.extend(own);
    for backend in backends {
        let naming = &backend.naming;
        let relays = route.session == RawSession::Relay;
        if relays && (backend.api.is_some() || **naming != Naming::default()) {
            let what = format!(
                "leads to {}, and relayed sessions know neither OpenAPI nor other names",
                backend.name
            );
            let remedy = "write session = \"stateless\" for the route";
            problems.push(Problem::new(place, what, remedy));
        }
        let described = backend.api.iter().flat_map(|api| api.operations.keys());
        let described = described.filter(|own| !naming.aliases.contains_key(*own));
        let known = naming.aliases.values().cloned().chain(described.map(|own| naming.tool(own)));
        for name in known {
            if let Some(other) = owners.insert(name.clone(), &backend.name) {
                let what = format!("{other} and {} both offer the tool {name}", backend.name);
                let remedy = "give one of them a prefix, or one of the tools an alias";
                problems.push(Problem::new(place, what, remedy));
            }
        }
    }
}
