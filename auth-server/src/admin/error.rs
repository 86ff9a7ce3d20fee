//! What the admin interface refuses, and how.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use web::problem::Problem;

use crate::{
    accounts::ChangeError,
    api_keys::NoKey,
    clients::ClientError,
    error::{Fault, log},
    key_sets::KeyChangeError,
    rules::api_key::InvalidWish,
    store::StoreError,
};

/// Why an operator's request is not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error("the request cannot be read: {0}")]
    Body(String),
    #[error("{0}")]
    Change(#[from] ChangeError),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("a fault of this server")]
    Fault(#[from] Fault),
    #[error("pages have no business here")]
    FromPage,
    #[error("this address does not answer that method")]
    Method,
    #[error("nobody knows who asks")]
    NoPeer,
    #[error("{0}")]
    Query(String),
    #[error("{0}")]
    Keys(#[from] KeyChangeError),
    /// What a key's life does not allow, with what there is to do instead.
    #[error("{0}")]
    NotYet(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no {0}")]
    Unknown(String),
    #[error("{0}")]
    Wish(InvalidWish),
}

impl From<NoKey> for AdminError {
    fn from(error: NoKey) -> Self {
        match error {
            NoKey::Fault(fault) => Self::Fault(fault),
            NoKey::Wish(wish) => Self::Wish(wish),
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Body(_)
            | Self::Query(_)
            | Self::Wish(_)
            | Self::Change(ChangeError::Invalid(_))
            | Self::Client(ClientError::Invalid { .. } | ClientError::Secretless) => {
                (StatusCode::BAD_REQUEST, "invalid_request")
            }
            Self::FromPage | Self::NoPeer => (StatusCode::FORBIDDEN, "access_denied"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
            Self::Change(
                ChangeError::NameTaken(_)
                | ChangeError::OfFile(_)
                | ChangeError::WorkspaceExists(_),
            )
            | Self::Client(ClientError::Exists | ClientError::OfFile)
            | Self::Keys(KeyChangeError::Key(_) | KeyChangeError::OtherKek { .. })
            | Self::NotYet(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Unknown(_)
            | Self::Client(ClientError::Unknown)
            | Self::Change(
                ChangeError::UnknownPerson(_)
                | ChangeError::UnknownResource(_)
                | ChangeError::UnknownWorkspace(_),
            ) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Keys(_)
            | Self::Store(_)
            | Self::Fault(_)
            | Self::Client(ClientError::Randomness(_) | ClientError::Store(_))
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
