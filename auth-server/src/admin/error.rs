//! What the admin interface refuses, and how.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use web::problem::Problem;

use crate::{accounts::ChangeError, error::log, store::StoreError};

/// Why an operator's request is not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error("the request cannot be read: {0}")]
    Body(String),
    #[error("{0}")]
    Change(#[from] ChangeError),
    #[error("pages have no business here")]
    FromPage,
    #[error("this address does not answer that method")]
    Method,
    #[error("nobody knows who asks")]
    NoPeer,
    #[error("{0}")]
    Query(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no {0}")]
    Unknown(String),
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Body(_) | Self::Query(_) | Self::Change(ChangeError::Invalid(_)) => {
                (StatusCode::BAD_REQUEST, "invalid_request")
            }
            Self::FromPage | Self::NoPeer => (StatusCode::FORBIDDEN, "access_denied"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
            Self::Change(
                ChangeError::NameTaken(_)
                | ChangeError::OfFile(_)
                | ChangeError::WorkspaceExists(_),
            ) => (StatusCode::CONFLICT, "conflict"),
            Self::Unknown(_)
            | Self::Change(
                ChangeError::UnknownPerson(_)
                | ChangeError::UnknownResource(_)
                | ChangeError::UnknownWorkspace(_),
            ) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Store(_)
            | Self::Change(
                ChangeError::Busy | ChangeError::Randomness(_) | ChangeError::Store(_),
            ) => {
                log(&self);
                let text = "the server cannot do this now; ask again";
                return Problem::unavailable(text, 2).into_response();
            }
        };
        Problem::new(status, code, &self.to_string()).into_response()
    }
}
