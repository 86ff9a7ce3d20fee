//! Calls that name what they are about inside their parameters: completions, and streams of
//! changes.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{Denied, Permit, Plan, bound, plain, scoped, whole};
use crate::rules::{caller::Caller, rpc::Call, violation::RpcViolation, visible::Surface};

/// What a completion is about: `ref` names a prompt or a resource.
#[derive(Deserialize)]
struct Completion {
    argument: Option<Box<RawValue>>,
    context: Option<Box<RawValue>>,
    r#ref: Box<RawValue>,
}

/// What is being filled in.
#[derive(Deserialize)]
struct Argument {
    name: String,
}

/// What was filled in before.
#[derive(Deserialize)]
struct Context {
    arguments: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Reference {
    name: Option<String>,
    r#type: String,
    uri: Option<String>,
}

/// An object; a list would be read by position, which no backend does.
fn object<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    let is_object = raw.get().starts_with('{');
    is_object.then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// A completion is for who may use what it completes, in the workspace that its URI and what was
/// filled in before name.
pub(super) fn complete(surface: &Surface, caller: &Caller, call: &Call) -> Result<Permit, Denied> {
    let params = call.params().unwrap_or_default();
    let Completion { argument, context, r#ref } =
        serde_json::from_slice(params).map_err(|_| RpcViolation::MissingParam("ref"))?;
    let r#ref: Reference = object(&r#ref).ok_or(RpcViolation::MissingParam("ref"))?;
    let (found, unknown, uri) = match (r#ref.r#type.as_str(), r#ref.name, r#ref.uri) {
        ("ref/prompt", Some(name), _) => {
            (surface.prompt(&name, &caller.scope), RpcViolation::UnknownPrompt, None)
        }
        ("ref/resource", _, Some(uri)) => {
            let found = surface.resource(&uri, &caller.scope);
            (found, RpcViolation::unknown_resource(call.era, &uri), Some(uri))
        }
        _ => return Err(RpcViolation::MissingParam("ref").into()),
    };
    let source = scoped(surface, found, unknown.clone(), caller)?;
    let in_uri = match uri {
        Some(uri) => bound::by_uri(surface, caller, (source, &uri), unknown)?,
        None => None,
    };
    let context: Option<Context> = match context.as_deref() {
        Some(raw) if raw.get() != "null" => Some(object(raw).ok_or(RpcViolation::Params)?),
        _ => None,
    };
    let given = context.and_then(|held| held.arguments);
    let given = given.as_deref().map(|raw| raw.get().as_bytes());
    let in_context = bound::by_arguments(surface, caller, given)?;
    let bound = bound::same(in_uri, in_context)?;
    let mut permit = plain(surface, call, source)?;
    let argument = argument.as_deref().map(|raw| object(raw).ok_or(RpcViolation::Params));
    let argument: Option<Argument> = argument.transpose()?;
    if argument.is_some_and(|one| one.name.eq_ignore_ascii_case(&surface.terms.argument)) {
        permit.completes_workspace = true;
        permit.plan = Plan::Examined;
    }
    permit.workspace = bound;
    Ok(permit)
}

/// The resources a stream of changes is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Listening {
    notifications: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wanted {
    resource_subscriptions: Vec<String>,
}

/// A stream of changes is for who may read every resource it names.
pub(super) fn listen(surface: &Surface, caller: &Caller, call: &Call) -> Result<Permit, Denied> {
    let params = call.params().unwrap_or(b"{}");
    let Listening { notifications } =
        serde_json::from_slice(params).map_err(|_| RpcViolation::Params)?;
    let notifications: Wanted = match notifications {
        Some(raw) => object(&raw).ok_or(RpcViolation::Params)?,
        None => Wanted::default(),
    };
    for uri in &notifications.resource_subscriptions {
        let found = surface.resource(uri, &caller.scope);
        let unknown = RpcViolation::unknown_resource(call.era, uri);
        let owner = scoped(surface, found, unknown.clone(), caller)?;
        bound::by_uri(surface, caller, (owner, uri), unknown)?;
    }
    whole(surface, call)
}

/// The prompt that a completion is about.
pub(super) fn prompt_of(call: &Call) -> Option<String> {
    let Completion { r#ref, .. } = serde_json::from_slice(call.params()?).ok()?;
    let r#ref: Reference = object(&r#ref)?;
    r#ref.name.filter(|_| r#ref.r#type == "ref/prompt")
}
