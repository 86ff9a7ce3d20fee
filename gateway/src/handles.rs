//! Which opaque handles a call carries, and giving the backend its own back.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    backends::session::Owner,
    claims::Admitted,
    config::Route,
    error::Refusal,
    rules::{
        handle::Handles,
        members,
        narrowing::Narrowing,
        pages::Pages,
        permit::Permit,
        protocol::{Era, Method},
        rpc::Call,
        task::{self, TaskIds},
        violation::RpcViolation,
        visible::{Source, Surface},
    },
    state::App,
};

/// The handles of a call, if its kind has any.
pub(crate) fn of(app: &App, caller: &Admitted, call: &Call, permit: &Permit) -> Option<Handles> {
    name(call)?;
    let owner = Owner::of(&caller.caller);
    // Written anew, so that only a change of meaning counts.
    let arguments = call
        .arguments()
        .and_then(|raw| serde_json::from_slice::<Value>(raw).ok().map(|value| value.to_string()));
    let parts: [&[u8]; 6] = [
        owner.as_bytes(),
        permit.backend.as_bytes(),
        caller.caller.resource.as_str().as_bytes(),
        call.method.name().as_bytes(),
        call.target.as_deref().unwrap_or_default().as_bytes(),
        arguments.as_deref().unwrap_or_default().as_bytes(),
    ];
    Some(Handles::new(&app.sessions, &parts, app.clock.now()))
}

/// How a list of this call is cut into pages, where the resource cuts any.
pub(crate) fn pages(
    app: &App,
    (caller, route): (&Admitted, &Route),
    call: &Call,
    surface: &Surface,
) -> Option<Pages> {
    call.method.list_member()?;
    let size = route.page_size?;
    let owner = Owner::of(&caller.caller);
    let narrowing = surface.narrowing().map(Narrowing::key).unwrap_or_default();
    let parts: [&[u8]; 5] = [
        b"page",
        owner.as_bytes(),
        caller.caller.resource.as_str().as_bytes(),
        call.method.name().as_bytes(),
        narrowing.as_bytes(),
    ];
    Some(Pages { handles: Handles::new(&app.sessions, &parts, app.clock.now()), size })
}

/// Opens the handle that a call brings back.
pub(crate) fn open(handles: &Handles, call: &Call, body: &Bytes) -> Result<Bytes, Refusal> {
    let (Some(member), Some(sealed)) = (name(call), call.handle.as_deref()) else {
        return Ok(body.clone());
    };
    let violation = if member == "cursor" { RpcViolation::Cursor } else { RpcViolation::State };
    let handle = handles.open(sealed).ok_or_else(|| violation.clone())?;
    let changed = members::change_params(body, |params| params.set(member, handle));
    Ok(changed.ok_or(violation)?)
}

/// The task ids of a caller behind a backend, where an answer to such a call may name a task.
pub(crate) fn tasks(
    app: &App,
    caller: &Admitted,
    (method, backend): (Method, &str),
) -> Option<TaskIds> {
    if !may_name_task(method) {
        return None;
    }
    let owner = Owner::of(&caller.caller);
    let resource = caller.caller.resource.as_str().as_bytes();
    Some(TaskIds::new(&app.sessions, &[owner.as_bytes(), backend.as_bytes(), resource]))
}

/// Whether the answer to such a call may name a task.
pub(crate) fn may_name_task(method: Method) -> bool {
    matches!(method, Method::CallTool | Method::ListTasks | Method::Listen)
        || method.is_about_task()
}

/// Whether the answer to a call may hold a handle.
pub(crate) fn may_hold(call: &Call) -> bool {
    name(call).is_some()
}

/// Whose task a call names, where several backends could have one: by the id, which is sealed for
/// its backend. An id that nobody gave out is answered by the first that has tasks.
pub(crate) fn task_owner<'s>(
    app: &App,
    caller: &Admitted,
    call: &Call,
    surface: &'s Surface,
) -> Option<&'s Source> {
    if !call.method.is_about_task() || surface.only().is_some() {
        return None;
    }
    let has_tasks = |source: &&Source| source.has_tasks(call.era);
    let sealed = call.target.as_deref().unwrap_or_default();
    let gave_it = |source: &&Source| {
        let ids = tasks(app, caller, (call.method, &source.backend));
        ids.is_some_and(|ids| ids.open(sealed).is_some())
    };
    let owner = surface.sources.iter().filter(has_tasks).find(gave_it);
    owner.or_else(|| surface.sources.iter().find(has_tasks))
}

/// Gives the backend its own id of the task that a call names.
pub(crate) fn open_task(
    tasks: &TaskIds,
    call: &Call,
    mut permit: Permit,
) -> Result<Permit, Refusal> {
    if !call.method.is_about_task() {
        return Ok(permit);
    }
    if call.era == Era::Modern && !call.params().is_some_and(task::is_declared) {
        return Err(RpcViolation::TasksUndeclared.into());
    }
    let id = call.target.as_deref().and_then(|sealed| tasks.open(sealed));
    let id = id.ok_or(RpcViolation::Task)?;
    permit.name = Some(id.as_str().into());
    let changed = members::change_params(&permit.body, |params| params.set("taskId", id));
    permit.body = changed.ok_or(RpcViolation::Task)?;
    Ok(permit)
}

/// The parameter in which a call of this kind brings a handle back.
fn name(call: &Call) -> Option<&'static str> {
    match call.method {
        Method::CallTool | Method::GetPrompt | Method::ReadResource => {
            (call.era == Era::Modern).then_some("requestState")
        }
        method => method.list_member().map(|_| "cursor"),
    }
}
