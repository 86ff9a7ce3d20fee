//! Every way a caller can be wrong, with its wire code and requirement: one enum per registry of
//! codes.

use std::sync::Arc;

use http::HeaderName;
use serde_json::{Value, json, value::RawValue};
use shared::{json::JsonFault, scope::Scope};

use crate::rules::{
    protocol::{Era, Version},
    scan::ScanViolation,
    task,
};

/// A request that is wrong as HTTP, whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransportViolation {
    #[error("the body is larger than this server takes")]
    BodyTooLarge,
    #[error("the body took too long to arrive")]
    BodySlow,
    #[error("the body did not arrive whole")]
    BodyUnreadable,
    #[error("the body is compressed, and this server reads it plain only")]
    ContentEncoding,
    #[error("the content type is not application/json")]
    MediaType,
    #[error("this resource answers POST only")]
    MethodNotAllowed,
    #[error("this resource answers POST, GET and DELETE only")]
    NoSessionMethod,
    #[error("requests from this origin are not allowed")]
    Origin,
    #[error("this host is not served here")]
    UnknownHost,
}

impl TransportViolation {
    /// Status, code and requirement.
    pub(crate) fn wire(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BodyTooLarge => (413, "invalid_request", "RFC 9110 section 15.5.14"),
            Self::BodySlow => (408, "invalid_request", "RFC 9110 section 15.5.9"),
            Self::BodyUnreadable => (400, "invalid_request", "MCP transports, sending messages"),
            Self::ContentEncoding => (415, "invalid_request", "RFC 9110 section 12.5.3"),
            Self::MediaType => (415, "invalid_request", "RFC 9110 section 15.5.16"),
            Self::MethodNotAllowed | Self::NoSessionMethod => {
                (405, "method_not_allowed", "RFC 9110 section 15.5.6")
            }
            Self::Origin => (403, "forbidden_origin", "MCP transports, security"),
            Self::UnknownHost => (421, "misdirected_request", "RFC 9110 section 15.5.20"),
        }
    }
}

/// A credential that does not open the resource (RFC 6750 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BearerViolation {
    #[error("the token is signed with an algorithm that is not accepted here")]
    Algorithm,
    #[error("the token is meant for another resource")]
    Audience,
    #[error("the token is bound to a key of its client, which cannot be shown here")]
    Bound,
    #[error("the token has expired")]
    Expired,
    #[error("the token travels in the address, where it is logged")]
    InQuery,
    #[error("the token does not carry the scope this needs")]
    InsufficientScope { required: Scope },
    #[error("the token comes from another issuer")]
    Issuer,
    #[error("the API key is mistyped or cut off")]
    KeyMalformed,
    #[error("the API key is unknown, has expired or was revoked")]
    KeyUnknown,
    #[error("the token is not a JWS access token")]
    Malformed,
    #[error("no access token was sent")]
    Missing,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was revoked")]
    Revoked,
    #[error("more than one credential was sent")]
    Several,
    #[error("the token's signature does not match")]
    Signature,
    #[error("the token is not an access token")]
    Type,
    #[error("the token is signed with a key the issuer does not publish")]
    UnknownKey,
}

impl BearerViolation {
    /// All that say the same whoever asks for what.
    pub(crate) const FIXED: [Self; 16] = [
        Self::Algorithm,
        Self::Audience,
        Self::Bound,
        Self::Expired,
        Self::InQuery,
        Self::Issuer,
        Self::KeyMalformed,
        Self::KeyUnknown,
        Self::Malformed,
        Self::Missing,
        Self::NotYetValid,
        Self::Revoked,
        Self::Several,
        Self::Signature,
        Self::Type,
        Self::UnknownKey,
    ];

    /// Status, error code and requirement. Where no credential was sent there is no error code
    /// (RFC 6750 section 3.1).
    pub(crate) fn wire(&self) -> (u16, Option<&'static str>, &'static str) {
        let invalid = |requirement| (401, Some("invalid_token"), requirement);
        match self {
            Self::Algorithm => invalid("RFC 8725 section 3.1"),
            Self::Audience | Self::Expired | Self::Issuer | Self::Malformed | Self::Signature => {
                invalid("RFC 9068 section 4")
            }
            Self::Bound => invalid("RFC 7800 section 3"),
            Self::InQuery => (400, Some("invalid_request"), "RFC 6750 section 2.3"),
            Self::InsufficientScope { .. } => {
                (403, Some("insufficient_scope"), "RFC 6750 section 3.1")
            }
            Self::KeyMalformed | Self::KeyUnknown => invalid("RFC 6750 section 3.1"),
            Self::Missing => (401, None, "RFC 6750 section 3"),
            Self::NotYetValid => invalid("RFC 7519 section 4.1.6"),
            Self::Revoked => invalid("RFC 7009 section 2"),
            Self::Several => (400, Some("invalid_request"), "RFC 6750 section 2"),
            Self::Type => invalid("RFC 9068 section 2.1"),
            Self::UnknownKey => invalid("RFC 7517 section 4.5"),
        }
    }

    /// Whether the address pays for it: a credential was tried and is none.
    pub(crate) fn is_failed_attempt(&self) -> bool {
        !matches!(self, Self::Missing | Self::InsufficientScope { .. } | Self::Expired)
    }
}

/// A message that is wrong as JSON-RPC or as MCP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RpcViolation {
    #[error("batches are not served in any revision; send one message per request")]
    Batch,
    #[error("the cursor is not one this server gave")]
    Cursor,
    #[error("the body is not one JSON-RPC 2.0 message")]
    Envelope,
    #[error("the header {0} is missing, repeated, or says something else than the body")]
    HeaderMismatch(HeaderName),
    #[error("the id is neither a string nor an integer")]
    Id,
    #[error("params._meta must hold {0}")]
    MissingMeta(&'static str),
    #[error("params must hold {0}")]
    MissingParam(&'static str),
    #[error("clients send no notifications and responses in this revision")]
    ModernNotification,
    #[error("the address {0}")]
    Narrowing(&'static str),
    #[error("{1} is not served by this resource")]
    NotServed(Era, &'static str),
    #[error("params is not an object, or one of its members has the wrong type")]
    Params,
    #[error("the body is not JSON")]
    Parse,
    #[error("{0}")]
    Scan(ScanViolation),
    #[error("the session is not known here; begin with initialize")]
    Session,
    #[error("Mcp-Session-Id is missing; begin with initialize")]
    SessionMissing,
    #[error("the list has changed since the cursor was given; list again from the start")]
    StaleCursor,
    #[error("the requestState is not one this server gave for this call")]
    State,
    #[error("no such task")]
    Task,
    #[error("the client does not declare the tasks extension, without which nobody asks for one")]
    TasksUndeclared,
    #[error("no request of this server awaits a response")]
    Unasked,
    #[error("no such method")]
    UnknownMethod(Era),
    #[error("no such prompt")]
    UnknownPrompt,
    #[error("no such resource")]
    UnknownResource { era: Era, uri: String },
    #[error("no such tool")]
    UnknownTool,
    #[error("the protocol version is not served here")]
    Version { requested: String },
    #[error("the workspace is none that this connection covers")]
    Workspace,
}

/// A refused message, with its id where it could be read.
#[derive(Clone, Debug)]
pub(crate) struct RpcRefusal {
    pub(crate) id: Option<Arc<RawValue>>,
    pub(crate) violation: RpcViolation,
}

impl From<RpcViolation> for RpcRefusal {
    fn from(violation: RpcViolation) -> Self {
        Self { id: None, violation }
    }
}

impl From<ScanViolation> for RpcViolation {
    fn from(violation: ScanViolation) -> Self {
        match violation {
            ScanViolation::Json(JsonFault::Syntax(_)) => Self::Parse,
            other => Self::Scan(other),
        }
    }
}

impl RpcViolation {
    /// That there is no such resource, or none for this caller.
    pub(crate) fn unknown_resource(era: Era, uri: &str) -> Self {
        Self::UnknownResource { era, uri: uri.to_owned() }
    }

    /// Status, JSON-RPC code and requirement.
    pub(crate) fn wire(&self) -> (u16, i64, &'static str) {
        match self {
            Self::Batch => (400, -32600, "MCP 2025-06-18, basic, JSON-RPC batching removed"),
            Self::Cursor | Self::StaleCursor => (200, -32602, "MCP server, pagination"),
            Self::Envelope | Self::Id => (400, -32600, "MCP basic, messages"),
            Self::HeaderMismatch(_) => (400, -32020, "MCP 2026-07-28, transports"),
            Self::MissingMeta(_) => (400, -32602, "MCP 2026-07-28, basic, _meta"),
            Self::MissingParam(_) | Self::Params => (200, -32602, "JSON-RPC 2.0 section 5.1"),
            Self::ModernNotification => (400, -32600, "MCP 2026-07-28, transports"),
            Self::Narrowing(_) => (400, -32602, "MCP server, tools"),
            Self::Parse => (400, -32700, "JSON-RPC 2.0 section 5.1"),
            Self::Scan(_) => (400, -32600, "RFC 7493 section 2"),
            Self::Session => (404, -32600, "MCP transports, session management"),
            Self::SessionMissing => (400, -32600, "MCP transports, session management"),
            Self::State => (200, -32602, "MCP 2026-07-28, multi round-trip requests"),
            Self::Task => (200, -32602, "MCP server, tasks"),
            Self::TasksUndeclared => (400, -32021, "MCP 2026-07-28, tasks extension"),
            Self::Unasked => (400, -32600, "MCP transports, sending messages"),
            Self::NotServed(Era::Legacy, _) | Self::UnknownMethod(Era::Legacy) => {
                (200, -32601, "JSON-RPC 2.0 section 5.1")
            }
            Self::NotServed(Era::Modern, _) | Self::UnknownMethod(Era::Modern) => {
                (404, -32601, "MCP 2026-07-28, transports")
            }
            Self::UnknownPrompt | Self::Workspace => (200, -32602, "MCP server, prompts"),
            Self::UnknownResource { era: Era::Legacy, .. } => {
                (200, -32002, "MCP server, resources")
            }
            Self::UnknownResource { era: Era::Modern, .. } => {
                (200, -32602, "MCP server, resources")
            }
            Self::UnknownTool => (200, -32602, "MCP server, tools"),
            Self::Version { .. } => (400, -32022, "MCP basic, versioning"),
        }
    }

    /// `error.data`, where the code has some.
    pub(crate) fn data(&self) -> Option<Value> {
        match self {
            Self::TasksUndeclared => {
                let required = json!({ "extensions": { task::EXTENSION: {} } });
                Some(json!({ "requiredCapabilities": required }))
            }
            // Servers of the modern era should say it; those of the legacy one do (MCP server,
            // resources).
            Self::UnknownResource { uri, .. } => Some(json!({ "uri": uri })),
            Self::Version { requested } => {
                let supported = Version::ALL.map(Version::as_str);
                Some(json!({ "supported": supported, "requested": requested }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_text_is_plain_ascii() {
        let bearer = [
            BearerViolation::Algorithm,
            BearerViolation::Audience,
            BearerViolation::Expired,
            BearerViolation::InQuery,
            BearerViolation::InsufficientScope { required: Scope::default() },
            BearerViolation::Issuer,
            BearerViolation::Malformed,
            BearerViolation::Missing,
            BearerViolation::NotYetValid,
            BearerViolation::Revoked,
            BearerViolation::Several,
            BearerViolation::Signature,
            BearerViolation::Type,
            BearerViolation::UnknownKey,
        ];
        for violation in bearer {
            let text = violation.to_string();
            assert!(text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'));
            let (status, error, _) = violation.wire();
            assert_eq!(error.is_none(), violation == BearerViolation::Missing, "{status}");
        }
    }

    #[test]
    fn an_unsupported_version_names_those_that_are_served() {
        let data = RpcViolation::Version { requested: "v9".to_owned() }.data().unwrap();
        assert_eq!(data["requested"], "v9");
        assert_eq!(data["supported"][0], "2026-07-28");
    }

    #[test]
    fn a_method_that_is_unknown_or_not_served_is_404_in_the_modern_era_only() {
        for (era, status) in [(Era::Modern, 404), (Era::Legacy, 200)] {
            assert_eq!(RpcViolation::UnknownMethod(era).wire().0, status);
            let method = "tasks/get";
            assert_eq!(RpcViolation::NotServed(era, method).wire().0, status);
        }
    }
}
