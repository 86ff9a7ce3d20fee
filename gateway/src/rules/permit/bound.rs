//! The workspace of what is no tool call: a prompt or completion by its arguments, a resource by
//! its URI. A credential with one workspace acts in that one.

use serde_json::Value;
use shared::ids::WorkspaceId;

use crate::rules::{caller::Caller, violation::RpcViolation, visible::Surface, workspace};

/// The workspace that arguments name, or the only one; a foreign one is refused.
pub(super) fn by_arguments(
    surface: &Surface,
    caller: &Caller,
    arguments: Option<&[u8]>,
) -> Result<Option<WorkspaceId>, RpcViolation> {
    let Some(raw) = arguments else { return Ok(only(caller)) };
    let arguments: Value = serde_json::from_slice(raw).map_err(|_| RpcViolation::Params)?;
    let argument = &surface.terms.argument;
    if !workspace::is_allowed("", &arguments, argument, &caller.workspaces) {
        return Err(RpcViolation::Workspace);
    }
    let Some(value) = arguments.get(argument) else { return Ok(only(caller)) };
    let named =
        caller.workspaces.iter().find(|id| workspace::names(value, std::slice::from_ref(*id)));
    named.cloned().map(Some).ok_or(RpcViolation::Workspace)
}

/// The workspace that a URI names, or the only one; a foreign one is as `unknown` as a URI that
/// nobody knows.
pub(super) fn by_uri(
    surface: &Surface,
    caller: &Caller,
    uri: &str,
    unknown: RpcViolation,
) -> Result<Option<WorkspaceId>, RpcViolation> {
    let Some(named) = surface.workspace_in(uri) else { return Ok(only(caller)) };
    let granted = caller.workspaces.iter().find(|id| id.as_str() == named);
    granted.cloned().map(Some).ok_or(unknown)
}

fn only(caller: &Caller) -> Option<WorkspaceId> {
    match caller.workspaces.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}
