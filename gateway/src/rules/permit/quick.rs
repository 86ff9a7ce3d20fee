//! Most calls of tools, permitted without a tree of their arguments: what surely fits a schema's
//! quick form holds no workspace but in its own members. Nothing is refused here.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::{Permit, toward_tool};
use crate::rules::{
    caller::Caller,
    headers,
    protocol::Era,
    rpc::Call,
    visible::{Surface, VisibleTool},
    workspace::{self, Rule},
};

/// The permit that the call gets when its arguments are read; nothing where that is not sure.
pub(super) fn permit(
    (surface, caller): (&Surface, &Caller),
    call: &Call,
    headers: &HeaderMap,
    (rule, found): (Rule<'_>, VisibleTool<'_>),
) -> Option<Permit> {
    let quick = found.tool.schema.quick()?;
    let arguments = std::str::from_utf8(call.arguments().unwrap_or(b"{}")).ok()?;
    let mut named: Vec<(&str, Option<Value>)> = Vec::new();
    let fits = quick.surely_fits(arguments, |name, value| {
        if name.ends_with(rule.argument) {
            named.push((name, serde_json::from_str(value).ok()));
        }
    });
    if !fits || named.iter().any(|(_, value)| value.is_none()) {
        return None;
    }
    let members = named.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    let bound = workspace::bind(rule, &caller.workspaces, members).ok()?;
    if bound.inject.is_some() {
        return None;
    }
    let mut permit = toward_tool(surface, call, found, call.body.clone()).ok()?;
    if quick.has_headers && (call.era == Era::Modern || permit.era == Era::Modern) {
        return None;
    }
    if call.era == Era::Modern {
        // None is declared, so the arguments are not looked at.
        let sent = headers::params(headers, &Value::Null, &Map::new(), rule.argument).ok()?;
        if permit.era == Era::Modern {
            permit.headers = sent;
        }
    }
    permit.workspace = bound.workspace;
    Some(permit)
}
