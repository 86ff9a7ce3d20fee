//! Security events by time, person, client and event.

use axum::{
    extract::{Query, State},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::ids::UserId;

use super::{answer, error::AdminError, moment, users};
use crate::{
    App,
    audit_log::{AuditQuery, AuditRecord},
};

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<String>,
    client: Option<String>,
    event: Option<String>,
    limit: Option<usize>,
    since: Option<String>,
    until: Option<String>,
    /// By id or user name; somebody who was removed by id.
    user: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    at: String,
    #[serde(flatten)]
    event: Value,
}

#[derive(Debug, Serialize)]
struct Page {
    events: Vec<Shown>,
    next: Option<String>,
    /// How many events this process could not keep since its start; the log has them.
    dropped: u64,
}

/// The newest events first.
pub(super) async fn list(
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, AdminError> {
    let now = app.clock.now();
    let read =
        |written: Option<String>| written.map(|written| moment::parse(&written, now)).transpose();
    let user = match asked.user {
        Some(user) => match UserId::parse(&user) {
            Ok(id) => Some(id),
            Err(_) => Some(users::id(&app, &user).await?),
        },
        None => None,
    };
    let query = AuditQuery {
        after: asked.after,
        client: asked.client,
        event: asked.event,
        limit: asked.limit.unwrap_or(100).clamp(1, 1000),
        since: read(asked.since)?,
        until: read(asked.until)?,
        user,
    };
    let page = app.audit_log.query(&query, now).await?;
    let shown = |record: AuditRecord| Shown { at: moment::text(record.at), event: record.event };
    let events = page.records.into_iter().map(shown).collect();
    let dropped = app.audit_log.dropped();
    Ok(answer(StatusCode::OK, &Page { events, next: page.next, dropped }))
}
