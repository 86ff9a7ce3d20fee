//! Initial access tokens (RFC 7591 section 3): issued, listed, revoked.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{answer, error::AdminError, moment, read};
use crate::{
    App,
    clients::{InitialAccessToken, NewInitialAccessToken},
};

/// The longest note.
const LONGEST_NOTE: usize = 200;

/// A new token as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    life_seconds: Option<u64>,
    note: String,
    uses: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Shown {
    /// Names the token without being it.
    id: String,
    note: String,
    created: String,
    /// Null means never.
    expires: Option<String>,
    /// Null means as many as one likes.
    uses_left: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Issued<'a> {
    #[serde(flatten)]
    shown: Shown,
    /// Shown once.
    token: &'a str,
}

#[derive(Debug, Serialize)]
struct List {
    tokens: Vec<Shown>,
}

impl From<InitialAccessToken> for Shown {
    fn from(token: InitialAccessToken) -> Self {
        Self {
            id: token.id,
            note: token.note,
            created: moment::text(token.created),
            expires: token.expires.map(moment::text),
            uses_left: token.remaining,
        }
    }
}

/// Every token that is not over.
pub(super) async fn list(State(app): State<App>) -> Result<Response, AdminError> {
    let tokens = app.list_initial_access_tokens().await?;
    let tokens = tokens.into_iter().map(Shown::from).collect();
    Ok(answer(StatusCode::OK, &List { tokens }))
}

/// Issues a token. It is in this answer and nowhere else.
pub(super) async fn issue(State(app): State<App>, body: Body) -> Result<Response, AdminError> {
    let Asked { life_seconds, note, uses } = read(body).await?;
    if note.len() > LONGEST_NOTE || note.chars().any(char::is_control) {
        let text = format!("the note is longer than {LONGEST_NOTE} bytes or more than one line");
        return Err(AdminError::Query(text));
    }
    if uses == Some(0) || life_seconds == Some(0) {
        return Err(AdminError::Query("the token would be over at once".to_owned()));
    }
    let life = life_seconds.map(Duration::from_secs);
    let new = NewInitialAccessToken { life, note, uses };
    let (token, secret) = app.create_initial_access_token(new).await?;
    let issued = Issued { shown: Shown::from(token), token: secret.expose() };
    Ok(answer(StatusCode::CREATED, &issued))
}

/// Revokes the token of that id; the clients it registered stay.
pub(super) async fn revoke(
    State(app): State<App>,
    Path(token): Path<String>,
) -> Result<StatusCode, AdminError> {
    if app.revoke_initial_access_token(&token).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(AdminError::Unknown(format!("initial access token {token}")))
}
