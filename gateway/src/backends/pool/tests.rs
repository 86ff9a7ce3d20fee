//! Connections against servers that keep them, close them, or do not answer.

use std::{net::SocketAddr, sync::atomic::AtomicUsize};

use axum::{Router, body::to_bytes, extract::ConnectInfo, routing::post};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use tokio_util::task::TaskTracker;

use super::*;

fn request(body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post("/").header("host", "backend");
    request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

fn pool(address: SocketAddr, limits: PoolLimits) -> Pool {
    Pool::new(address.ip().to_string(), address.port(), limits)
}

async fn send(
    pool: &Pool,
    request: Request<Full<Bytes>>,
) -> Result<Response<PooledBody>, PoolError> {
    pool.send(request, Instant::now(), Duration::from_secs(5)).await
}

/// A server that answers with the port of the connection it was asked on.
async fn echo_port() -> SocketAddr {
    let app = Router::new().route(
        "/",
        post(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.port().to_string() }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    address
}

async fn text(response: Response<PooledBody>) -> String {
    let body = to_bytes(axum::body::Body::new(response.into_body()), 1000).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let pool = pool(echo_port().await, PoolLimits::default());
    let first = text(send(&pool, request("")).await.unwrap()).await;
    let second = text(send(&pool, request("")).await.unwrap()).await;
    assert_eq!(first, second);
    let (one, other) = tokio::join!(send(&pool, request("")), send(&pool, request("")));
    assert_ne!(text(one.unwrap()).await, text(other.unwrap()).await);
}

#[tokio::test]
async fn a_connection_is_not_used_after_its_idle_time() {
    let limits = PoolLimits { idle: Duration::ZERO, ..PoolLimits::default() };
    let pool = pool(echo_port().await, limits);
    let first = text(send(&pool, request("")).await.unwrap()).await;
    let second = text(send(&pool, request("")).await.unwrap()).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn requests_beyond_the_cap_wait_and_then_fail() {
    let limits =
        PoolLimits { connect: Duration::from_millis(50), most: 1, ..PoolLimits::default() };
    let pool = pool(echo_port().await, limits);
    let held = send(&pool, request("")).await.unwrap();
    assert!(matches!(send(&pool, request("")).await, Err(PoolError::Busy)));
    drop(held);
    assert!(send(&pool, request("")).await.is_ok());
}

/// Answers the next request; `false` when there is none.
async fn answer_one(stream: &mut TcpStream) -> bool {
    if stream.read(&mut [0; 4096]).await.unwrap_or(0) == 0 {
        return false;
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    stream.write_all(answer).await.unwrap();
    true
}

/// A server that closes each connection after one answer, or after reading the second
/// request, without saying so in a header.
async fn closing(answers_per_connection: usize, reads_on: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            for _ in 0..answers_per_connection {
                if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                    break;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
            if reads_on && stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_connection_the_backend_closed_is_replaced() {
    let (address, seen) = closing(1, false).await;
    let pool = pool(address, PoolLimits::default());
    for _ in 0..3 {
        assert_eq!(text(send(&pool, request("x")).await.unwrap()).await, "ok");
        // The backend's end is read before the next request goes out.
        while !pool.0.idle().is_empty() {
            pool.sweep();
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let (address, seen) = closing(1, true).await;
    let pool = pool(address, PoolLimits::default());
    assert_eq!(text(send(&pool, request("x")).await.unwrap()).await, "ok");
    assert!(matches!(send(&pool, request("x")).await, Err(PoolError::Exchange(_))));
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn dropping_a_response_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbegun").await.unwrap();
        while stream.read(&mut buffer).await.unwrap_or(0) > 0 {}
    };
    let client = async {
        let mut response = send(&pool, request("")).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "begun");
    };
    let both = async { tokio::join!(server, client) };
    timeout(Duration::from_secs(5), Box::pin(both)).await.unwrap();
}

#[tokio::test]
async fn a_closed_pool_keeps_no_connection_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
    let tasks = TaskTracker::new();
    let server = tasks.clone();
    tasks.spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            server.spawn(async move { while answer_one(&mut stream).await {} });
        }
    });
    let (idle, held) = tokio::join!(send(&pool, request("")), send(&pool, request("")));
    text(idle.unwrap()).await;
    pool.close();
    text(held.unwrap()).await;
    // The server's tasks end with the connections.
    tasks.close();
    timeout(Duration::from_secs(5), tasks.wait()).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_costs_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
    let sent = pool.send(request("x"), Instant::now(), Duration::from_millis(20)).await;
    assert!(matches!(sent, Err(PoolError::Late)));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let reading = stream.read_to_end(&mut received);
    timeout(Duration::from_secs(5), reading).await.unwrap().unwrap();
    assert!(received.ends_with(b"x"));
}

#[tokio::test]
async fn a_body_in_many_pieces_may_be_read_by_another_task() {
    const PIECES: usize = 200;
    let piece = "y".repeat(10_000);
    let body = piece.repeat(PIECES);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await.unwrap();
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..PIECES {
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
    });
    for _ in 0..2 {
        let response = send(&pool, request("")).await.unwrap();
        let reading = tasks.spawn(async move { response.into_body().collect().await });
        let read = timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
        assert_eq!(read.unwrap().to_bytes(), body);
    }
}

#[tokio::test]
async fn a_backend_that_hangs_up_on_everybody_is_told_at_once_and_asked_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    for banner in [&b""[..], b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"] {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(banner).await.unwrap();
        };
        let (sent, ()) = tokio::join!(send(&pool, request("x")), server);
        assert!(sent.is_err() || sent.unwrap().status() == 503);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_an_ended_connection_never_took_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pool = pool(listener.local_addr().unwrap(), PoolLimits::default());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(answer_one(&mut stream).await);
        stream
    };
    let client = async { text(send(&pool, request("x")).await.unwrap()).await };
    let (answer, stream) = tokio::join!(client, server);
    assert_eq!(answer, "ok");
    let mut line = pool.0.idle().pop_back().unwrap().line;
    drop(stream);
    // The end is there, and nobody has looked.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let due = Instant::now() + Duration::from_secs(30);
    let exchange = timeout(Duration::from_secs(5), line.exchange(request("x"), due));
    assert!(matches!(exchange.await.unwrap(), Err(Failed::Unsent(..))));
}

#[tokio::test]
async fn nothing_is_sent_that_is_late_before_it_is_begun() {
    let limits = PoolLimits { most: 1, ..PoolLimits::default() };
    let pool = pool(echo_port().await, limits);
    let held = send(&pool, request("")).await.unwrap();
    let late = pool.send(request(""), Instant::now(), Duration::from_millis(20)).await;
    assert!(matches!(late, Err(PoolError::Late)));
    drop(held);
    let late = pool.send(request(""), Instant::now(), Duration::ZERO).await;
    assert!(matches!(late, Err(PoolError::Late)));
}

#[tokio::test]
async fn a_task_that_never_rests_gets_all_its_answers() {
    let pool = pool(echo_port().await, PoolLimits::default());
    let first = text(send(&pool, request("")).await.unwrap()).await;
    let all = async {
        // More than a task may do at once before the runtime makes it give way.
        for _ in 0..1000 {
            assert_eq!(text(send(&pool, request("")).await.unwrap()).await, first);
        }
    };
    timeout(Duration::from_mins(1), all).await.unwrap();
}

#[tokio::test]
async fn an_absent_backend_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let pool = pool(address, PoolLimits::default());
    assert!(matches!(send(&pool, request("")).await, Err(PoolError::Connect(_))));
}
