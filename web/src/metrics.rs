//! Numbers for operators in the `OpenMetrics` text form, with a bound on how many series a name has.
//!
//! A label's value may come from a stranger only where it was checked against a list; should a
//! list be long, what goes beyond the bound is counted under `other`.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Metric, Registry},
};

/// The most series that one name has.
const MOST_SERIES: usize = 1000;

/// Upper bounds of latencies in seconds.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Upper bounds of sizes in bytes.
const BYTES: [f64; 9] =
    [256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// The media type of [`text`].
const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A label's value.
pub type Value = Cow<'static, str>;

type Labels<const N: usize> = [(&'static str, Value); N];

/// What a service counts and measures.
#[derive(Debug)]
pub struct Metrics {
    names: Vec<String>,
    prefix: &'static str,
    registry: Registry,
}

impl Metrics {
    /// Nothing yet; every name will begin with `prefix` and `_`.
    pub fn new(prefix: &'static str) -> Self {
        Self { names: Vec::new(), prefix, registry: Registry::with_prefix(prefix) }
    }

    /// Something that is counted; its name ends with `_total`.
    pub fn counts<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Counts<N> {
        let series = Series::new(labels, Family::<Labels<N>, Counter>::default());
        self.add(&format!("{name}_total"), name, help, series.family.clone());
        Counts(series)
    }

    /// How long something takes.
    pub fn times<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Times<N> {
        let series = Series::new(labels, Family::new_with_constructor(Buckets));
        self.add(name, name, help, series.family.clone());
        Times(series)
    }

    /// How large something is, in bytes.
    pub fn sizes<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Sizes<N> {
        let series = Series::new(labels, Family::new_with_constructor(SizeBuckets));
        self.add(name, name, help, series.family.clone());
        Sizes(series)
    }

    /// How much there is of something when it is asked for.
    pub fn level(&mut self, name: &'static str, help: &'static str) -> Level {
        let gauge = Gauge::<f64, AtomicU64>::default();
        self.add(name, name, help, gauge.clone());
        Level(gauge)
    }

    /// How much there is of something, of several kinds.
    pub fn levels<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Levels<N> {
        let series = Series::new(labels, Family::<Labels<N>, Amount>::default());
        self.add(name, name, help, series.family.clone());
        Levels(series)
    }

    /// The names as they are exported.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Appends every series to a text that [`text`] ends.
    pub fn encode(&self, to: &mut String) {
        // Writing to a string does not fail.
        let _written = encode_registry(to, &self.registry);
    }

    fn add(&mut self, exported: &str, name: &str, help: &str, metric: impl Metric) {
        self.names.push(format!("{}_{exported}", self.prefix));
        self.registry.register(name, help, metric);
    }
}

/// The response with what services appended.
pub fn text(mut encoded: String) -> Response {
    let _written = encode_eof(&mut encoded);
    ([(CONTENT_TYPE, MEDIA)], encoded).into_response()
}

/// Something that is counted.
#[derive(Clone)]
pub struct Counts<const N: usize>(Series<N, Counter, fn() -> Counter>);

impl<const N: usize> Counts<N> {
    /// Counts one more.
    pub fn add(&self, values: [Value; N]) {
        let labels = self.0.labels(values);
        self.0.family.get_or_create(&labels).inc();
    }

    /// The count of these values, to keep.
    pub fn of(&self, values: [Value; N]) -> Count {
        let labels = self.0.labels(values);
        Count(self.0.family.get_or_create_owned(&labels))
    }
}

/// One count of several.
#[derive(Clone, Debug)]
pub struct Count(Counter);

impl Count {
    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.inc_by(more);
    }
}

/// How long one thing of several takes.
#[derive(Clone, Debug)]
pub struct Time(Histogram);

impl Time {
    /// Notes one duration.
    pub fn note(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// How large one thing of several is.
#[derive(Clone, Debug)]
pub struct Size(Histogram);

impl Size {
    /// Notes one size.
    pub fn note(&self, bytes: u64) {
        // More than 2^32 bytes are as many as 2^32.
        self.0.observe(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
    }
}

/// How large something is.
#[derive(Clone)]
pub struct Sizes<const N: usize>(Series<N, Histogram, SizeBuckets>);

impl<const N: usize> Sizes<N> {
    /// The sizes of these values, to keep.
    pub fn of(&self, values: [Value; N]) -> Size {
        let labels = self.0.labels(values);
        Size(self.0.family.get_or_create_owned(&labels))
    }
}

/// How long something takes.
#[derive(Clone)]
pub struct Times<const N: usize>(Series<N, Histogram, Buckets>);

impl<const N: usize> Times<N> {
    /// Notes one duration.
    pub fn note(&self, values: [Value; N], took: Duration) {
        let labels = self.0.labels(values);
        self.0.family.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The times of these values, to keep.
    pub fn of(&self, values: [Value; N]) -> Time {
        let labels = self.0.labels(values);
        Time(self.0.family.get_or_create_owned(&labels))
    }
}

/// A gauge of fractions.
type Amount = Gauge<f64, AtomicU64>;

/// How much there is of something.
#[derive(Clone, Debug)]
pub struct Level(Amount);

impl Level {
    /// Notes how much there is.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Notes a count.
    pub fn set_count(&self, count: u64) {
        // More than 2^32 of anything is as good as 2^32.
        self.0.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

/// How much there is of something, of several kinds.
#[derive(Clone)]
pub struct Levels<const N: usize>(Series<N, Amount, fn() -> Amount>);

impl<const N: usize> Levels<N> {
    /// Notes how much there is.
    pub fn set(&self, values: [Value; N], value: f64) {
        let labels = self.0.labels(values);
        self.0.family.get_or_create(&labels).set(value);
    }
}

/// The series of one name.
#[derive(Clone)]
struct Series<const N: usize, M, C> {
    count: Arc<AtomicUsize>,
    family: Family<Labels<N>, M, C>,
    names: [&'static str; N],
}

impl<const N: usize, M: Clone, C: MetricConstructor<M>> Series<N, M, C> {
    fn new(names: [&'static str; N], family: Family<Labels<N>, M, C>) -> Self {
        Self { count: Arc::default(), family, names }
    }

    /// The labels to count under: `other` for all once there are too many.
    fn labels(&self, values: [Value; N]) -> Labels<N> {
        let mut values = values.into_iter();
        let labels = self.names.map(|name| (name, values.next().unwrap_or_default()));
        if self.family.get(&labels).is_some() {
            return labels;
        }
        if self.count.fetch_add(1, Ordering::Relaxed) < MOST_SERIES {
            return labels;
        }
        self.names.map(|name| (name, Value::Borrowed("other")))
    }
}

#[derive(Clone, Copy)]
struct SizeBuckets;

impl MetricConstructor<Histogram> for SizeBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BYTES)
    }
}

#[derive(Clone, Copy)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

impl<const N: usize> fmt::Debug for Counts<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counts").field(&self.0.names).finish()
    }
}

impl<const N: usize> fmt::Debug for Levels<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").field(&self.0.names).finish()
    }
}

impl<const N: usize> fmt::Debug for Sizes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sizes").field(&self.0.names).finish()
    }
}

impl<const N: usize> fmt::Debug for Times<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Times").field(&self.0.names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(metrics: &Metrics) -> String {
        let mut text = String::new();
        metrics.encode(&mut text);
        text
    }

    #[test]
    fn what_is_counted_is_exported_under_the_names_it_says() {
        let mut metrics = Metrics::new("vestibule_test");
        let calls = metrics.counts("calls", "Calls", ["tool"]);
        let times = metrics.times("call_seconds", "How long", ["tool"]);
        let level = metrics.level("queue", "Waiting");
        for _ in 0..2 {
            calls.add(["list \"x\"\n".into()]);
        }
        times.note(["list".into()], Duration::from_millis(3));
        level.set_count(7);
        metrics.sizes("call_bytes", "How large", ["tool"]).of(["list".into()]).note(300);
        calls.of(["list".into()]).add(5);
        let text = encoded(&metrics);
        assert!(text.contains(r#"vestibule_test_calls_total{tool="list \"x\"\n"} 2"#), "{text}");
        assert!(text.contains(r#"vestibule_test_call_seconds_bucket{le="0.005",tool="list"} 1"#));
        assert!(text.contains("vestibule_test_queue 7"), "{text}");
        assert!(
            text.contains(r#"vestibule_test_call_bytes_bucket{le="1024.0",tool="list"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"vestibule_test_calls_total{tool="list"} 5"#), "{text}");
        assert_eq!(
            metrics.names(),
            [
                "vestibule_test_calls_total",
                "vestibule_test_call_seconds",
                "vestibule_test_queue",
                "vestibule_test_call_bytes"
            ]
        );
    }

    #[test]
    fn a_label_with_too_many_values_ends_in_other() {
        let mut metrics = Metrics::new("vestibule_test");
        let calls = metrics.counts("calls", "Calls", ["tool"]);
        for number in 0..MOST_SERIES + 5 {
            calls.add([number.to_string().into()]);
        }
        calls.add(["0".into()]);
        let text = encoded(&metrics);
        assert!(text.contains(r#"{tool="other"} 5"#) && text.contains(r#"{tool="0"} 2"#));
        let series = text.lines().filter(|line| line.starts_with("vestibule")).count();
        assert_eq!(series, MOST_SERIES + 1);
    }
}
