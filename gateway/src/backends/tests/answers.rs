//! What the gateway makes of a backend's answers.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, StatusCode};
use serde_json::value::RawValue;

use super::*;
use crate::{
    backends::{
        BackendError, Upstream, UpstreamBody,
        mcp::Outgoing,
        relay::{self, Expected},
    },
    rules::protocol::{Era, Version},
};

fn outgoing() -> Outgoing<'static> {
    Outgoing {
        authorization: &IDENTITY,
        body: Bytes::from_static(b"{}"),
        last_event_id: None,
        method: HttpMethod::POST,
        passed: None,
        repeated: None,
        session: None,
        version: Some(Version::November2025),
    }
}

fn expected(era: Era) -> Expected {
    let id = Some(RawValue::from_string("7".to_owned()).unwrap().into());
    Expected { aside: None, deadline: None, era, id, lease: None, relayed: false, session: None }
}

async fn call(backend: &Arc<Backend>, expected: Expected) -> Result<Upstream, BackendError> {
    relay::read(backend, backend.exchange(&outgoing()).await?, expected).await
}

/// What becomes of an answer: its body, or the word for what is wrong.
async fn judged(
    status: u16,
    media: &'static str,
    body: &'static str,
) -> Result<String, &'static str> {
    let double = Double::start(move |_| respond(status, media, body)).await;
    match call(&double.backend(), expected(Era::Legacy)).await {
        Ok(Upstream { body: UpstreamBody::Json(bytes), .. }) => {
            Ok(String::from_utf8(bytes.to_vec()).unwrap())
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.name()),
    }
}

const GOOD: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"x":1.0e2,"vendor":{}}}"#;

#[tokio::test]
async fn an_answer_in_many_pieces_arrives_whole() {
    let numbers: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    let whole = format!(r#"{{"jsonrpc":"2.0","id":7,"result":[{}]}}"#, numbers.join(","));
    let pieces: Vec<Bytes> = whole.as_bytes().chunks(500).map(Bytes::copy_from_slice).collect();
    let double = Double::start(move |_| {
        let pieces = stream::iter(pieces.clone().into_iter().map(Ok::<_, std::io::Error>));
        let mut response = Response::new(Body::from_stream(pieces));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    })
    .await;
    let upstream = call(&double.backend(), expected(Era::Legacy)).await.unwrap();
    let UpstreamBody::Json(bytes) = upstream.body else { panic!("{:?}", upstream.body) };
    assert_eq!(bytes, whole);
}

#[tokio::test]
async fn a_json_answer_with_the_calls_id_passes_as_it_came() {
    assert_eq!(judged(200, "application/json", GOOD).await.as_deref(), Ok(GOOD));
    assert_eq!(judged(200, "Application/JSON; charset=utf-8", GOOD).await.as_deref(), Ok(GOOD));
    let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"m","data":[1]}}"#;
    assert_eq!(judged(400, "application/json", error).await.as_deref(), Ok(error));
}

#[tokio::test]
async fn an_answer_that_mcp_does_not_allow_is_an_error_of_ours() {
    let json = "application/json";
    for (status, media, body, word) in [
        (200, "text/html", "<script>", "answer"),
        (200, json, r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, "answer"),
        (200, json, r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, "answer"),
        (200, json, r#"{"jsonrpc":"2.0","id":7}"#, "answer"),
        (200, json, r#"{"jsonrpc":"2.0","id":7,"method":"x"}"#, "answer"),
        (200, json, r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#, "answer"),
        (200, json, r#"{"id":7,"result":{}}"#, "answer"),
        (200, json, r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#, "answer"),
        (200, json, r#"{"jsonrpc":"2.0","id":7,"res"#, "answer"),
        (202, json, "", "answer"),
        (302, json, GOOD, "answer"),
        (401, json, GOOD, "refused"),
        (403, json, GOOD, "refused"),
        (429, json, GOOD, "deferred"),
        (500, json, GOOD, "answer"),
        (503, json, GOOD, "deferred"),
        (504, json, GOOD, "timeout"),
    ] {
        assert_eq!(judged(status, media, body).await, Err(word), "{status} {media} {body}");
    }
}

#[tokio::test]
async fn headers_of_a_backend_do_not_pass() {
    let double = Double::start(|_| {
        let mut response = respond(200, "application/json", GOOD);
        for name in ["set-cookie", "location", "www-authenticate", "access-control-allow-origin"] {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, HeaderValue::from_static("x"));
        }
        response
    })
    .await;
    let upstream = call(&double.backend(), expected(Era::Legacy)).await.unwrap();
    let mut names: Vec<&str> = upstream.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let own =
        ["cache-control", "content-security-policy", "content-type", "x-content-type-options"];
    assert_eq!(names, own);
    assert_eq!(upstream.status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_beyond_the_size_is_refused() {
    for endless in [false, true] {
        let double = Double::start(move |_| {
            let chunk = Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1500]));
            let chunks = stream::repeat_with(move || chunk.as_ref().unwrap().clone())
                .map(Ok::<_, std::io::Error>);
            let body =
                if endless { Body::from_stream(chunks) } else { Body::from_stream(chunks.take(2)) };
            respond(200, "application/json", body)
        })
        .await;
        let error = call(&double.backend(), expected(Era::Legacy)).await.unwrap_err();
        assert_eq!(error.name(), "too_large");
    }
}

#[tokio::test]
async fn a_backend_that_says_nothing_times_out() {
    for begins in [false, true] {
        let double = Double::start(move |_| {
            let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
            respond(200, "application/json", body)
        })
        .await;
        let mut config = double.config();
        config.response_timeout = Duration::from_millis(50);
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if !begins {
            let address = silent.local_addr().unwrap();
            config.url = Url::parse(&format!("http://{address}/")).unwrap();
        }
        let backend =
            Arc::new(Backend::new(config, &TaskTracker::new(), &CancellationToken::new()).unwrap());
        let error = call(&backend, expected(Era::Legacy)).await.unwrap_err();
        assert_eq!(error.name(), "timeout");
    }
}

/// The data of the events that pass, and the word for how the stream ended.
async fn events(body: &'static str, expected: Expected) -> (Vec<String>, Option<&'static str>) {
    let double = Double::start(move |_| respond(200, "text/event-stream", body)).await;
    let upstream = call(&double.backend(), expected).await.unwrap();
    assert_eq!(upstream.headers["x-accel-buffering"], "no");
    let UpstreamBody::Stream(mut stream) = upstream.body else { panic!("no stream") };
    let (mut data, mut end) = (Vec::new(), None);
    while let Some(event) = stream.next().await {
        assert!(end.is_none(), "something followed the error");
        match event {
            Ok(event) => {
                data.extend(event.data.map(|data| String::from_utf8(data).unwrap()));
            }
            Err(error) => end = Some(error.name()),
        }
    }
    (data, end)
}

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
const ASK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#;
const DONE: &str = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;

#[tokio::test]
async fn a_stream_carries_notifications_and_exactly_one_response() {
    let body = concat!(
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",",
        "\"params\":{}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\"}\n\n",
        "data: nonsense\n\n",
        "data: [{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}]\n\n",
        ": alive\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"again\":1}}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n",
    );
    for era in [Era::Legacy, Era::Modern] {
        let (data, end) = events(body, expected(era)).await;
        assert_eq!((data, end), (vec![NOTE.to_owned(), DONE.to_owned()], None));
    }
}

#[tokio::test]
async fn a_stream_without_the_response_ends_in_an_error() {
    let (data, end) = events(": alive\n\n", expected(Era::Modern)).await;
    assert_eq!((data, end), (vec![], Some("answer")));
    let unfinished = "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n";
    assert_eq!(events(unfinished, expected(Era::Modern)).await, (vec![], Some("answer")));
}

#[tokio::test]
async fn an_event_beyond_the_size_ends_the_stream() {
    let body = Box::leak(format!("data: {}\n\n", "x".repeat(3000)).into_boxed_str());
    assert_eq!(events(body, expected(Era::Modern)).await, (vec![], Some("too_large")));
}

#[tokio::test]
async fn a_relayed_session_carries_questions_in_the_legacy_era_only() {
    let body = concat!(
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\"}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n",
    );
    for (era, questions) in [(Era::Legacy, 1), (Era::Modern, 0)] {
        let session = Some("s".to_owned());
        let expected = Expected { relayed: true, session, ..expected(era) };
        let (data, end) = events(body, expected).await;
        assert_eq!(data.iter().filter(|data| *data == ASK).count(), questions);
        assert_eq!((data.last().map(String::as_str), end), (Some(DONE), None));
    }
}

#[tokio::test]
async fn a_relayed_stream_that_can_be_resumed_may_end_early() {
    let expected = Expected { relayed: true, ..expected(Era::Legacy) };
    assert_eq!(events("id: 1\ndata:\n\n", expected).await, (vec![String::new()], None));
}

#[tokio::test]
async fn events_leave_one_by_one_and_a_client_that_goes_ends_the_request() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let receiver = Mutex::new(Some(receiver));
    let double = Double::start(move |_| {
        let receiver = receiver.lock().unwrap().take();
        let chunks = stream::unfold(receiver, |receiver| async move {
            let mut receiver = receiver?;
            let chunk = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(chunk), Some(receiver)))
        });
        respond(200, "text/event-stream", Body::from_stream(chunks))
    })
    .await;
    let upstream = call(&double.backend(), expected(Era::Modern)).await.unwrap();
    let UpstreamBody::Stream(mut events) = upstream.body else { panic!("no stream") };
    for _ in 0..3 {
        let event = format!("data: {NOTE}\n\n");
        sender.send(event.clone().into()).await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().raw, event);
    }
    drop(events);
    tokio::time::timeout(Duration::from_secs(5), sender.closed()).await.unwrap();
}
