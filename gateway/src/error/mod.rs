//! Refusals as HTTP: the only mapping.
//!
//! Once a message's id is known, every refusal carries a JSON-RPC body with that id, whatever its
//! status; 401, 403 and 429 keep their headers. What a backend failed of a tool's call is told to
//! the model, as the result of the tool.

mod challenge;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json, value::RawValue};
use shared::scope::Scope;
use web::{
    limits::Limited,
    problem::{Problem, TEMPORARILY_UNAVAILABLE, json},
};

pub(crate) use self::challenge::{Challenges, Terms};
use crate::{
    backends::BackendError,
    config::Route,
    rules::{
        permit::Denied,
        protocol::Era,
        violation::{BearerViolation, RpcViolation, TransportViolation},
    },
};

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the backend {name} {error}")]
    Backend { error: BackendError, name: String },
    #[error(transparent)]
    Bearer(#[from] BearerViolation),
    /// A credential that is none, from an address that has shown too many.
    #[error("{limited}")]
    Exhausted { limited: Limited, violation: BearerViolation },
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error(transparent)]
    Rpc(#[from] RpcViolation),
    /// Words for the model, as a tool result.
    #[error("{0}")]
    Text(String),
    #[error(transparent)]
    Transport(#[from] TransportViolation),
    /// It cannot be known now.
    #[error("{0}")]
    Unavailable(&'static str),
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Rpc(violation) => Self::Rpc(violation),
            Denied::Scope(required) => {
                Self::Bearer(BearerViolation::InsufficientScope { required })
            }
            Denied::Text(text) => Self::Text(text),
        }
    }
}

/// What is known of the request that is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) calls_tool: bool,
    pub(crate) era: Option<Era>,
    /// The scope the caller has, once it is known.
    pub(crate) granted: Option<&'a Scope>,
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) route: &'a Route,
}

impl Refusal {
    /// A word for records and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Backend { error, .. } => error.name(),
            Self::Bearer(BearerViolation::InsufficientScope { .. }) => "insufficient_scope",
            Self::Bearer(_) => "unauthenticated",
            Self::Exhausted { .. } | Self::Limited(_) => "limited",
            Self::Rpc(_) => "invalid",
            Self::Text(_) => "tool_error",
            Self::Transport(_) => "transport",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Whether a backend failed, or what is asked on its way.
    pub(crate) fn is_of_backend(&self) -> bool {
        matches!(self, Self::Backend { error, .. } if error.status().is_server_error())
    }

    /// What asks for the refusal, where a specification does.
    pub(crate) fn requirement(&self) -> Option<&'static str> {
        match self {
            Self::Bearer(violation) | Self::Exhausted { violation, .. } => Some(violation.wire().2),
            Self::Rpc(violation) => Some(violation.wire().2),
            Self::Transport(violation) => Some(violation.wire().2),
            Self::Backend { .. } | Self::Limited(_) | Self::Text(_) | Self::Unavailable(_) => None,
        }
    }

    /// The refusal as a response.
    pub(crate) fn respond(&self, about: About<'_>) -> Response {
        match self {
            Self::Backend { error, .. } => {
                let seconds = error.retry_after();
                let response = if about.calls_tool && error.is_for_model() {
                    tool_error(&self.text(), about.id, about.era)
                } else {
                    let wait = |seconds| json!({ "error": TEMPORARILY_UNAVAILABLE, "retry_after": seconds });
                    let data = seconds.map(wait);
                    rpc_error(error.status(), about.id, -32603, &self.text(), data)
                };
                match seconds {
                    Some(seconds) => retry_after(response, seconds),
                    None => response,
                }
            }
            Self::Bearer(violation) => {
                about.route.challenges.answer(violation, about.granted, about.id)
            }
            Self::Exhausted { limited, violation } => {
                let mut response = Problem::from(*limited).into_response();
                if let Some(value) = about.route.challenges.header(violation, about.granted) {
                    response.headers_mut().insert(WWW_AUTHENTICATE, value);
                }
                response
            }
            Self::Limited(limited) => {
                let response = match about.id {
                    Some(id) => {
                        let data = json!({ "error": TEMPORARILY_UNAVAILABLE,
                            "retry_after": limited.retry_after });
                        let status = StatusCode::TOO_MANY_REQUESTS;
                        rpc_error(status, Some(id), -32603, &self.text(), Some(data))
                    }
                    None => Problem::from(*limited).into_response(),
                };
                retry_after(response, limited.retry_after)
            }
            Self::Rpc(violation) => {
                let (status, code, _) = violation.wire();
                rpc_error(status_of(status), about.id, code, &self.text(), violation.data())
            }
            Self::Text(text) => tool_error(text, about.id, about.era),
            Self::Transport(violation) => transport(*violation),
            Self::Unavailable(why) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                match about.id {
                    Some(id) => retry_after(rpc_error(status, Some(id), -32603, why, None), 1),
                    None => Problem::unavailable(why, 1).into_response(),
                }
            }
        }
    }

    /// The text with what makes it checkable.
    fn text(&self) -> String {
        match self {
            Self::Rpc(violation) => violation.to_string(),
            other => other.to_string(),
        }
    }
}

/// A refusal that concerns the request as HTTP.
pub(crate) fn transport(violation: TransportViolation) -> Response {
    let (status, error, requirement) = violation.wire();
    let text = format!("{violation} ({requirement})");
    let mut response = Problem::new(status_of(status), error, &text).into_response();
    let told = match violation {
        TransportViolation::ContentEncoding => Some((ACCEPT_ENCODING, "identity")),
        TransportViolation::MethodNotAllowed => Some((ALLOW, "POST")),
        TransportViolation::NoSessionMethod => Some((ALLOW, "DELETE, GET, POST")),
        _ => None,
    };
    if let Some((name, value)) = told {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Words for the model, as the result of a tool.
pub(crate) fn tool_error(text: &str, id: Option<&RawValue>, era: Option<Era>) -> Response {
    json(StatusCode::OK, failed(text, id, era))
}

/// The message with the words for the model.
pub(crate) fn failed(text: &str, id: Option<&RawValue>, era: Option<Era>) -> String {
    let content = json!([{ "type": "text", "text": text }]);
    let result = if era == Some(Era::Modern) {
        json!({ "content": content, "isError": true, "resultType": "complete" })
    } else {
        json!({ "content": content, "isError": true })
    };
    response(id, "result", &result)
}

/// A JSON-RPC error. Without an id that could be read it carries `null` (JSON-RPC 2.0 section 5).
pub(crate) fn rpc_error(
    status: StatusCode,
    id: Option<&RawValue>,
    code: i64,
    message: &str,
    data: Option<Value>,
) -> Response {
    let error = match data {
        Some(data) => json!({ "code": code, "message": message, "data": data }),
        None => json!({ "code": code, "message": message }),
    };
    json(status, response(id, "error", &error))
}

/// A response message; the id keeps its bytes.
fn response(id: Option<&RawValue>, member: &str, value: &Value) -> String {
    let id = id.map_or("null", RawValue::get);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{member}\":{value}}}")
}

fn retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests;
