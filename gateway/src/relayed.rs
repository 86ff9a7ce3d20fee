//! What is no call: notifications and responses of clients, and the GET and DELETE of a session.
//! Where sessions are nobody's, notifications are taken note of and the rest is refused.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, header::HeaderName, request::Parts,
};

use crate::{
    answer::{self, Asked, Listener},
    backends::{
        self, Relayed,
        session::{self, Owner},
    },
    claims::Admitted,
    config::Route,
    error::Refusal,
    handles,
    phases::{NOT_READY, Trace},
    rules::{
        examine::Examination,
        headers,
        protocol::{Era, Method, Version},
        rows::Rows,
        rpc::Message,
        silence::Access,
        violation::{RpcViolation, TransportViolation},
        visible::Surface,
    },
    silence,
    state::App,
    surface,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// GET opens the stream of a session, DELETE ends one; only where sessions are the backend's.
pub(crate) async fn stream_or_end(
    app: &App,
    route: &Route,
    caller: &Arc<Admitted>,
    parts: &Parts,
    trace: &mut Trace,
) -> Result<Response, Refusal> {
    app.limits.charge_call(caller, &mut trace.seen)?;
    let is_served = [HttpMethod::GET, HttpMethod::DELETE].contains(&parts.method);
    if !route.relay {
        return Err(TransportViolation::MethodNotAllowed.into());
    }
    if !is_served {
        return Err(TransportViolation::NoSessionMethod.into());
    }
    if parts.method == HttpMethod::DELETE {
        // It takes something from whoever has the session, which may be shut out by now.
        silence::check(app, route, Access::Write, trace.seen.moment())?;
    }
    let surface = surface::current(app, route).ok_or(NOT_READY)?;
    let modern = headers::version(&parts.headers) == Some(Version::July2026.as_str());
    if modern || !surface.relays(Era::Legacy) {
        return Err(TransportViolation::MethodNotAllowed.into());
    }
    let version = headers::legacy_version("", &parts.headers)?;
    let backend = only(&surface)?;
    let session = session(app, caller, &backend, &parts.headers)?;
    if session.is_none() {
        return Err(RpcViolation::SessionMissing.into());
    }
    let relayed = Relayed {
        backend,
        body: Bytes::new(),
        last_event_id: parts.headers.get(LAST_EVENT_ID).cloned(),
        method: parts.method.clone(),
        passed: HeaderMap::new(),
        session,
        version,
    };
    send(app, (route, caller), (surface, relayed), (&parts.headers, trace)).await
}

/// A notification or response of a client.
pub(crate) async fn message(
    app: &App,
    route: &Route,
    caller: &Arc<Admitted>,
    message: Message,
    (headers, trace): (&HeaderMap, &mut Trace),
) -> Result<Response, Refusal> {
    if !route.relay {
        return match message {
            Message::Notification { body, method } => {
                if method == "notifications/cancelled" {
                    app.inflight.cancel(caller.digest, &body);
                }
                Ok(accepted())
            }
            Message::Request(_) | Message::Response { .. } => Err(RpcViolation::Unasked.into()),
        };
    }
    if matches!(message, Message::Response { .. }) {
        // It may be the word that a write waits for.
        silence::check(app, route, Access::Write, trace.seen.moment())?;
    }
    let surface = surface::current(app, route).ok_or(NOT_READY)?;
    if !surface.relays(Era::Legacy) {
        return Ok(accepted());
    }
    let body = match message {
        Message::Notification { body, .. } | Message::Response { body, .. } => body,
        Message::Request(call) => call.body,
    };
    let version = headers::legacy_version("", headers)?;
    let backend = only(&surface)?;
    let session = session(app, caller, &backend, headers)?;
    let relayed = Relayed {
        backend,
        body,
        last_event_id: None,
        method: HttpMethod::POST,
        passed: HeaderMap::new(),
        session,
        version,
    };
    send(app, (route, caller), (surface, relayed), (headers, trace)).await
}

/// The backend's session that a request names, if it names one and it is this caller's.
pub(crate) fn session(
    app: &App,
    caller: &Admitted,
    backend: &str,
    headers: &HeaderMap,
) -> Result<Option<String>, Refusal> {
    if !headers.contains_key(headers::SESSION) {
        return Ok(None);
    }
    let sealed = headers::single(headers, &headers::SESSION);
    let owner = Owner::of(&caller.caller);
    let place = place(caller, backend);
    let own = sealed.and_then(|sealed| session::open(&app.sessions, &owner, &place, sealed));
    own.map(Some).ok_or(RpcViolation::Session.into())
}

/// Gives the client its session id again, or one for the session that the backend just opened,
/// sealed for this caller.
pub(crate) fn put_session(
    app: &App,
    caller: &Admitted,
    backend: &str,
    own: &str,
    (sent, response): (&HeaderMap, &mut Response),
) {
    let is_known = matches!(session(app, caller, backend, sent), Ok(Some(known)) if known == own);
    let value = if is_known {
        sent.get(headers::SESSION).cloned()
    } else {
        let owner = Owner::of(&caller.caller);
        let sealed = session::seal(&app.sessions, &owner, &place(caller, backend), own);
        sealed.ok().and_then(|sealed| HeaderValue::try_from(sealed).ok())
    };
    if let Some(value) = value {
        response.headers_mut().insert(headers::SESSION, value);
    }
}

async fn send(
    app: &App,
    (route, caller): (&Route, &Arc<Admitted>),
    (surface, mut relayed): (Arc<Surface>, Relayed),
    (sent, trace): (&HeaderMap, &mut Trace),
) -> Result<Response, Refusal> {
    let name = relayed.backend.to_string();
    // A session's stream tells of its tasks as a stream of news does.
    let tasks = handles::tasks(app, caller, (Method::Listen, &name));
    let allowed = caller.caller.workspaces.clone();
    let rows = surface.terms.row_workspace.clone().map(|member| Rows { allowed, member });
    let examination = tasks.map(|tasks| Examination {
        completes_workspace: false,
        from: Era::Legacy,
        handles: None,
        handles_only: rows.is_none(),
        left: caller.caller.expires.since(app.clock.now()),
        log: None,
        method: Method::Listen,
        rows,
        scope: caller.caller.scope.clone(),
        surface,
        tasks: Some(tasks),
        to: Era::Legacy,
        workspaces: Vec::new(),
        wraps_output: false,
    });
    let stream = match relayed.method {
        HttpMethod::GET => Some(app.limits.open_stream(caller)?),
        _ => None,
    };
    trace.ask(&mut relayed.passed);
    let answer = backends::relay(app, caller, relayed).await;
    trace.answered(&name, Some(&answer));
    let upstream = answer.map_err(|error| Refusal::Backend { error, name: name.clone() })?;
    let (app_of, caller_of) = (app.clone(), Arc::clone(caller));
    let listener = Listener {
        app: app_of,
        caller: caller_of,
        room: None,
        silence: route.silence,
        stream,
        underway: None,
    };
    let session = upstream.session.clone();
    let mut response = answer::respond(upstream, examination, Asked::default(), listener);
    if let Some(session) = session {
        put_session(app, caller, &name, &session, (sent, &mut response));
    }
    Ok(response)
}

fn only(surface: &Surface) -> Result<Arc<str>, Refusal> {
    surface.only().map(|source| Arc::clone(&source.backend)).ok_or(NOT_READY)
}

/// A session belongs to a backend behind one resource.
fn place(caller: &Admitted, backend: &str) -> String {
    format!("{} {backend}", caller.caller.resource)
}

fn accepted() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
