//! Which traces are kept, whose are gone on with, and what receivers that are slow, away or of
//! another mind cost.

use std::sync::Mutex;

use axum::{
    Router,
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::task::TaskTracker;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const LIMIT: Duration = Duration::from_secs(20);

fn tracer(endpoint: &str, parents: Parents, ratio: f64) -> Tracer {
    let settings = Settings {
        authorities: None,
        endpoint: endpoint.parse().unwrap(),
        headers: HeaderMap::new(),
        parents,
        ratio,
    };
    Tracer::new("vestibule-test", &settings, Clock::System).unwrap()
}

fn from(parent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", parent.parse().unwrap());
    headers.insert("tracestate", HeaderValue::from_static("vendor=1"));
    headers
}

fn ending(outcome: &'static str) -> Ending {
    Ending { attributes: Vec::new(), is_failed: outcome != "ok", outcome }
}

/// Answers each request with the next of these, the last again and again, and counts them.
async fn receiver(answers: Vec<fn() -> Response>) -> (String, Arc<Mutex<Vec<Bytes>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let held = Arc::clone(&seen);
    let take = move |body: Bytes| {
        let mut seen = held.lock().unwrap();
        let answer = answers[seen.len().min(answers.len() - 1)];
        seen.push(body);
        std::future::ready(answer())
    };
    let router = Router::new().route("/v1/traces", post(take));
    TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
    (endpoint, seen)
}

/// Sends one request, and gives what became of it.
async fn one(answers: Vec<fn() -> Response>) -> (u64, u64, usize) {
    let (endpoint, seen) = receiver(answers).await;
    let tracer = tracer(&endpoint, Parents::Nobody, 1.0);
    let running = TaskTracker::new().spawn(tracer.clone().run());
    tracer.begin(&HeaderMap::new(), false).unwrap().end("POST /mcp", ending("ok"));
    let done = async {
        while tracer.sent() + tracer.dropped() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, done).await.unwrap();
    tracer.close(LIMIT).await;
    timeout(LIMIT, running).await.unwrap().unwrap();
    let requests = seen.lock().unwrap().len();
    (tracer.sent(), tracer.dropped(), requests)
}

#[test]
fn a_trace_of_a_stranger_is_linked_and_decides_nothing() {
    for (ratio, is_sampled) in [(0.0, false), (1.0, true)] {
        let tracer = tracer("http://127.0.0.1:1/v1/traces", Parents::Nobody, ratio);
        let mut span = tracer.begin(&from(PARENT), true).unwrap();
        assert_eq!(span.is_sampled(), is_sampled);
        let mut headers = from(PARENT);
        span.ask("tools/call".to_owned(), &mut headers);
        let sent = headers["traceparent"].to_str().unwrap();
        assert!(!sent.contains("0af7651916cd43dd8448eb211c80319c"), "{sent}");
        assert!(sent.ends_with(if is_sampled { "-01" } else { "-00" }), "{sent}");
        assert!(!headers.contains_key("tracestate"));
    }
}

#[test]
fn a_trace_is_gone_on_with_where_its_sender_is_believed() {
    let quiet = PARENT.replace("-01", "-00");
    for (parents, is_proxy, follows) in [
        (Parents::Anybody, false, true),
        (Parents::TrustedProxies, true, true),
        (Parents::TrustedProxies, false, false),
        (Parents::Nobody, true, false),
    ] {
        for (parent, ratio, is_sampled) in [(PARENT, 0.0, follows), (&*quiet, 1.0, !follows)] {
            let tracer = tracer("http://127.0.0.1:1/v1/traces", parents, ratio);
            let mut span = tracer.begin(&from(parent), is_proxy).unwrap();
            assert_eq!(span.is_sampled(), is_sampled, "{parents:?} {parent}");
            let mut headers = HeaderMap::new();
            span.ask("tools/call".to_owned(), &mut headers);
            let sent = headers["traceparent"].to_str().unwrap();
            assert_eq!(sent.contains("0af7651916cd43dd8448eb211c80319c"), follows);
            assert!(!sent.contains("b7ad6b7169203331"), "a place of our own: {sent}");
            assert_eq!(headers.contains_key("tracestate"), follows);
        }
    }
}

#[test]
fn about_the_asked_part_of_all_traces_is_kept() {
    let tracer = tracer("http://127.0.0.1:1/v1/traces", Parents::Nobody, 0.25);
    let kept = (0..4000).filter(|_| tracer.begin(&from(PARENT), false).unwrap().is_sampled());
    // Ten standard deviations to each side.
    assert!((730..1270).contains(&kept.count()));
}

#[test]
fn what_nobody_takes_is_bounded_and_counted() {
    let tracer = tracer("http://127.0.0.1:1/v1/traces", Parents::Nobody, 1.0);
    for _ in 0..5000 {
        let mut span = tracer.begin(&HeaderMap::new(), false).unwrap();
        span.step("decide");
        span.end("POST /mcp", ending("ok"));
    }
    assert_eq!((tracer.sent(), tracer.dropped()), (0, 5000 * 2 - 8192));
}

#[tokio::test]
async fn a_receiver_gets_each_span_once_and_one_that_asks_for_time_is_asked_again() {
    let later = || (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response();
    let taken = || StatusCode::OK.into_response();
    let refused = || StatusCode::BAD_REQUEST.into_response();
    let partly = || [0x0a_u8, 2, 8, 1].to_vec().into_response();
    assert_eq!(one(vec![taken]).await, (1, 0, 1));
    assert_eq!(one(vec![later, later, taken]).await, (1, 0, 3));
    assert_eq!(one(vec![refused]).await, (0, 1, 1));
    assert_eq!(one(vec![partly]).await, (0, 1, 1));
    assert_eq!(one(vec![later]).await, (0, 1, 4));
}

#[tokio::test]
async fn what_waits_is_sent_at_the_end_and_a_receiver_that_hangs_does_not_hold_it_up() {
    let (endpoint, seen) = receiver(vec![|| StatusCode::OK.into_response()]).await;
    let good = tracer(&endpoint, Parents::Nobody, 1.0);
    let running = TaskTracker::new().spawn(good.clone().run());
    for _ in 0..1000 {
        good.begin(&HeaderMap::new(), false).unwrap().end("GET /jwks", ending("ok"));
    }
    good.close(LIMIT).await;
    timeout(LIMIT, running).await.unwrap().unwrap();
    assert_eq!((good.sent(), good.dropped()), (1000, 0));
    assert!(seen.lock().unwrap().len() >= 2, "many spans go in several requests");

    // It accepts, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", silent.local_addr().unwrap());
    let hung = tracer(&endpoint, Parents::Nobody, 1.0);
    let running = TaskTracker::new().spawn(hung.clone().run());
    hung.begin(&HeaderMap::new(), false).unwrap().end("GET /jwks", ending("ok"));
    let closing = hung.close(Duration::from_millis(100));
    timeout(Duration::from_secs(5), closing).await.expect("the end comes in time");
    running.abort();
}

#[test]
fn what_a_receiver_is_shown_is_not_shown_to_others() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret-of-the-receiver"));
    let settings = Settings {
        authorities: None,
        endpoint: "https://traces.example/v1/traces".parse().unwrap(),
        headers,
        parents: Parents::Nobody,
        ratio: 1.0,
    };
    let tracer = Tracer::new("vestibule-test", &settings, Clock::System).unwrap();
    assert!(!format!("{settings:?} {tracer:?}").contains("secret"));
    let broken = Settings { authorities: Some("nothing".to_owned()), ..settings };
    assert!(matches!(
        Tracer::new("vestibule-test", &broken, Clock::System),
        Err(TracesError::NoCertificate)
    ));
}
