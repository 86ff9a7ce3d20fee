//! One line for each call: what was asked of what, by whom, and how it ended. Never a payload.

use std::time::Duration;

use http::StatusCode;

use crate::{
    claims::Admitted,
    config::{RawAudit, Route},
};

/// Where the lines go; filters name it.
const TARGET: &str = "vestibule::request";

/// What a line says.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) caller: Option<&'a Admitted>,
    pub(crate) method: &'a str,
    pub(crate) outcome: &'a str,
    pub(crate) route: &'a Route,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    /// A tool, prompt or resource that exists; never a name somebody made up.
    pub(crate) what: Option<&'a str>,
    pub(crate) workspace: Option<&'a str>,
}

/// Writes the line.
pub(crate) fn record(record: &Record<'_>) {
    if record.route.audit == RawAudit::None {
        return;
    }
    let micros = u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX);
    let caller = record.caller.map(|admitted| &admitted.caller);
    tracing::info!(
        target: TARGET,
        service = "gateway",
        method = record.method,
        tool = record.what,
        outcome = record.outcome,
        status = record.status.as_u16(),
        micros,
        subject = caller.map(|caller| caller.subject.as_str()),
        client = caller.map(|caller| caller.client.as_str()),
        workspace = record.workspace,
        resource = record.route.resource.indicator.as_str(),
        "request"
    );
}
