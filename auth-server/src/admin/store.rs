//! The whole store: a back-up of it while it is served, and what it holds.

use std::{collections::BTreeMap, path::PathBuf};

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{answer, error::AdminError, moment, read};
use crate::{
    App,
    store::{Census, StoreError, census, write_backup},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// A file that does not exist yet.
    path: PathBuf,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    taken: String,
    holds: BTreeMap<String, u64>,
    digest: String,
}

impl Shown {
    fn of(app: &App, file: Option<PathBuf>, census: Census) -> Self {
        let taken = moment::text(app.clock.now());
        Self { file, taken, holds: census.counts, digest: census.digest }
    }
}

/// Writes a back-up to a file of the server's machine.
pub(super) async fn backup(State(app): State<App>, body: Body) -> Result<Response, AdminError> {
    let Asked { path } = read(body).await?;
    if !path.is_absolute() {
        return Err(AdminError::Query("the file needs an absolute path".to_owned()));
    }
    // Served first, so that a store that may have lost revocations is not copied.
    app.store.sealed().await?;
    let census = match write_backup(&*app.whole, &path, app.clock.now()).await {
        Err(StoreError::Backup(why)) => return Err(AdminError::Query(why)),
        other => other?,
    };
    Ok(answer(StatusCode::OK, &Shown::of(&app, Some(path), census)))
}

/// Reads everything, and says what there is.
pub(super) async fn check(State(app): State<App>) -> Result<Response, AdminError> {
    let census = match census(&*app.whole, app.clock.now()).await {
        Err(StoreError::Corrupt(why)) => return Err(AdminError::Query(why)),
        other => other?,
    };
    Ok(answer(StatusCode::OK, &Shown::of(&app, None, census)))
}
