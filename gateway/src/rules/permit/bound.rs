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
    let arguments = arguments.and_then(|raw| serde_json::from_slice::<Value>(raw).ok());
    let value = arguments.as_ref().and_then(|members| members.get(&surface.terms.argument));
    let Some(value) = value else { return Ok(only(caller)) };
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
