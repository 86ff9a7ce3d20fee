//! What the gateway counts and measures; `docs/operate/telemetry.md` says what each means.
//!
//! No label holds what a stranger wrote: tools are those that exist, workspaces those that were
//! granted.

use std::time::Duration;

use http::StatusCode;
use web::metrics::{Counts, Level, Metrics as Registry, Times, Value};

use crate::{rules::silence::Standing, state::App};

/// The numbers.
#[derive(Debug)]
pub(crate) struct Metrics {
    cache: Level,
    calls: Times<3>,
    feed_silence: Level,
    feed_standing: Level,
    jwks_age: Level,
    key_set_version: Level,
    keys: Level,
    limit_charges: Level,
    limit_gateways: Level,
    limits_shared: Level,
    ready_backends: Level,
    refusals: Counts<1>,
    registry: Registry,
    requests: Counts<3>,
}

/// A call as it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<'a> {
    pub(crate) method: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    pub(crate) what: Option<&'a str>,
    pub(crate) workspace: Option<&'a str>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut of = Registry::new("vestibule_gateway");
        Self {
            cache: of.level("claims_cache_entries", "Accepted tokens that are remembered"),
            calls: of.times(
                "call_seconds",
                "Time to the head of the answer to a call, by tool, workspace and outcome",
                ["tool", "workspace", "outcome"],
            ),
            feed_silence: of.level(
                "feed_silence_seconds",
                "Time since the feed of revocations was heard; -1 if it never was",
            ),
            feed_standing: of
                .level("feed_standing", "The feed of revocations: 0 current, 1 silent, 2 unknown"),
            jwks_age: of
                .level("jwks_age_seconds", "Age of the issuer's keys; -1 if there are none"),
            key_set_version: of.level("key_set_version", "Version of the issuer's keys"),
            keys: of.level("issuer_keys", "Keys of the issuer that would be accepted"),
            limit_charges: of.level("limit_charges", "Times Redis was charged for shared budgets"),
            limit_gateways: of.level(
                "limit_gateways",
                "Gateways that share budgets, this one included; 0 if none are shared",
            ),
            limits_shared: of
                .level("limits_shared", "Whether budgets are shared at the moment: 1 or 0"),
            ready_backends: of.level("ready_backends", "Backends whose catalogue is known"),
            refusals: of.counts("refusals", "Refused requests, by reason", ["refusal"]),
            requests: of.counts(
                "requests",
                "Requests to MCP endpoints, by method, status and outcome",
                ["method", "status", "outcome"],
            ),
            registry: of,
        }
    }

    /// Notes a request to an MCP endpoint.
    pub(crate) fn note(&self, call: Measured<'_>) {
        let status: Value = call.status.as_u16().to_string().into();
        self.requests.add([call.method.into(), status, call.outcome.into()]);
        if call.outcome != "ok" {
            self.refusals.add([call.outcome.into()]);
        }
        if call.method == "tools/call"
            && let Some(tool) = call.what
        {
            let workspace = call.workspace.unwrap_or_default().to_owned();
            let values = [tool.to_owned().into(), workspace.into(), call.outcome.into()];
            self.calls.note(values, call.took);
        }
    }
}

impl App {
    /// Appends the gateway's numbers to a text in the `OpenMetrics` form.
    pub fn encode_metrics(&self, to: &mut String) {
        let metrics = &self.metrics;
        let seconds = |span: Option<Duration>| span.map_or(-1.0, |span| span.as_secs_f64());
        metrics.cache.set_count(self.claims.len());
        metrics.feed_silence.set(seconds(self.feed.silence()));
        metrics.feed_standing.set_count(match self.feed.standing() {
            Standing::Current => 0,
            Standing::Silent => 1,
            Standing::Unknown => 2,
        });
        metrics.jwks_age.set(seconds(self.keys.age()));
        metrics.key_set_version.set_count(self.keys.version());
        metrics.keys.set_count(self.keys.ids().len() as u64);
        let bank = self.limits.bank();
        metrics.limit_charges.set_count(bank.map_or(0, |bank| bank.charges()));
        metrics.limit_gateways.set_count(bank.map_or(0, |bank| bank.gateways().into()));
        let is_shared = bank.is_some_and(|bank| !bank.is_away());
        metrics.limits_shared.set_count(is_shared.into());
        let is_ready =
            |name: &str| self.backends.find(name).is_some_and(|b| b.catalogue().is_some());
        let ready = self.config.backends.iter().filter(|backend| is_ready(&backend.name)).count();
        metrics.ready_backends.set_count(ready as u64);
        metrics.registry.encode(to);
    }

    /// The names of the gateway's numbers.
    pub fn metric_names(&self) -> &[String] {
        self.metrics.registry.names()
    }
}
