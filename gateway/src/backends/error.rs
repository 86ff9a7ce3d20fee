//! What can go wrong with a backend, in words for the model that called.

use std::time::Duration;

use http::StatusCode;

use crate::backends::pool::PoolError;

/// Why a backend gave no answer that can be passed on. The texts continue `the backend NAME`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// Not what MCP allows.
    #[error("gave an answer that cannot be passed on: {0}; report it to whoever runs it")]
    Answer(&'static str),
    /// The connection ended before the head of the answer.
    #[error(
        "broke the connection before it answered; the call may have taken effect, so look before repeating it"
    )]
    Broken,
    /// It has as many calls under way as this gateway allows.
    #[error("has too many calls under way; try again in a moment")]
    Busy,
    /// It asked for time with 429 or 503.
    #[error("is not available now and asks for time; try again in {} s", seconds(.0))]
    Deferred(Duration),
    /// The backend's token endpoint is away; nothing was sent.
    #[error("was not called, because its token endpoint is not available now; try again later")]
    ExchangeAway,
    /// The backend's token endpoint gives no token; nothing was sent.
    #[error(
        "was not called, because its token endpoint gives no token for this caller; whoever runs \
         the gateway must correct that"
    )]
    ExchangeRefused,
    /// This gateway could not make the identity it sends.
    #[error("was not called, because its identity could not be signed; try again later")]
    Identity(#[source] crate::backends::credential::IdentityError),
    /// A client's answer to a question that no backend asked it.
    #[error("asked no such question in this session")]
    NotAsked,
    /// Its own 401 or 403.
    #[error("refused this gateway's identity; whoever runs the gateway must correct that")]
    Refused,
    /// It takes no call outside of a session, and is configured to be called without.
    #[error(
        "takes calls in sessions only, and this gateway opens none with it; whoever runs the \
         gateway must set session = \"pooled\" for it"
    )]
    SessionWanted,
    /// It failed several times in a row, so nothing is sent to it for a while.
    #[error("is not available now: {why}; try again in {} s", seconds(left))]
    Spared { left: Duration, why: &'static str },
    /// Its 404 for a session.
    #[error("ended the session; begin with initialize")]
    SessionGone,
    #[error("did not answer in time; the call may have taken effect, so look before repeating it")]
    Timeout,
    #[error("gave an answer that is too large; ask for less at once")]
    TooLarge,
    /// It cannot be reached; nothing was sent.
    #[error("is not available now; try again later")]
    Unavailable,
    /// No backend of that name is configured.
    #[error("is not known here")]
    Unknown,
}

impl BackendError {
    /// The HTTP status that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Answer(_)
            | Self::Broken
            | Self::ExchangeRefused
            | Self::Refused
            | Self::SessionWanted
            | Self::TooLarge => StatusCode::BAD_GATEWAY,
            Self::Identity(_) | Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotAsked => StatusCode::BAD_REQUEST,
            Self::SessionGone => StatusCode::NOT_FOUND,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy
            | Self::Deferred(_)
            | Self::ExchangeAway
            | Self::Spared { .. }
            | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// When the call may be sent again, where nothing of it was done.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy => Some(1),
            Self::Deferred(span) | Self::Spared { left: span, .. } => Some(seconds(span)),
            Self::ExchangeAway | Self::Unavailable => Some(2),
            _ => None,
        }
    }

    /// Whether its text is for the model that called a tool: it has nothing to do with the session
    /// and is not of the gateway's own making.
    pub(crate) fn is_for_model(&self) -> bool {
        !matches!(self, Self::Identity(_) | Self::NotAsked | Self::SessionGone | Self::Unknown)
    }

    /// Whether nothing of the call reached the backend.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self, Self::Busy | Self::Spared { .. } | Self::Unavailable)
    }

    /// What it says of the backend's health: why it failed, if it did.
    pub(crate) fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Broken => Some("it breaks connections before it answers"),
            Self::Timeout => Some("it does not answer in time"),
            Self::Unavailable => Some("it cannot be reached"),
            _ => None,
        }
    }

    /// A word for records and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::Deferred(_) => "deferred",
            Self::ExchangeAway => "exchange_away",
            Self::ExchangeRefused => "exchange_refused",
            Self::Identity(_) => "identity",
            Self::NotAsked => "not_asked",
            Self::Refused => "refused",
            Self::SessionGone => "session_gone",
            Self::SessionWanted => "session_wanted",
            Self::Spared { .. } => "spared",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// Whole seconds, at least one.
fn seconds(span: &Duration) -> u64 {
    (span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1)
}

impl From<PoolError> for BackendError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Busy,
            PoolError::Connect(_) | PoolError::ConnectTimeout => Self::Unavailable,
            PoolError::Exchange(_) => Self::Broken,
            PoolError::Late => Self::Timeout,
        }
    }
}
