//! The workspace of what is no tool call: a prompt or completion by its arguments, a resource by
//! its URI. A credential with one workspace acts in that one.

use std::slice;

use serde_json::Value;
use shared::ids::WorkspaceId;

use crate::rules::{
    caller::Caller,
    uri_template::Values,
    violation::RpcViolation,
    visible::{Source, Surface},
    workspace,
};

/// The workspace that arguments name, or the only one; a foreign one is refused, and so is one
/// beside the first.
pub(super) fn by_arguments(
    surface: &Surface,
    caller: &Caller,
    arguments: Option<&[u8]>,
) -> Result<Option<WorkspaceId>, RpcViolation> {
    let Some(raw) = arguments else { return Ok(only(caller)) };
    let arguments: Value = serde_json::from_slice(raw).map_err(|_| RpcViolation::Params)?;
    let argument = &surface.terms.argument;
    let named = match arguments.get(argument) {
        Some(value) => {
            let own =
                caller.workspaces.iter().find(|id| workspace::names(value, slice::from_ref(*id)));
            Some(own.cloned().ok_or(RpcViolation::Workspace)?)
        }
        None => only(caller),
    };
    let allowed = named.as_ref().map_or(caller.workspaces.as_slice(), slice::from_ref);
    if workspace::is_allowed("", &arguments, argument, allowed) {
        Ok(named)
    } else {
        Err(RpcViolation::Workspace)
    }
}

/// The workspace that a URI of this owner names, or the only one; a foreign one, or one that
/// cannot be told, is as `unknown` as a URI that nobody knows.
pub(super) fn by_uri(
    surface: &Surface,
    caller: &Caller,
    (owner, uri): (&Source, &str),
    unknown: RpcViolation,
) -> Result<Option<WorkspaceId>, RpcViolation> {
    match surface.workspaces_in(owner, uri) {
        Values::None => Ok(only(caller)),
        Values::One(named) => {
            let granted = caller.workspaces.iter().find(|id| id.as_str() == named);
            granted.cloned().map(Some).ok_or(unknown)
        }
        Values::Several => Err(unknown),
    }
}

/// The workspace that two parts of a call name, which must be the same.
pub(super) fn same(
    one: Option<WorkspaceId>,
    other: Option<WorkspaceId>,
) -> Result<Option<WorkspaceId>, RpcViolation> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(RpcViolation::Workspace),
        (one, other) => Ok(one.or(other)),
    }
}

fn only(caller: &Caller) -> Option<WorkspaceId> {
    match caller.workspaces.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}
