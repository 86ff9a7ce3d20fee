//! What auth-server counts and measures; `docs/operate/telemetry.md` says what each means.
//!
//! No label holds what a stranger wrote: routes are patterns, grants those that are served.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use http::StatusCode;
use keys::{KeySet, KeyState};
use web::{
    metrics::{Count, Counts, Level, Levels, Metrics as Registry, Time, Times, Value},
    traces::Tracer,
};

use crate::{App, error::TokenError, rules::rotation::Step};

/// The numbers.
#[derive(Debug)]
pub(crate) struct Metrics {
    audit_dropped: Level,
    audit_waiting: Level,
    events: Counts<1>,
    grants: Counts<2>,
    key_age_seconds: Levels<2>,
    key_set_version: Level,
    key_step_seconds: Levels<1>,
    key_states: Levels<3>,
    keys: Level,
    password_permits: Level,
    password_permits_in_use: Level,
    refreshes: Counts<1>,
    registry: Registry,
    request_seconds: Times<1>,
    requests: Counts<2>,
    /// The series of each route and status that was answered, so that they are looked for once.
    routes: RwLock<HashMap<Box<str>, ByStatus>>,
    store_seconds: Times<2>,
    trace_spans_dropped: Level,
    trace_spans_sent: Level,
}

/// The count and the times of one route.
type ByStatus = HashMap<StatusCode, (Count, Time)>;

/// The grants that are served; what else is asked for is `other`.
const GRANTS: [&str; 3] = ["authorization_code", "client_credentials", "refresh_token"];

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut of = Registry::new("vestibule_auth");
        Self {
            audit_dropped: of.level(
                "audit_dropped",
                "Security events since the start that are in the log and not in the store",
            ),
            audit_waiting: of
                .level("audit_waiting", "Security events that wait to be written to the store"),
            events: of.counts("security_events", "Security events, by name", ["event"]),
            grants: of.counts(
                "grants",
                "Requests to the token endpoint, by grant and outcome",
                ["grant", "outcome"],
            ),
            key_age_seconds: of.levels(
                "active_key_age_seconds",
                "Time since the active key began to be used, by purpose and algorithm",
                ["purpose", "algorithm"],
            ),
            key_set_version: of.level("key_set_version", "Version of the published keys"),
            key_step_seconds: of.levels(
                "key_step_seconds",
                "Time until keys of a purpose change by themselves; -1 if they do not",
                ["purpose"],
            ),
            key_states: of.levels(
                "keys",
                "Keys, by purpose, algorithm and state",
                ["purpose", "algorithm", "state"],
            ),
            keys: of.level("published_keys", "Keys that verifiers may meet"),
            password_permits: of
                .level("password_permits", "Passwords that may be hashed at a time"),
            password_permits_in_use: of
                .level("password_permits_in_use", "Passwords that are being hashed"),
            refreshes: of.counts(
                "refreshes",
                "Refresh tokens that were shown, by what they were",
                ["outcome"],
            ),
            request_seconds: of.times(
                "request_seconds",
                "Time to the head of the answer, by route",
                ["route"],
            ),
            requests: of.counts("requests", "Requests, by route and status", ["route", "status"]),
            routes: RwLock::default(),
            store_seconds: of.times(
                "store_seconds",
                "Time the store took, by verb and outcome",
                ["verb", "outcome"],
            ),
            trace_spans_dropped: of.level(
                "trace_spans_dropped",
                "Spans since the start that the receiver of traces did not get",
            ),
            trace_spans_sent: of
                .level("trace_spans_sent", "Spans since the start that the receiver of traces got"),
            registry: of,
        }
    }

    /// Notes an answer of a public path.
    pub(crate) fn request(&self, route: &str, status: StatusCode, took: Duration) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, time)) = routes.get(route).and_then(|held| held.get(&status)) {
            count.add(1);
            time.note(took);
            return;
        }
        drop(routes);
        let name: Value = route.to_owned().into();
        let count = self.requests.of([name.clone(), status.as_u16().to_string().into()]);
        let time = self.request_seconds.of([name]);
        count.add(1);
        time.note(took);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.entry(route.into()).or_default().insert(status, (count, time));
    }

    /// Notes how the token endpoint answered.
    pub(crate) fn grant(&self, asked: &str, refused: Option<&TokenError>) {
        let grant = GRANTS.into_iter().find(|grant| *grant == asked).unwrap_or("other");
        let outcome = match refused {
            None => "ok",
            Some(
                TokenError::Violation(violation) | TokenError::ViolationWithChallenge(violation),
            ) => violation.wire().code,
            Some(TokenError::Limited(_)) => "limited",
            Some(_) => "temporarily_unavailable",
        };
        self.grants.add([grant.into(), outcome.into()]);
    }

    /// Notes what the store said of a refresh token.
    pub(crate) fn refresh(&self, step: Step) {
        let outcome = match step {
            Step::Rotated => "rotated",
            Step::Replayed => "replayed",
            Step::Kept => "kept",
            Step::Ahead => "ahead",
            Step::Busy => "busy",
            Step::Expired => "expired",
            Step::Forged => "forged",
            Step::Reuse => "reuse",
            Step::Revoked => "revoked",
            Step::Stale => "stale",
            Step::WrongClient => "wrong_client",
            Step::WrongProof => "wrong_proof",
        };
        self.refreshes.add([outcome.into()]);
    }

    /// Notes what the store was asked.
    pub(crate) fn store(&self, verb: &'static str, took: Duration, done: bool) {
        self.store_seconds.note([verb.into(), if done { "ok" } else { "failed" }.into()], took);
    }

    /// Notes a security event.
    pub(crate) fn event(&self, name: &str) {
        self.events.add([name.to_owned().into()]);
    }
}

impl App {
    fn measure_keys(&self, set: &KeySet) {
        let (metrics, now, purpose) = (&self.metrics, self.clock.now(), set.purpose());
        for algorithm in set.algorithms() {
            let labels = || [Value::from(purpose.as_str()), algorithm.as_str().into()];
            let own = || set.records().iter().filter(|key| key.algorithm == algorithm);
            for state in KeyState::ALL {
                let count = own().filter(|key| key.state == state).count();
                let [purpose, algorithm] = labels();
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                metrics.key_states.set([purpose, algorithm, state.as_str().into()], count.into());
            }
            if let Some(key) = set.active_of(algorithm) {
                let since = key.activated_at.unwrap_or(key.published_at);
                metrics.key_age_seconds.set(labels(), now.since(since).as_secs_f64());
            }
        }
        let (dwell, every) = (self.keys.policy.dwell(purpose), self.keys.policy.every_of(purpose));
        let next = set.next_due(&dwell, every);
        let wait = next.map_or(-1.0, |at| at.since(now).as_secs_f64());
        metrics.key_step_seconds.set([purpose.as_str().into()], wait);
    }

    /// Appends auth-server's numbers to a text in the `OpenMetrics` form.
    pub fn encode_metrics(&self, to: &mut String) {
        let metrics = &self.metrics;
        metrics.audit_dropped.set_count(self.audit_log.dropped());
        metrics.audit_waiting.set_count(self.audit_log.waiting() as u64);
        metrics.key_set_version.set_count(self.keys.held().verifying.version());
        metrics.keys.set_count(self.keys.held().verifying.ids().count() as u64);
        for set in self.keys.sets() {
            self.measure_keys(&set);
        }
        let (all, free) = self.accounts.password_permits();
        metrics.password_permits.set_count(all as u64);
        metrics.password_permits_in_use.set_count(all.saturating_sub(free) as u64);
        let traces = self.traces.as_ref();
        metrics.trace_spans_dropped.set_count(traces.map_or(0, Tracer::dropped));
        metrics.trace_spans_sent.set_count(traces.map_or(0, Tracer::sent));
        metrics.registry.encode(to);
    }

    /// The names of auth-server's numbers.
    pub fn metric_names(&self) -> &[String] {
        self.metrics.registry.names()
    }
}
