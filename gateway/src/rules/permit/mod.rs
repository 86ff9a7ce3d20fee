//! What a caller may do with a call: tool, prompt, resource or list; scopes; workspace;
//! arguments. Only here a [`Permit`] is made, and nothing is forwarded without one.

mod bound;
mod named;
mod quick;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use shared::{ids::WorkspaceId, scope::Scope};

use crate::rules::{
    arguments,
    caller::Caller,
    eras, headers,
    members::change_params,
    protocol::{Era, Method, Version},
    rpc::Call,
    scopes::Requirement,
    silence::{self, Access},
    splice,
    violation::RpcViolation,
    visible::{List, Source, Surface, VisibleTool},
    workspace,
};

/// Leave to forward one call to one backend.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    /// Whether it changes anything.
    pub(crate) access: Access,
    pub(crate) backend: Arc<str>,
    /// What to send: the caller's bytes, unless a default or the era changed them.
    pub(crate) body: Bytes,
    /// Whether what is completed is a workspace.
    pub(crate) completes_workspace: bool,
    /// The era to speak to the backend.
    pub(crate) era: Era,
    /// The `Mcp-Param-*` headers to send.
    pub(crate) headers: HeaderMap,
    /// Whether it may be sent again when nobody knows what became of it: it only reads, or its
    /// tool says that doing it twice is as doing it once.
    pub(crate) may_repeat: bool,
    pub(crate) method: Method,
    /// What `Mcp-Name` says in the modern era.
    pub(crate) name: Option<Arc<str>>,
    /// Headers of the client's that the backend is to get.
    pub(crate) passed: HeaderMap,
    pub(crate) plan: Plan,
    /// Whether the session is the backend's own.
    pub(crate) relay: bool,
    /// What the backend is told as the call's id, where it is told about calls.
    pub(crate) request_id: Option<String>,
    /// The backend's session, when it is relayed.
    pub(crate) session: Option<String>,
    pub(crate) version: Option<Version>,
    /// The workspace the call is bound to; `None`: all that the caller has.
    pub(crate) workspace: Option<WorkspaceId>,
    _made_here: MadeHere,
}

#[derive(Clone, Copy, Debug)]
struct MadeHere;

/// How the answer goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Parsed message by message: it is filtered, or changes its era.
    Examined,
    /// As it came.
    Untouched,
}

/// Why a call is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    Rpc(RpcViolation),
    /// The caller lacks some of these.
    Scope(Scope),
    /// Words for the model, as a tool result.
    Text(String),
}

impl From<RpcViolation> for Denied {
    fn from(violation: RpcViolation) -> Self {
        Self::Rpc(violation)
    }
}

/// Decides a call.
pub(crate) fn permit(
    surface: &Surface,
    caller: &Caller,
    call: &Call,
    headers: &HeaderMap,
) -> Result<Permit, Denied> {
    let target = call.target.as_deref().unwrap_or_default();
    match call.method {
        Method::CallTool => {
            let tool = surface.tool(target, &caller.scope).ok_or(RpcViolation::UnknownTool)?;
            call_tool(surface, caller, call, headers, tool)
        }
        Method::GetPrompt => {
            let found = surface.prompt(target, &caller.scope);
            let to = scoped(surface, found, RpcViolation::UnknownPrompt, caller)?;
            let bound = bound::by_arguments(surface, caller, call.arguments())?;
            Ok(Permit { workspace: bound, ..plain(surface, call, to)? })
        }
        Method::ReadResource => {
            let found = surface.resource(target, &caller.scope);
            let unknown = RpcViolation::unknown_resource(call.era, target);
            let to = scoped(surface, found, unknown.clone(), caller)?;
            let bound = bound::by_uri(surface, caller, (to, target), unknown)?;
            Ok(Permit { workspace: bound, ..plain(surface, call, to)? })
        }
        Method::Complete => named::complete(surface, caller, call),
        Method::Listen => named::listen(surface, caller, call),
        Method::Subscribe | Method::Unsubscribe if surface.relays(call.era) => {
            let found = surface.resource(target, &caller.scope);
            let unknown = RpcViolation::unknown_resource(call.era, target);
            let to = scoped(surface, found, unknown.clone(), caller)?;
            let bound = bound::by_uri(surface, caller, (to, target), unknown)?;
            Ok(Permit { workspace: bound, ..within_era(surface, call, to)? })
        }
        Method::CancelTask
        | Method::GetTask
        | Method::ListTasks
        | Method::SetLevel
        | Method::TaskResult
        | Method::UpdateTask => whole(surface, call),
        Method::Discover
        | Method::Initialize
        | Method::ListPrompts
        | Method::ListResources
        | Method::ListTemplates
        | Method::ListTools
        | Method::Ping
            if surface.relays(call.era) =>
        {
            whole(surface, call)
        }
        // Without relay the gateway answers these itself, or has no session to keep them in.
        Method::Discover
        | Method::Initialize
        | Method::ListPrompts
        | Method::ListResources
        | Method::ListTemplates
        | Method::ListTools
        | Method::Ping
        | Method::Subscribe
        | Method::Unsubscribe => Err(RpcViolation::NotServed(call.era, call.method.name()).into()),
    }
}

/// Decides a call about a task of one of several backends.
pub(crate) fn about_task(surface: &Surface, call: &Call, owner: &Source) -> Result<Permit, Denied> {
    within_era(surface, call, owner)
}

/// The owner, if there is one and the caller has the scopes.
fn scoped<'s>(
    surface: &Surface,
    found: Option<(&'s Source, Requirement)>,
    unknown: RpcViolation,
    caller: &Caller,
) -> Result<&'s Source, Denied> {
    let (source, required) = found.ok_or(unknown)?;
    let granted = surface.granted(&caller.scope);
    if granted.meets(&required) {
        Ok(source)
    } else {
        Err(Denied::Scope(required.to_ask(&granted)))
    }
}

fn call_tool(
    surface: &Surface,
    caller: &Caller,
    call: &Call,
    headers: &HeaderMap,
    found: VisibleTool<'_>,
) -> Result<Permit, Denied> {
    let granted = surface.granted(&caller.scope);
    if !granted.meets(found.required) {
        return Err(Denied::Scope(found.required.to_ask(&granted)));
    }
    if caller.reads_only && found.required.is_empty() && !found.read_only {
        return Err(Denied::Text(READING_ONLY.to_owned()));
    }
    let schema = found.tool.schema.schema();
    let argument = surface.terms.argument.as_str();
    let rule = workspace::Rule {
        argument,
        binding: found.binding,
        is_exempt: surface.is_exempt(call.target.as_deref().unwrap_or_default()),
        list_tool: surface.terms.list_tool.as_deref(),
        mode: surface.terms.mode,
        read_only: found.read_only,
        schema,
    };
    if let Some(permit) = quick::permit((surface, caller), call, headers, (rule, found)) {
        return Ok(permit);
    }
    let mut given = match call.arguments().map(serde_json::from_slice) {
        None => Map::new(),
        Some(Ok(Value::Object(members))) => members,
        Some(Ok(other)) => {
            let text = format!("{NOT_AN_OBJECT}, {}", arguments::got(&other));
            return Err(Denied::Text(text));
        }
        Some(Err(_)) => return Err(Denied::Text(NOT_AN_OBJECT.to_owned())),
    };
    let sent = match call.era {
        Era::Legacy => HeaderMap::new(),
        Era::Modern => headers::params(headers, schema, &given, argument)?,
    };
    let members = given.iter().map(|(name, value)| (name.as_str(), value));
    let bound = workspace::bind(rule, &caller.workspaces, members).map_err(Denied::Text)?;
    let mut body = call.body.clone();
    if let Some(value) = &bound.inject {
        given.insert(argument.to_owned(), value.clone());
        body = splice::argument(call, argument, value).ok_or(RpcViolation::Envelope)?;
    }
    let given = Value::Object(given);
    arguments::check(&found.tool.schema, &given).map_err(Denied::Text)?;
    workspace::refuse_undeclared(rule, &given).map_err(Denied::Text)?;
    let mut permit = toward_tool(surface, call, found, body)?;
    permit.workspace = bound.workspace;
    if permit.era == Era::Modern {
        permit.headers = sent;
        if call.era == Era::Legacy || bound.inject.is_some() {
            // A header that repeats an argument is the sender's to write.
            permit.headers.extend(headers::mirrored(schema, &given));
        }
    }
    Ok(permit)
}

/// The permit for a tool, whose own hints say how it may be called.
fn toward_tool(
    surface: &Surface,
    call: &Call,
    found: VisibleTool<'_>,
    body: Bytes,
) -> Result<Permit, Denied> {
    let mut permit = toward(surface, call, found.source, body)?;
    if found.read_only {
        permit.access = Access::Read;
    }
    permit.may_repeat = found.read_only || found.idempotent;
    Ok(permit)
}

const READING_ONLY: &str = "This API key is for reading only, and the tool does not say that it \
                            only reads. Use a key that may write.";
const NOT_AN_OBJECT: &str = "Validation error: arguments: expected an object";

/// A call that concerns the backend as a whole: there must be only one.
fn whole(surface: &Surface, call: &Call) -> Result<Permit, Denied> {
    let only = surface.only().ok_or(RpcViolation::NotServed(call.era, call.method.name()))?;
    within_era(surface, call, only)
}

/// A call that has no counterpart in the other era.
fn within_era(surface: &Surface, call: &Call, source: &Source) -> Result<Permit, Denied> {
    let permit = plain(surface, call, source)?;
    if permit.era == call.era || call.method.list_member().is_some() {
        return Ok(permit);
    }
    Err(RpcViolation::NotServed(call.era, call.method.name()).into())
}

fn plain(surface: &Surface, call: &Call, source: &Source) -> Result<Permit, Denied> {
    toward(surface, call, source, call.body.clone())
}

/// The permit itself: the caller's era if the backend speaks it, otherwise the other one.
fn toward(surface: &Surface, call: &Call, source: &Source, body: Bytes) -> Result<Permit, Denied> {
    let (name, body) = own_words(surface, call, body)?;
    let eras = source.catalogue.eras;
    let (era, version) = match (call.era, eras.legacy, eras.modern) {
        (Era::Modern, _, true) => (Era::Modern, call.version),
        (Era::Modern, legacy, false) => (Era::Legacy, legacy),
        (Era::Legacy, None, true) => (Era::Modern, Some(Version::July2026)),
        (Era::Legacy, _, _) if surface.relays(Era::Legacy) => (Era::Legacy, call.version),
        (Era::Legacy, legacy, _) => {
            let most = legacy.unwrap_or(Version::November2025);
            (Era::Legacy, Some(call.version.map_or(most, |version| version.min(most))))
        }
    };
    let translated = match (call.era, era) {
        (Era::Legacy, Era::Modern) => eras::request_to_modern(&body),
        (Era::Modern, Era::Legacy) => eras::request_to_legacy(&body),
        (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => Some(body),
    };
    let depends_on_caller = call.method.list_member().is_some() || call.method == Method::Discover;
    let examined = era != call.era || depends_on_caller;
    Ok(Permit {
        access: silence::access(call.method),
        backend: Arc::clone(&source.backend),
        body: translated.ok_or(RpcViolation::Envelope)?,
        completes_workspace: false,
        era,
        headers: HeaderMap::new(),
        // A tool's own hints say more.
        may_repeat: silence::access(call.method) == Access::Read,
        method: call.method,
        name,
        passed: HeaderMap::new(),
        plan: if examined { Plan::Examined } else { Plan::Untouched },
        relay: surface.relays(call.era),
        request_id: None,
        session: None,
        version,
        workspace: None,
        _made_here: MadeHere,
    })
}

/// The target and the body in the words of the backend, which may call a tool or prompt otherwise
/// than it is called here.
fn own_words(
    surface: &Surface,
    call: &Call,
    body: Bytes,
) -> Result<(Option<Arc<str>>, Bytes), Denied> {
    let target = call.target.as_deref().unwrap_or_default();
    let (own, is_reference) = match call.method {
        Method::CallTool => (surface.own_name(List::Tools, target), false),
        Method::GetPrompt => (surface.own_name(List::Prompts, target), false),
        Method::Complete => match named::prompt_of(call) {
            Some(name) => (surface.own_name(List::Prompts, &name), true),
            None => (None, false),
        },
        _ => (None, false),
    };
    let Some(own) = own else { return Ok((call.target.clone(), body)) };
    let changed = change_params(&body, |params| {
        let reference = json!({ "type": "ref/prompt", "name": own });
        if is_reference { params.set("ref", reference) } else { params.set("name", own) }
    });
    Ok((Some(own.into()), changed.ok_or(RpcViolation::Envelope)?))
}

#[cfg(test)]
mod tests;
