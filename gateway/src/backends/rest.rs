//! A tool call to a backend described by `OpenAPI`: one HTTP request, and its answer as the result
//! (RFC 9110 section 15).
//!
//! Invariant: a redirect is never followed, and what may have taken effect is not sent twice.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    backends::{
        Backend, BackendError, Upstream, UpstreamBody,
        authorization::{About, authorize},
        relay::{self, Media},
        sending,
    },
    claims::Admitted,
    config::Api,
    rules::{
        eras,
        members::Members,
        openapi::{self, Received, RestRequest},
        permit::Permit,
        protocol::Method,
        rpc::Call,
    },
    state::App,
};

/// Calls the operation that a tool is.
pub(super) async fn call(
    (app, caller): (&App, &Admitted),
    backend: &Arc<Backend>,
    api: &Api,
    (call, permit): (&Call, &Permit),
    deadline: Option<Instant>,
) -> Result<Upstream, BackendError> {
    if permit.method != Method::CallTool {
        let message = format!("{} is not served here", permit.method.name());
        let error = json!({ "code": -32601, "message": message });
        let body = json!({ "jsonrpc": "2.0", "id": call.id, "error": error }).to_string();
        let status = eras::status(permit.era, body.as_bytes());
        return Ok(Upstream { status, ..answer(body) });
    }
    let name = permit.name.as_deref().unwrap_or_default();
    let operation = api.operations.get(name).ok_or(BackendError::Unknown)?;
    let given = Envelope::arguments(&permit.body);
    let given = given.as_deref().map_or("{}", RawValue::get);
    let arguments = Members::read(given.as_bytes()).unwrap_or_default();
    let to = (&*call.id, permit.era);
    let request = match openapi::request(operation, &backend.config().url, &arguments) {
        Ok(request) => request,
        Err(words) => return Ok(answer(openapi::refused(to, &words))),
    };
    // Only escaped text and what the configuration says is in it, so it can be read.
    let uri: Uri = request.target.parse().map_err(|_| BackendError::Unknown)?;
    // What the backend sees is what a proof of this call is about.
    let about = Some(About { permit, request: Some(&request) });
    let workspace = permit.workspace.as_ref();
    let authorization = authorize(app, caller, backend, workspace, about).await?;
    let parts = || (permit.passed.clone(), request.clone(), uri.clone());
    let written = || written(backend, parts(), authorization.clone());
    let response = backend.send_again(written, operation.is_read_only()).await?;
    let (head, body) = response.into_parts();
    match head.status.as_u16() {
        401 | 403 => return Err(BackendError::Refused),
        429 | 503 => return Err(sending::deferred(&head.headers)),
        504 => return Err(BackendError::Timeout),
        300..=399 => return Err(BackendError::Answer("it redirects")),
        _ => {}
    }
    let media = media_type(&head.headers)?;
    let body = relay::collect(backend, body, deadline).await?;
    let received = Received { body: &body, media: &media, status: head.status };
    let name = &*backend.config().name;
    openapi::result(to, (name, operation), received).map(answer).map_err(BackendError::Answer)
}

fn written(
    backend: &Backend,
    (passed, request, uri): (HeaderMap, RestRequest, Uri),
    authorization: HeaderValue,
) -> Request<Full<Bytes>> {
    let RestRequest { body, headers, method, target: _ } = request;
    let has_body = body.is_some();
    let mut request = Request::new(Full::new(body.unwrap_or_default()));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = passed;
    let own = request.headers_mut();
    // What the arguments say stands above what the client adds.
    own.extend(headers);
    own.insert(HOST, backend.target.authority.clone());
    own.insert(AUTHORIZATION, authorization);
    own.insert(ACCEPT, HeaderValue::from_static("application/json, text/*;q=0.5"));
    if has_body {
        own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request
}

/// The media type without its parameters; empty if there is none.
fn media_type(headers: &HeaderMap) -> Result<String, BackendError> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(BackendError::Answer("it is compressed, which was not asked for"));
    }
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    Ok(essence.trim().to_ascii_lowercase())
}

fn answer(body: impl Into<Bytes>) -> Upstream {
    Upstream {
        body: UpstreamBody::Json(body.into()),
        headers: relay::headers(Some(Media::Json)),
        session: None,
        status: StatusCode::OK,
    }
}

/// The message as far as it is read here.
#[derive(Deserialize)]
struct Envelope {
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    arguments: Option<Box<RawValue>>,
}

impl Envelope {
    fn arguments(body: &[u8]) -> Option<Box<RawValue>> {
        serde_json::from_slice::<Self>(body).ok()?.params.arguments
    }
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
