//! What can go wrong with a backend, in words for the model that called.

use http::StatusCode;

use crate::backends::pool::PoolError;

/// Why a backend gave no answer that can be passed on. The texts continue `the backend NAME`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// Not what MCP allows.
    #[error("gave an answer that cannot be passed on: {0}; report it to whoever runs it")]
    Answer(&'static str),
    /// This gateway could not make the identity it sends.
    #[error("was not called, because its identity could not be signed; try again later")]
    Identity(#[source] crate::backends::credential::IdentityError),
    /// A client's answer to a question that no backend asked it.
    #[error("asked no such question in this session")]
    NotAsked,
    /// Its own 401 or 403.
    #[error("refused this gateway's identity; whoever runs the gateway must correct that")]
    Refused,
    /// Its 404 for a session.
    #[error("ended the session; begin with initialize")]
    SessionGone,
    #[error("did not answer in time; the call may have taken effect, so look before repeating it")]
    Timeout,
    #[error("gave an answer that is too large; ask for less at once")]
    TooLarge,
    /// It cannot be reached, or takes no more requests now; nothing was sent.
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
            Self::Answer(_) | Self::Refused | Self::TooLarge => StatusCode::BAD_GATEWAY,
            Self::Identity(_) | Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotAsked => StatusCode::BAD_REQUEST,
            Self::SessionGone => StatusCode::NOT_FOUND,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word for records and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Identity(_) => "identity",
            Self::NotAsked => "not_asked",
            Self::Refused => "refused",
            Self::SessionGone => "session_gone",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

impl From<PoolError> for BackendError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy | PoolError::Connect(_) | PoolError::ConnectTimeout => {
                Self::Unavailable
            }
            PoolError::Exchange(_) => Self::Answer("the connection broke before the answer"),
        }
    }
}
