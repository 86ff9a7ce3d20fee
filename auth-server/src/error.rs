//! Failure to HTTP: the only mapping. A violation is the peer's to mend and says how; a fault of
//! ours is always transient on the wire, because clients drop their tokens at anything else.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use shared::problem::chain;
use web::{limits::Limited, problem::Problem};

use crate::{
    mint::NoRandomness,
    rules::violation::{BearerViolation, RegistrationViolation, TokenViolation, describe},
    store::StoreError,
};

/// How long a client waits after a fault of ours, in seconds.
const RETRY_AFTER: u64 = 2;

/// A fault of ours, or of what we depend on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a key cannot be used")]
    Key(#[from] keys::KeyError),
    #[error("the keys in the store were not seen for too long to sign with them")]
    KeysBehind,
    #[error("the machine gives no randomness")]
    Randomness(#[from] NoRandomness),
    #[error("the ring of MAC keys does not hold the key of a token")]
    RingBehind,
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// What the token and revocation endpoints answer instead of tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The client's keys cannot be had at the moment.
    #[error("the keys of the client cannot be read")]
    ClientKeys,
    #[error("too many requests")]
    Limited(Limited),
    #[error("a fault of this server")]
    Fault(#[from] Fault),
    /// More replays of one token than anybody honest makes.
    #[error("too many replays")]
    Replays,
    #[error("{0}")]
    Violation(#[from] TokenViolation),
    /// A violation by a client that used the `Authorization` header.
    #[error("{0}")]
    ViolationWithChallenge(TokenViolation),
}

/// What an endpoint that takes access tokens answers instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BearerError {
    #[error("a fault of this server")]
    Fault(#[from] Fault),
    #[error("too many requests")]
    Limited(Limited),
    #[error("{0}")]
    Violation(#[from] BearerViolation),
}

/// What the registration endpoint answers instead of a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    #[error("registration is closed")]
    Closed,
    #[error("a fault of this server")]
    Fault(#[from] Fault),
    /// As many clients are registered as the operator allows.
    #[error("there is no room for another client")]
    Full,
    #[error("too many requests")]
    Limited(Limited),
    #[error("the body is too large")]
    TooLarge,
    #[error("{0}")]
    Violation(#[from] RegistrationViolation),
}

impl From<StoreError> for RegistrationError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<NoRandomness> for RegistrationError {
    fn from(error: NoRandomness) -> Self {
        Self::Fault(error.into())
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<StoreError> for BearerError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<NoRandomness> for TokenError {
    fn from(error: NoRandomness) -> Self {
        Self::Fault(error.into())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        log(&self);
        let problem = "the server cannot answer now; nothing is lost, try again";
        Problem::unavailable(problem, RETRY_AFTER).into_response()
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        match self {
            Self::ClientKeys => {
                let problem = "the client's jwks_uri cannot be read at the moment; try again";
                Problem::unavailable(problem, 30).into_response()
            }
            Self::Fault(fault) => fault.into_response(),
            Self::Limited(limited) => Problem::from(limited).into_response(),
            Self::Replays => {
                let problem = "this refresh token was replayed too often; wait and try again";
                Problem::unavailable(problem, 5).into_response()
            }
            Self::Violation(violation) => token(&violation, false).into_response(),
            Self::ViolationWithChallenge(violation) => token(&violation, true).into_response(),
        }
    }
}

impl IntoResponse for BearerError {
    fn into_response(self) -> Response {
        let violation = match self {
            Self::Fault(fault) => return fault.into_response(),
            Self::Limited(limited) => return Problem::from(limited).into_response(),
            Self::Violation(violation) => violation,
        };
        let wire = violation.wire();
        tracing::info!(?violation, requirement = wire.requirement, "refused");
        let text = describe(&violation, wire);
        // RFC 6750 section 3.1: without any token the challenge names no error.
        let (error, challenge) = match wire.code {
            "" => ("invalid_request", "Bearer".to_owned()),
            "insufficient_scope" => {
                (wire.code, format!("Bearer error=\"{}\", scope=\"openid\"", wire.code))
            }
            code => (code, format!("Bearer error=\"{code}\", error_description=\"{text}\"")),
        };
        Problem::new(status(wire.status), error, &text).with_challenge(&challenge).into_response()
    }
}

impl IntoResponse for RegistrationError {
    fn into_response(self) -> Response {
        match self {
            Self::Closed => Problem::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "registration is closed here; ask the operator to add the client",
            )
            .into_response(),
            Self::Fault(fault) => fault.into_response(),
            Self::Full => {
                let problem =
                    "as many clients are registered as this server takes; try again later";
                Problem::unavailable(problem, 60).into_response()
            }
            Self::Limited(limited) => Problem::from(limited).into_response(),
            Self::TooLarge => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_client_metadata",
                "the body has more than 64 KiB",
            )
            .into_response(),
            Self::Violation(violation) => {
                let wire = violation.wire();
                tracing::info!(violation = ?violation, requirement = wire.requirement, "refused");
                let status = status(wire.status);
                let problem = Problem::new(status, wire.code, &describe(&violation, wire));
                if wire.status == 401 {
                    let missing = matches!(
                        violation,
                        RegistrationViolation::InitialAccessMissing
                            | RegistrationViolation::ManagementMissing
                    );
                    return problem.with_challenge(bearer(missing)).into_response();
                }
                problem.into_response()
            }
        }
    }
}

/// The challenge of RFC 6750 section 3: without an error code where no token was shown.
fn bearer(is_missing: bool) -> &'static str {
    if is_missing {
        "Bearer realm=\"registration\""
    } else {
        "Bearer realm=\"registration\", error=\"invalid_token\""
    }
}

fn token(violation: &TokenViolation, challenge: bool) -> Problem {
    let wire = violation.wire();
    tracing::info!(violation = ?violation, requirement = wire.requirement, "refused");
    let problem = Problem::new(status(wire.status), wire.code, &describe(violation, wire));
    if challenge && wire.status == 401 {
        return problem.with_challenge("Basic realm=\"token\", charset=\"UTF-8\"");
    }
    problem
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

/// Logs the whole chain of causes of a fault.
pub(crate) fn log(error: &dyn std::error::Error) {
    tracing::error!(chain = %chain(error), "fault");
}
