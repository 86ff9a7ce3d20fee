//! What of a request is told to the receiver of traces, where the operator has one: the request,
//! its steps, and whom it asks. Names are the configuration's and the catalogue's, never a
//! client's; no token, argument or person is told.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, request::Parts};
use web::traces::{Attribute, Ending, Span, method_name};

use crate::{
    backends::{BackendError, Upstream},
    config::Route,
    phases::Trace,
    state::App,
};

/// A request that is traced.
#[derive(Debug)]
pub(crate) struct Traced {
    method: &'static str,
    span: Span,
}

/// How a request to an MCP endpoint ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// How its stream ended, if it was one.
    pub(crate) fate: Option<&'static str>,
    /// Whether a backend failed it, whatever the status.
    pub(crate) is_failed: bool,
    pub(crate) method: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) route: &'a Route,
    pub(crate) status: StatusCode,
    pub(crate) what: Option<&'a str>,
    pub(crate) workspace: Option<&'a str>,
}

/// Ends of streams that are nobody's fault.
const ORDERLY: [&str; 5] = ["cancelled", "client_gone", "ok", "revoked", "shutdown"];
const CALL_TOOL: &str = "tools/call";

/// A request that begins, if it is traced.
pub(crate) fn begin(app: &App, parts: &Parts) -> Option<Box<Traced>> {
    let span = span(app, &parts.headers, &parts.extensions)?;
    Some(Box::new(Traced { method: method_name(&parts.method), span }))
}

/// Traces what is no MCP endpoint: an endpoint sees to itself.
pub(crate) async fn follow(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let is_endpoint =
        |path: &MatchedPath| app.config.routes.iter().any(|route| route.path == path.as_str());
    if path.as_ref().is_some_and(is_endpoint) {
        return next.run(request).await;
    }
    let span = span(&app, request.headers(), request.extensions());
    let method = request.method().clone();
    let response = next.run(request).await;
    if let Some(span) = span {
        let path = path.as_ref().map_or("other", MatchedPath::as_str);
        span.answered(&method, path, response.status());
    }
    response
}

fn span(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<Span> {
    let tracer = app.traces.as_ref()?;
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let is_from_proxy = peer.is_some_and(|ConnectInfo(peer)| app.proxies.contains(peer.ip()));
    tracer.begin(headers, is_from_proxy)
}

impl Traced {
    /// The last byte of the answer has gone, or whoever waited for it.
    pub(crate) fn end(self, ended: &Ended<'_>) {
        let Ended { fate, outcome, route, status, .. } = *ended;
        let name = format!("{} {}", self.method, route.path);
        let mut attributes: Vec<Attribute> = vec![
            ("http.request.method", self.method.into()),
            ("http.response.status_code", status.as_u16().into()),
            ("http.route", route.path.clone().into()),
            ("server.address", route.host.clone().into()),
        ];
        attributes.extend(about(ended.method, ended.what));
        if let Some(workspace) = ended.workspace {
            attributes.push(("vestibule.workspace", workspace.to_owned().into()));
        }
        let is_failed = ended.is_failed
            || status.is_server_error()
            || fate.is_some_and(|fate| !ORDERLY.contains(&fate));
        self.span.end(name, Ending { attributes, is_failed, outcome });
    }
}

impl Trace {
    /// Begins a step of the request.
    pub(crate) fn step(&mut self, name: &'static str) {
        if let Some(traced) = &mut self.traced {
            traced.span.step(name);
        }
    }

    /// Begins to ask a backend with these headers, which then say for whom.
    pub(crate) fn ask(&mut self, headers: &mut HeaderMap) {
        if let Some(traced) = &mut self.traced {
            let name = match self.what.as_ref().filter(|_| self.method == CALL_TOOL) {
                Some(tool) => format!("{CALL_TOOL} {tool}"),
                None => self.method.to_owned(),
            };
            traced.span.ask(name, headers);
        }
    }

    /// The backend has answered, or not.
    pub(crate) fn answered(
        &mut self,
        backend: &str,
        answer: Option<&Result<Upstream, BackendError>>,
    ) {
        let Some(traced) = &mut self.traced else { return };
        let mut attributes: Vec<Attribute> = about(self.method, self.what.as_deref()).collect();
        attributes.push(("vestibule.backend", backend.to_owned().into()));
        let (is_failed, outcome) = match answer {
            None => (false, "cancelled"),
            Some(Err(error)) => (true, error.name()),
            Some(Ok(upstream)) => {
                attributes.push(("http.response.status_code", upstream.status.as_u16().into()));
                (false, "ok")
            }
        };
        traced.span.leave(Ending { attributes, is_failed, outcome });
    }

    /// What requests of the step under way carry, if they are traced.
    pub(crate) fn outgoing(&self) -> Option<HeaderValue> {
        let span = self.traced.as_ref().map(|traced| &traced.span)?;
        if span.is_sampled() { span.outgoing() } else { None }
    }
}

/// What is called: a method of MCP, and a tool that exists.
fn about(method: &'static str, what: Option<&str>) -> impl Iterator<Item = Attribute> {
    let tool = what.filter(|_| method == CALL_TOOL);
    let tool = tool.map(|tool| ("gen_ai.tool.name", tool.to_owned().into()));
    std::iter::once(("mcp.method.name", method.into())).chain(tool)
}
