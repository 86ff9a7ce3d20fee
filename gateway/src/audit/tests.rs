//! What the lines say, and what happens when nobody takes them.

use std::fmt::Write as _;

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::*;
/// Keeps what is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

fn line(what: &str) -> Line<&str> {
    Line {
        answered_bytes: 900,
        asked_bytes: 120,
        client: Some("app"),
        ended: Timestamp::from_secs(1_800_000_000),
        method: "tools/call",
        outcome: "client_gone",
        request_id: None,
        requirement: None,
        resource: "http://localhost:7400/mcp",
        status: StatusCode::OK,
        subject: Some("usr_1"),
        took: Duration::from_millis(3),
        what: Some(what),
        workspace: Some("ws_acme"),
    }
}

#[test]
fn a_line_says_who_asked_what_and_how_it_ended() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || line("list_contacts").write());
    let written = log.0.lock().unwrap().join("");
    for part in [
        "method=\"tools/call\"",
        "tool=\"list_contacts\"",
        "outcome=\"client_gone\"",
        "status=200",
        "micros=3000",
        "ended=1800000000000",
        "asked_bytes=120",
        "answered_bytes=900",
        "subject=\"usr_1\"",
        "client=\"app\"",
        "workspace=\"ws_acme\"",
        "resource=\"http://localhost:7400/mcp\"",
    ] {
        assert!(written.contains(part), "{part} in {written}");
    }
}

#[test]
fn lines_that_nobody_takes_are_dropped_and_counted() {
    let lines = AuditLines::default();
    for _ in 0..MOST_WAITING + 3 {
        lines.take(line("list_contacts"));
    }
    assert_eq!((lines.waiting(), lines.dropped()), (MOST_WAITING, 3));
}

#[tokio::test]
async fn what_was_taken_is_written_before_the_end() {
    let lines = AuditLines::default();
    lines.start().unwrap();
    (0..100).for_each(|_| lines.take(line("list_contacts")));
    tokio::time::timeout(Duration::from_secs(10), lines.close()).await.unwrap();
    assert_eq!((lines.waiting(), lines.dropped()), (0, 0));
}

#[test]
fn lines_that_wait_together_keep_their_own_names() {
    let log = Log::default();
    let mut lines = Lines::default();
    for round in 0..2 {
        let tools: Vec<_> = (0..50).map(|tool| format!("tool_{round}_{tool}_\u{e9}")).collect();
        assert!(tools.iter().all(|tool| lines.add(line(tool))));
        assert_eq!(lines.len(), 50);
        tracing::subscriber::with_default(log.clone(), || lines.write_all());
        assert_eq!(lines.len(), 0);
        let written = std::mem::take(&mut *log.0.lock().unwrap());
        for (tool, written) in tools.iter().zip(&written) {
            assert!(written.contains(&format!("tool=\"{tool}\" ")), "{written}");
            assert!(written.contains("workspace=\"ws_acme\""), "{written}");
            assert!(!written.contains("request_id"), "{written}");
        }
        assert_eq!(written.len(), tools.len());
    }
}

#[test]
fn names_that_are_too_many_bytes_are_dropped_and_counted() {
    let lines = AuditLines::default();
    let what = "x".repeat(MOST_TEXT / 2);
    (0..3).for_each(|_| lines.take(line(&what)));
    assert_eq!((lines.waiting(), lines.dropped()), (2, 1));
}
