//! The life of a request, in order; each step makes what the next one needs.
//!
//! | step | makes | refuses with |
//! |---|---|---|
//! | origin, media type | | 403, 415 |
//! | credential | a token or an API key | 401 |
//! | claims, signature, revocation | `Admitted` | 401, 503 |
//! | body, scan, envelope | `Call` | 413, JSON-RPC errors |
//! | decision | `Permit` | 403, unknown, tool errors |
//! | revocations are heard, or the policy lets it go on | | 503 |
//! | limits | `Ticket` | 429 |
//! | said before, needs a person | `Once`, `Clearance` | |
//! | forward | `Upstream` | tool errors, 502, 503, 504 |
//! | answer | bytes as they came, or examined | tool errors, 502 |
//! | record | one line | |
//!
//! Nothing of a body is read before the caller is known.

use std::{pin::pin, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, request::Parts};
use serde_json::value::RawValue;
use shared::scope::Scope;
use web::{form::BodyError, traces::within};

use crate::{
    answer::{self, Asked, Listener},
    audit::Underway,
    authenticate::{self, client_address},
    backends::{self, UpstreamBody},
    claims::Admitted,
    config::{RawAudit, Route, SilencePolicy},
    error::{About, Refusal},
    handles, human,
    limit::Seen,
    once, relayed,
    rules::{
        caller::Caller,
        credential,
        examine::{Examination, MayHold, may_say_its_life},
        logging,
        narrowing::Narrowing,
        offerings::OWN,
        origin, own,
        permit::{self, Denied, Permit, Plan},
        protocol::{Era, Method},
        rows::Rows,
        rpc::{self, Call, Message},
        violation::TransportViolation,
        visible::Surface,
    },
    silence,
    state::App,
    surface,
    traces::{self, Traced},
    warmup,
};

/// What is learnt of a request on its way, for its refusal and its record.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) asked_bytes: u64,
    pub(crate) caller: Option<Arc<Admitted>>,
    pub(crate) era: Option<Era>,
    pub(crate) id: Option<Arc<RawValue>>,
    pub(crate) method: &'static str,
    /// What the backend received as the call's id, if its identities are made per call.
    pub(crate) request_id: Option<String>,
    /// How the budget stands that it was charged to.
    pub(crate) seen: Seen,
    /// What is told of it to the receiver of traces, if there is one.
    pub(crate) traced: Option<Box<Traced>>,
    pub(crate) what: Option<Arc<str>>,
    pub(crate) workspace: Option<String>,
}

/// A request to a resource, with who sent it.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) body: Body,
    pub(crate) parts: Parts,
}

/// Answers a request to a resource.
pub(crate) async fn answer(app: &App, route: &Arc<Route>, incoming: Incoming) -> Response {
    let mut underway = Underway::new(app, route);
    underway.trace.traced = traces::begin(app, &incoming.parts);
    let outcome = steps(app, route, incoming, &mut underway.trace).await;
    let trace = &underway.trace;
    let (mut response, name) = match outcome {
        Ok(response) => (response, "ok"),
        Err(refusal) => {
            let scope: Option<&Scope> = trace.caller.as_ref().map(|held| &held.caller.scope);
            let about = About {
                calls_tool: trace.method == Method::CallTool.name(),
                era: trace.era,
                granted: scope,
                id: trace.id.as_deref(),
                route,
            };
            if route.audit == RawAudit::None {
                // Elsewhere the call's own line says it.
                tracing::info!(
                    refusal = refusal.name(),
                    requirement = refusal.requirement(),
                    "a request was refused"
                );
            }
            underway.is_failed = refusal.is_of_backend();
            underway.requirement = refusal.requirement();
            (refusal.respond(about), refusal.name())
        }
    };
    if let Some(names) = &route.limit_headers
        && let Some(standing) = trace.seen.standing()
    {
        names.put(response.headers_mut(), standing, app.clock.now());
    }
    underway.follow(response, name)
}

async fn steps(
    app: &App,
    route: &Arc<Route>,
    incoming: Incoming,
    trace: &mut Trace,
) -> Result<Response, Refusal> {
    let Incoming { body, parts } = incoming;
    origin::check_origin(route.origins.allow(&parts.headers))?;
    trace.step("authenticate");
    let caller = match trace.outgoing() {
        // Boxed, so that requests that are not traced have no room for it.
        Some(traced) => Box::pin(within(traced, caller(app, route, &parts))).await?,
        None => caller(app, route, &parts).await?,
    };
    trace.caller = Some(Arc::clone(&caller));
    trace.step("decide");
    if parts.method != http::Method::POST {
        trace.method = "http";
        return relayed::stream_or_end(app, route, &caller, &parts, trace).await;
    }
    origin::check_media_type(&parts.headers)?;
    let body = read_body(body, app.config.max_body).await?;
    trace.asked_bytes = u64::try_from(body.len()).unwrap_or_default();
    let message = match message(route, &body, &parts.headers, trace) {
        Ok(message) => message,
        Err(refusal) => {
            // What cannot be read costs as much as a call.
            app.limits.charge_call(&caller, &mut trace.seen)?;
            return Err(refusal);
        }
    };
    match message {
        Message::Request(call) => {
            trace.id = Some(Arc::clone(&call.id));
            trace.era = Some(call.era);
            trace.method = call.method.name();
            request(app, route, &caller, &call, &parts, trace).await
        }
        other => {
            trace.method = "notification";
            app.limits.charge_call(&caller, &mut trace.seen)?;
            relayed::message(app, route, &caller, other, (&parts.headers, trace)).await
        }
    }
}

/// Credential, claims, signature, revocation. Who tries tokens that are none pays by address.
pub(crate) async fn caller(
    app: &App,
    route: &Route,
    parts: &Parts,
) -> Result<Arc<Admitted>, Refusal> {
    let credential = credential::find(&parts.headers, parts.uri.query(), &route.resource)?;
    warmup::wait(app, route).await;
    let refusal = match authenticate::admit(app, route, credential, parts).await {
        Ok(caller) => return Ok(caller),
        Err(refusal) => refusal,
    };
    if let Refusal::Bearer(violation) = &refusal
        && violation.is_failed_attempt()
        && let Some(address) = client_address(app, parts)
        && let Err(limited) = app.limits.charge_failure(address)
    {
        // The challenge stays: without it a client would never learn that its token is none.
        return Err(Refusal::Exhausted { limited, violation: violation.clone() });
    }
    Err(refusal)
}

async fn read_body(body: Body, most: usize) -> Result<Bytes, Refusal> {
    // Slow bodies end by the same deadline as everywhere.
    web::form::read_body(body, most).await.map_err(|error| match error {
        BodyError::Slow => TransportViolation::BodySlow.into(),
        BodyError::TooLarge => TransportViolation::BodyTooLarge.into(),
        _ => TransportViolation::BodyUnreadable.into(),
    })
}

fn message(
    route: &Route,
    body: &Bytes,
    headers: &HeaderMap,
    trace: &mut Trace,
) -> Result<Message, Refusal> {
    rpc::read(body, headers, &route.resource.workspace_argument).map_err(|refusal| {
        trace.id = refusal.id;
        refusal.violation.into()
    })
}

/// Decision, limits, and on to the backend.
async fn request(
    app: &App,
    route: &Arc<Route>,
    caller: &Arc<Admitted>,
    call: &Call,
    parts: &Parts,
    trace: &mut Trace,
) -> Result<Response, Refusal> {
    let headers = &parts.headers;
    if call.method.is_handshake() {
        app.limits.charge_discovery(caller, &mut trace.seen).await?;
    } else {
        app.limits.charge_call(caller, &mut trace.seen)?;
    }
    let mut surface = surface::current(app, route).ok_or(NOT_READY)?;
    if let Some(narrowing) = Narrowing::of(parts.uri.query(), &route.toolsets)? {
        surface = Arc::new(surface.narrowed(narrowing));
    }
    let pages = handles::pages(app, (caller, route), call, &surface);
    let left = || caller.caller.expires.since(app.clock.now());
    if let Some(result) = own::answer(&surface, &caller.caller, call, (&left, pages.as_ref())) {
        return Ok(answer::own(&call.id, &result?));
    }
    let decided = match handles::task_owner(app, caller, call, &surface) {
        Some(owner) => permit::about_task(&surface, call, owner),
        None => permit::permit(&surface, &caller.caller, call, headers),
    };
    // Names that somebody made up are not written down.
    if !matches!(decided, Err(Denied::Rpc(_))) && !call.method.is_about_task() {
        trace.what.clone_from(&call.target);
    }
    let mut permit = decided?;
    silence::check(app, route, permit.access, trace.seen.moment())?;
    trace.workspace = permit.workspace.as_ref().map(|id| id.as_str().to_owned());
    if *permit.backend == *OWN {
        let _room = app.limits.begin_call(caller)?;
        let _ticket = app.limits.ticket(caller, &permit, &mut trace.seen).await?;
        let result = route.offerings.answer(&caller.caller, call, left())?;
        return Ok(answer::own(&call.id, &result));
    }
    if permit.relay && call.era == Era::Legacy && call.method != Method::Initialize {
        permit.session = relayed::session(app, caller, &permit.backend, headers)?;
    }
    if call.handle.is_some()
        && let Some(handles) = handles::of(app, caller, call, &permit)
    {
        permit.body = handles::open(&handles, call, &permit.body)?;
    }
    if call.method.is_about_task()
        && let Some(tasks) = handles::tasks(app, caller, (call.method, &permit.backend))
    {
        permit = handles::open_task(&tasks, call, permit)?;
    }
    backends::describe(app, &mut permit, headers)?;
    trace.request_id.clone_from(&permit.request_id);
    forward(app, (route.silence, caller), call, (permit, surface), (headers, trace)).await
}

/// What decides about the answer, if there is reason to look into it.
fn examination(
    app: &App,
    caller: &Admitted,
    call: &Call,
    (permit, surface): (&Permit, Arc<Surface>),
    body: &UpstreamBody,
) -> Option<Examination> {
    let may_hold = MayHold {
        handles: handles::may_hold(call),
        life: may_say_its_life(call.method, call.era),
        tasks: handles::may_name_task(call.method),
    };
    let rows = rows(&surface, permit, call, &caller.caller);
    let is_examined = permit.plan == Plan::Examined || rows.is_some();
    let has_reason = is_examined
        || match body {
            UpstreamBody::Empty => false,
            UpstreamBody::Json(message) => may_hold.in_message(message),
            UpstreamBody::Stream(_) => may_hold != MayHold::default(),
        };
    let crosses = permit.era != call.era;
    let tool = call.target.as_deref().filter(|_| crosses && call.method == Method::CallTool);
    has_reason.then(|| Examination {
        completes_workspace: permit.completes_workspace,
        from: permit.era,
        handles: handles::of(app, caller, call, permit),
        handles_only: !is_examined,
        left: caller.caller.expires.since(app.clock.now()),
        log: call.params().filter(|_| crosses).and_then(logging::asked),
        method: call.method,
        rows,
        scope: caller.caller.scope.clone(),
        tasks: handles::tasks(app, caller, (call.method, &permit.backend)),
        to: call.era,
        workspaces: caller.caller.workspaces.clone(),
        wraps_output: tool.is_some_and(|name| surface.wraps_output(name)),
        surface,
    })
}

/// Which rows of a tool's or task's result may pass, where results are searched.
fn rows(surface: &Surface, permit: &Permit, call: &Call, caller: &Caller) -> Option<Rows> {
    let is_searched = matches!(call.method, Method::CallTool | Method::Listen | Method::ListTasks)
        || call.method.is_about_task();
    let member = surface.terms.row_workspace.clone().filter(|_| is_searched)?;
    let allowed =
        permit.workspace.clone().map_or_else(|| caller.workspaces.clone(), |one| vec![one]);
    Some(Rows { allowed, member })
}

async fn forward(
    app: &App,
    (silence, caller): (SilencePolicy, &Arc<Admitted>),
    call: &Call,
    (mut permit, surface): (Permit, Arc<Surface>),
    (headers, trace): (&HeaderMap, &mut Trace),
) -> Result<Response, Refusal> {
    let room = app.limits.begin_call(caller)?;
    let ticket = app.limits.ticket(caller, &permit, &mut trace.seen).await?;
    let stream = match call.method {
        Method::Listen => Some(app.limits.open_stream(caller)?),
        _ => None,
    };
    let once = once::check(call, &permit);
    let clearance = human::clear(&permit, &once);
    trace.ask(&mut permit.passed);
    let underway = (call.era == Era::Legacy && !permit.relay)
        .then(|| app.inflight.begin(caller.digest, &call.id));
    let mut forwarding = pin!(backends::forward(app, caller, call, &permit, ticket, clearance));
    let outcome = match &underway {
        Some(underway) => underway.cancelled.or(forwarding.as_mut()).await,
        None => Some(forwarding.await),
    };
    trace.answered(&permit.backend, outcome.as_ref());
    let Some(outcome) = outcome else {
        // Nobody reads this: the client has said that it no longer waits.
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    };
    let upstream = outcome.map_err(|error| {
        tracing::warn!(backend = &*permit.backend, outcome = error.name(), "a call failed");
        Refusal::Backend { error, name: permit.backend.to_string() }
    })?;
    let session = upstream.session.clone();
    let listener = Listener {
        app: app.clone(),
        caller: Arc::clone(caller),
        room: Some(room),
        silence,
        stream,
        underway,
    };
    let examination = examination(app, caller, call, (&permit, surface), &upstream.body);
    let mut response = answer::respond(upstream, examination, Asked::by(call), listener);
    if let Some(session) = session {
        relayed::put_session(app, caller, &permit.backend, &session, (headers, &mut response));
    }
    Ok(response)
}

/// No backend has answered yet, so nothing is known of what there is.
pub(crate) const NOT_READY: Refusal = Refusal::Unavailable("the backend is not available now");

#[cfg(test)]
mod tests;
