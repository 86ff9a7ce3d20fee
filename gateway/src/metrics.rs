//! What the gateway counts and measures; `docs/operate/telemetry.md` says what each means.
//!
//! No label holds what a stranger wrote: tools are those that exist, workspaces those that were
//! granted.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use foldhash::HashMap;
use http::StatusCode;
use web::{
    metrics::{Count, Counts, Level, Levels, Metrics as Registry, Size, Sizes, Time, Times, Value},
    traces::Tracer,
};

use crate::{backends::Health, gateway::Gateway, rules::silence::Standing};

/// The numbers.
#[derive(Debug)]
pub(crate) struct Metrics {
    audit_dropped: Level,
    audit_waiting: Level,
    backend_standing: Levels<1>,
    cache: Level,
    call_bytes: Sizes<3>,
    call_tokens: Counts<3>,
    calls: Times<3>,
    configuration: Level,
    /// The series of each way a request ends, so that a request looks them up once.
    ends: RwLock<HashMap<End, EndSeries>>,
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
    reloads: Counts<1>,
    requests: Counts<3>,
    store: Times<2>,
    streams: Counts<1>,
    /// The series of each tool in each workspace, so that a call looks them up once.
    tools: RwLock<Tools>,
    trace_spans_dropped: Level,
    trace_spans_sent: Level,
}

/// Series by tool and workspace, which is empty for calls that act in none in particular.
#[derive(Debug, Default)]
struct Tools {
    by_name: HashMap<Box<str>, HashMap<Box<str>, Arc<ToolSeries>>>,
    count: usize,
}

/// A method, an outcome and a status.
type End = (&'static str, &'static str, u16);

/// What is counted of requests that end in one way.
#[derive(Clone, Debug)]
struct EndSeries {
    /// `None` where they were answered.
    refusals: Option<Count>,
    requests: Count,
}

/// What is noted of the calls of one tool in one workspace.
#[derive(Debug)]
pub(crate) struct ToolSeries {
    answered: Size,
    answered_tokens: Count,
    asked: Size,
    asked_tokens: Count,
    ok: Time,
}

/// How many tools and workspaces are kept at hand.
const MOST_TOOLS: usize = 1000;
/// How many bytes of JSON are about one token of a model.
const BYTES_PER_TOKEN: u64 = 4;

/// A call whose answer has gone.
#[derive(Clone, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) answered: u64,
    pub(crate) asked: u64,
    /// How its stream ended, or that its client was gone before.
    pub(crate) fate: Option<&'static str>,
    pub(crate) method: &'static str,
    /// The series of its tool, where it was noted before.
    pub(crate) series: Option<Arc<ToolSeries>>,
    pub(crate) what: Option<&'a str>,
    pub(crate) workspace: Option<&'a str>,
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
            backend_standing: of.levels(
                "backend_standing",
                "A backend: 0 asked, 1 probed by one request, 2 spared after failures",
                ["backend"],
            ),
            audit_dropped: of
                .level("audit_dropped", "Lines about calls that were dropped since the start"),
            audit_waiting: of.level("audit_waiting", "Lines about calls that wait to be written"),
            call_bytes: of.sizes(
                "call_bytes",
                "Bytes of a call and of its answer, by tool, workspace and direction",
                ["tool", "workspace", "direction"],
            ),
            call_tokens: of.counts(
                "call_tokens",
                "About how many tokens calls and answers are for a model",
                ["tool", "workspace", "direction"],
            ),
            cache: of.level("claims_cache_entries", "Accepted tokens that are remembered"),
            calls: of.times(
                "call_seconds",
                "Time to the head of the answer to a call, by tool, workspace and outcome",
                ["tool", "workspace", "outcome"],
            ),
            configuration: of.level(
                "configuration_version",
                "Configurations since the start, the one in use included",
            ),
            ends: RwLock::default(),
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
            reloads: of.counts(
                "configuration_reloads",
                "Changes of the configuration while running, by result",
                ["result"],
            ),
            requests: of.counts(
                "requests",
                "Requests to MCP endpoints, by method, status and outcome",
                ["method", "status", "outcome"],
            ),
            store: of.times(
                "store_seconds",
                "Time the store took, by verb and outcome",
                ["verb", "outcome"],
            ),
            streams: of.counts(
                "streams",
                "Streams that have ended, and calls whose client was gone, by how",
                ["ending"],
            ),
            tools: RwLock::default(),
            trace_spans_dropped: of.level(
                "trace_spans_dropped",
                "Spans since the start that the receiver of traces did not get",
            ),
            trace_spans_sent: of
                .level("trace_spans_sent", "Spans since the start that the receiver of traces got"),
            registry: of,
        }
    }

    /// Notes a change of the configuration.
    pub(crate) fn reloaded(&self, is_applied: bool) {
        self.reloads.add([(if is_applied { "applied" } else { "refused" }).into()]);
    }

    /// Notes a request to an MCP endpoint; of a tool that was called it gives the series, which
    /// the end of the answer asks for again.
    pub(crate) fn note(&self, call: Measured<'_>) -> Option<Arc<ToolSeries>> {
        self.end((call.method, call.outcome, call.status.as_u16()));
        let tool = call.what.filter(|_| call.method == CALL_TOOL)?;
        if call.outcome == OK {
            let series = self.tool(tool, call.workspace);
            series.ok.note(call.took);
            return Some(series);
        }
        let workspace = call.workspace.unwrap_or_default().to_owned();
        let values = [tool.to_owned().into(), workspace.into(), call.outcome.into()];
        self.calls.note(values, call.took);
        None
    }

    /// Notes a call whose answer has gone.
    pub(crate) fn ended(&self, call: Ended<'_>) {
        if let Some(fate) = call.fate {
            self.streams.add([fate.into()]);
        }
        let Some(tool) = call.what.filter(|_| call.method == CALL_TOOL) else { return };
        let series = call.series.unwrap_or_else(|| self.tool(tool, call.workspace));
        series.asked.note(call.asked);
        series.answered.note(call.answered);
        series.asked_tokens.add(call.asked.div_ceil(BYTES_PER_TOKEN));
        series.answered_tokens.add(call.answered.div_ceil(BYTES_PER_TOKEN));
    }

    /// Notes what the store was asked.
    pub(crate) fn store(&self, verb: &'static str, took: Duration, done: bool) {
        self.store.note([verb.into(), if done { "ok" } else { "failed" }.into()], took);
    }

    fn end(&self, end: End) {
        let held = self.ends.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = held.get(&end) {
            return series.add();
        }
        drop(held);
        let (method, outcome, status) = end;
        let refusals = (outcome != OK).then(|| self.refusals.of([outcome.into()]));
        let values = [method.into(), status.to_string().into(), outcome.into()];
        let series = EndSeries { refusals, requests: self.requests.of(values) };
        series.add();
        // Methods, outcomes and statuses are the program's own, so they are few.
        self.ends.write().unwrap_or_else(PoisonError::into_inner).insert(end, series);
    }

    fn tool(&self, tool: &str, workspace: Option<&str>) -> Arc<ToolSeries> {
        let workspace = workspace.unwrap_or_default();
        let tools = self.tools.read().unwrap_or_else(PoisonError::into_inner);
        let held = tools.by_name.get(tool).and_then(|held| held.get(workspace)).map(Arc::clone);
        drop(tools);
        held.unwrap_or_else(|| {
            let values = |last: &'static str| -> [Value; 3] {
                [tool.to_owned().into(), workspace.to_owned().into(), last.into()]
            };
            let series = Arc::new(ToolSeries {
                answered: self.call_bytes.of(values("answer")),
                answered_tokens: self.call_tokens.of(values("answer")),
                asked: self.call_bytes.of(values("call")),
                asked_tokens: self.call_tokens.of(values("call")),
                ok: self.calls.of(values("ok")),
            });
            let mut tools = self.tools.write().unwrap_or_else(PoisonError::into_inner);
            if tools.count < MOST_TOOLS {
                let held = tools.by_name.entry(tool.into()).or_default();
                let is_new = held.insert(workspace.into(), Arc::clone(&series)).is_none();
                tools.count += usize::from(is_new);
            }
            series
        })
    }
}

const CALL_TOOL: &str = "tools/call";
const OK: &str = "ok";

impl EndSeries {
    fn add(&self) {
        self.requests.add(1);
        if let Some(refusals) = &self.refusals {
            refusals.add(1);
        }
    }
}

impl Gateway {
    /// Appends the gateway's numbers to a text in the `OpenMetrics` form.
    pub fn encode_metrics(&self, to: &mut String) {
        let app = self.current();
        let metrics = &app.metrics;
        let seconds = |span: Option<Duration>| span.map_or(-1.0, |span| span.as_secs_f64());
        metrics.audit_dropped.set_count(app.audit.dropped());
        metrics.audit_waiting.set_count(app.audit.waiting() as u64);
        metrics.cache.set_count(app.claims.len());
        metrics.configuration.set_count(self.generation().version);
        metrics.feed_silence.set(seconds(app.feed.silence()));
        metrics.feed_standing.set_count(match app.feed.standing() {
            Standing::Current => 0,
            Standing::Silent => 1,
            Standing::Unknown => 2,
        });
        metrics.jwks_age.set(seconds(app.keys.age()));
        metrics.key_set_version.set_count(app.keys.version());
        metrics.keys.set_count(app.keys.ids().len() as u64);
        for backend in &app.config.backends {
            let Some(held) = app.backends.find(&backend.name) else { continue };
            let standing = match held.health() {
                Health::Asked { .. } => 0.0,
                Health::Probed { .. } => 1.0,
                Health::Spared { .. } => 2.0,
            };
            metrics.backend_standing.set([backend.name.to_string().into()], standing);
        }
        let bank = app.limits.bank();
        metrics.limit_charges.set_count(bank.map_or(0, |bank| bank.charges()));
        metrics.limit_gateways.set_count(bank.map_or(0, |bank| bank.gateways().into()));
        let is_shared = bank.is_some_and(|bank| !bank.is_away());
        metrics.limits_shared.set_count(is_shared.into());
        let is_ready =
            |name: &str| app.backends.find(name).is_some_and(|b| b.catalogue().is_some());
        let ready = app.config.backends.iter().filter(|backend| is_ready(&backend.name)).count();
        metrics.ready_backends.set_count(ready as u64);
        let traces = app.traces.as_ref();
        metrics.trace_spans_dropped.set_count(traces.map_or(0, Tracer::dropped));
        metrics.trace_spans_sent.set_count(traces.map_or(0, Tracer::sent));
        metrics.registry.encode(to);
    }

    /// The names of the gateway's numbers.
    pub fn metric_names(&self) -> Vec<String> {
        self.current().metrics.registry.names().to_vec()
    }
}
