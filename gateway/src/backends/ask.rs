//! Requests of the gateway's own to a backend: to learn what it offers, or to open a session.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use http::{HeaderValue, Method as HttpMethod};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    backends::{
        Backend,
        error::BackendError,
        mcp::{Outgoing, Repeated},
        relay::{self, Expected, UpstreamBody},
        session::Session,
    },
    rules::{
        protocol::{Era, Method, Version},
        sse::Event,
    },
};

/// On whose behalf, and in which terms.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The signed identity.
    pub(crate) authorization: HeaderValue,
    pub(crate) session: Option<HeaderValue>,
    pub(crate) version: Version,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The result, or the error's code.
    pub(crate) result: Result<Box<RawValue>, i64>,
    /// The session the backend opened.
    pub(crate) session: Option<HeaderValue>,
}

/// What `initialize` brought.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) result: Box<RawValue>,
    pub(crate) session: Session,
}

/// Sends a request and waits for its response.
pub(crate) async fn ask(
    backend: &Arc<Backend>,
    terms: &Terms,
    method: Method,
    mut params: Map<String, Value>,
) -> Result<Reply, BackendError> {
    let era = terms.version.era();
    if era == Era::Modern {
        params.insert("_meta".to_owned(), modern_meta(terms.version));
    }
    let body = json!({ "jsonrpc": "2.0", "id": ID, "method": method.name(), "params": params });
    let repeated = Repeated { method: method.name(), name: None, params: None };
    let outgoing = Outgoing {
        repeated: (era == Era::Modern).then_some(repeated),
        // `initialize` negotiates what the header would say.
        version: (method != Method::Initialize).then_some(terms.version),
        ..post(terms, &body)
    };
    let response = backend.exchange(&outgoing).await?;
    let session = terms.session.as_ref().and_then(|id| id.to_str().ok());
    let expected = Expected {
        aside: None,
        deadline: None,
        era,
        id: serde_json::value::to_raw_value(ID).ok().map(Arc::from),
        lease: None,
        relayed: false,
        session: session.map(str::to_owned),
    };
    let upstream = relay::read(backend, response, expected).await?;
    let result = match upstream.body {
        UpstreamBody::Empty => None,
        UpstreamBody::Json(bytes) => Answer::read(&bytes),
        // What only a client could wait for is not waited for here.
        UpstreamBody::Stream(events) => {
            relay::within(backend.config().response_timeout, first(events)).await??
        }
    };
    let session = upstream.session.and_then(|id| HeaderValue::try_from(id).ok());
    let result = result.ok_or(BackendError::Answer("it is not one JSON-RPC response"))?;
    Ok(Reply { result, session })
}

/// The answer among events.
async fn first(
    mut events: BoxStream<'static, Result<Event, BackendError>>,
) -> Result<Option<Result<Box<RawValue>, i64>>, BackendError> {
    while let Some(event) = events.next().await {
        if let Some(answer) = event?.data.as_deref().and_then(Answer::read) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Opens a session of a legacy revision. `None`: the backend does not speak that era.
pub(crate) async fn initialize(
    backend: &Arc<Backend>,
    terms: &Terms,
) -> Result<Option<Opened>, BackendError> {
    let params = json!({
        "protocolVersion": terms.version.as_str(),
        "capabilities": {},
        "clientInfo": client_info(),
    });
    let params = params.as_object().cloned().unwrap_or_default();
    let Some(reply) = unless_unknown(ask(backend, terms, Method::Initialize, params).await)? else {
        return Ok(None);
    };
    let Ok(result) = reply.result else { return Ok(None) };
    let Some(version) = negotiated(&result) else { return Ok(None) };
    let session = Session { id: reply.session, version };
    let terms = Terms { session: session.id.clone(), version, ..terms.clone() };
    let body = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    tell(backend, &terms, &body).await;
    Ok(Some(Opened { result, session }))
}

/// Sends a message that is no request. What the backend makes of it does not matter.
pub(crate) async fn tell(backend: &Backend, terms: &Terms, message: &Value) {
    let outgoing = Outgoing { version: Some(terms.version), ..post(terms, message) };
    if let Ok(response) = backend.exchange(&outgoing).await {
        // Reading to the end keeps the connection.
        let body = Limited::new(response.into_body(), SHORT).collect();
        drop(tokio::time::timeout(TOLD, body).await);
    }
}

/// Ends a session, as far as the backend cares.
pub(crate) async fn end(backend: &Backend, terms: &Terms) {
    if terms.session.is_some() {
        let outgoing = Outgoing {
            body: Bytes::new(),
            method: HttpMethod::DELETE,
            version: Some(terms.version),
            ..post(terms, &Value::Null)
        };
        // A backend may refuse this, and forgets the session in its own time.
        drop(backend.exchange(&outgoing).await);
    }
}

/// An answer that cannot be MCP means that the method is not known; that the backend is away or
/// refuses us does not.
pub(crate) fn unless_unknown<T>(
    outcome: Result<T, BackendError>,
) -> Result<Option<T>, BackendError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(BackendError::Answer(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

const ID: &str = "vestibule";
const SHORT: usize = 4096;
/// How long a backend may take to end an answer that nobody reads.
const TOLD: Duration = Duration::from_secs(5);

fn post<'a>(terms: &'a Terms, body: &Value) -> Outgoing<'a> {
    Outgoing {
        authorization: &terms.authorization,
        body: body.to_string().into(),
        last_event_id: None,
        method: HttpMethod::POST,
        passed: None,
        repeated: None,
        session: terms.session.as_ref(),
        version: None,
    }
}

fn modern_meta(version: Version) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": version.as_str(),
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": client_info(),
    })
}

fn client_info() -> Value {
    json!({ "name": "vestibule", "version": env!("CARGO_PKG_VERSION") })
}

#[derive(Deserialize)]
struct Initialized<'a> {
    #[serde(rename = "protocolVersion")]
    version: &'a str,
}

fn negotiated(result: &RawValue) -> Option<Version> {
    let Initialized { version } = serde_json::from_str(result.get()).ok()?;
    Version::parse(version).filter(|version| version.era() == Era::Legacy)
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Fault>,
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Result<Box<RawValue>, i64>> {
        match serde_json::from_slice(bytes).ok()? {
            Self { error: Some(fault), .. } => Some(Err(fault.code)),
            Self { error: None, result } => result.map(Ok),
        }
    }
}
