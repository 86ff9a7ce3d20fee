//! A backend that fails: what is sent again, when it is spared, and how long it may take.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::backends::Health;

/// A server whose first requests end in these ways, and then in `last`; it counts them.
async fn scripted(first: Vec<&'static str>, last: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&seen);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.unwrap_or(0) > 0 {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let answer = first.get(number).copied().unwrap_or(last);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    (address, seen)
}

const BREAKS: &str = "";
const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
const FAULT: &str = "HTTP/1.1 500 Fault\r\ncontent-length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn reaching(address: SocketAddr, connection: Connection) -> Backend {
    let url = Url::parse(&format!("http://{address}/mcp")).unwrap();
    let config = config::Backend { connection, url, ..config() };
    Backend::new(config, &TaskTracker::new(), &CancellationToken::new()).unwrap()
}

fn message() -> Outgoing<'static> {
    Outgoing {
        authorization: &IDENTITY,
        body: "{}".into(),
        last_event_id: None,
        method: http::Method::POST,
        passed: None,
        repeated: None,
        session: None,
        version: None,
    }
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    for (first, may_repeat, status, requests) in [
        (vec![BREAKS], true, Some(204), 2),
        (vec![BREAKS], false, None, 1),
        (vec![BAD_GATEWAY], true, Some(204), 2),
        (vec![BAD_GATEWAY], false, Some(502), 1),
        (vec![BUSY], true, Some(503), 1),
        (vec![FAULT], true, Some(500), 1),
        (vec![BREAKS, BREAKS], true, None, 2),
    ] {
        let about = format!("{first:?} {may_repeat}");
        let (address, seen) = scripted(first, OK).await;
        let backend = reaching(address, connection());
        let outcome = backend.exchange_again(&message(), may_repeat).await;
        assert_eq!(outcome.ok().map(|answer| answer.status().as_u16()), status, "{about}");
        assert_eq!(seen.load(Ordering::SeqCst), requests, "{about}");
    }
}

#[tokio::test]
async fn what_was_not_sent_is_sent_when_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let backend = reaching(address, Connection { retries: 3, ..connection() });
    let late = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.write_all(OK.as_bytes()).await.unwrap();
    };
    let message = message();
    let (answer, ()) = tokio::join!(backend.exchange_again(&message, false), late);
    assert_eq!(answer.unwrap().status(), 204);
}

#[tokio::test]
async fn a_backend_that_fails_is_spared_and_one_request_finds_out_when_it_is_back() {
    let (address, seen) = scripted(vec![BAD_GATEWAY, BREAKS], OK).await;
    let breaker = BreakerLimits { failures: 2, pause: Duration::from_millis(300) };
    let backend = reaching(address, Connection { breaker, retries: 0, ..connection() });
    assert_eq!(backend.exchange(&message()).await.unwrap().status(), 502);
    assert!(matches!(backend.exchange(&message()).await, Err(BackendError::Broken)));
    for _ in 0..5 {
        let error = backend.exchange(&message()).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.retry_after()), (503, Some(1)));
        let said =
            "is not available now: it breaks connections before it answers; try again in 1 s";
        assert_eq!(error.to_string(), said);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 2, "nothing is sent");
    assert!(matches!(backend.health(), Health::Spared { .. }));
    let limit = Instant::now() + Duration::from_secs(10);
    while !matches!(backend.health(), Health::Probed { .. }) {
        assert!(Instant::now() < limit);
        tokio::task::yield_now().await;
    }
    assert_eq!(backend.exchange(&message()).await.unwrap().status(), 204);
    assert_eq!(backend.health(), Health::Asked { failures: 0 });
}

#[tokio::test]
async fn faults_of_single_calls_spare_nobody() {
    let (address, seen) = scripted(vec![], FAULT).await;
    let breaker = BreakerLimits { failures: 2, pause: Duration::from_mins(1) };
    let backend = reaching(address, Connection { breaker, ..connection() });
    for _ in 0..5 {
        assert_eq!(backend.exchange(&message()).await.unwrap().status(), 500);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 5);
}
