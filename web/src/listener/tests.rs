//! The accept loop against slow, silent and many clients.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream as Peer,
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    routing::{get, post},
};
use futures_util::stream;
use tokio::task::{JoinHandle, spawn_blocking};

use super::*;

const DRAIN: Duration = Duration::from_millis(300);
const HEAD: Duration = Duration::from_millis(300);
const MOST: u32 = 3;
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

struct Running {
    address: SocketAddr,
    ended: JoinHandle<()>,
    shutdown: CancellationToken,
}

async fn start() -> Running {
    start_with(100).await
}

async fn start_with(max_per_address: u32) -> Running {
    let router = Router::new()
        .route(
            "/",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
        )
        .route("/early", post(|| async { http::StatusCode::PAYLOAD_TOO_LARGE }))
        .route("/length", post(length))
        .route("/panic", get(panics))
        .route("/stream", get(|| async { Body::from_stream(endless()) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
    let options = ServeOptions {
        drain: DRAIN,
        header_timeout: HEAD,
        idle_timeout: Duration::from_secs(30),
        max_connections: MOST,
        max_per_address,
        proxies: TrustedProxies::default(),
        tls: None,
    };
    let run = serve(vec![listener], router, options, shutdown.clone(), tracker.clone());
    Running { address, ended: tracker.spawn(run), shutdown }
}

/// How long a body is, as endpoints read one.
async fn length(body: Body) -> String {
    crate::form::read_body(body, 1 << 20).await.map_or("none".into(), |body| body.len().to_string())
}

async fn panics() -> &'static str {
    panic!("as a handler may")
}

/// A stream that says hello once and never ends.
fn endless() -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::StreamExt::chain(stream::iter([Ok(Bytes::from_static(b"hello"))]), stream::pending())
}

impl Running {
    fn connect(&self) -> Peer {
        let peer = Peer::connect(self.address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(10), self.ended).await.unwrap().unwrap();
    }
}

/// Reads until the text occurs or the connection ends.
fn read_until(peer: &mut Peer, text: &str) -> String {
    let mut all = Vec::new();
    let mut piece = [0_u8; 1024];
    while !String::from_utf8_lossy(&all).contains(text) {
        match peer.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(&piece[..n]),
            Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8(all).unwrap()
}

async fn talk<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_handler_sees_the_address_of_its_peer() {
    let running = start().await;
    let mut peer = running.connect();
    talk(move || {
        peer.write_all(GET).unwrap();
        let own = peer.local_addr().unwrap().to_string();
        assert!(read_until(&mut peer, &own).ends_with(&own));
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let running = start().await;
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nhost:"] {
        // The server counts from the moment it accepts.
        let begun = Instant::now();
        let mut peer = running.connect();
        talk(move || {
            peer.write_all(sent).unwrap();
            assert_eq!(read_until(&mut peer, "HTTP/1.1 200"), "");
            assert!(begun.elapsed() >= HEAD, "{:?}", begun.elapsed());
        })
        .await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_but_not_within_a_head() {
    let running = start().await;
    let mut peer = running.connect();
    talk(move || {
        peer.write_all(GET).unwrap();
        read_until(&mut peer, "127.0.0.1");
        peer.set_read_timeout(Some(HEAD * 2)).unwrap();
        let rested = peer.read(&mut [0; 64]).map_err(|error| error.kind());
        assert!(matches!(rested, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{rested:?}");
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer.write_all(GET).unwrap();
        assert!(read_until(&mut peer, "127.0.0.1").starts_with("HTTP/1.1 200"));
        peer.write_all(b"GET /").unwrap();
        assert_eq!(read_until(&mut peer, "HTTP/1.1 200"), "");
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_so() {
    let running = start().await;
    let filler = "x".repeat(200 << 10);
    for head in [
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {filler}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200)),
        format!("GET /?{filler} HTTP/1.1\r\nhost: a\r\n\r\n"),
    ] {
        let mut peer = running.connect();
        talk(move || {
            peer.write_all(head.as_bytes()).unwrap();
            let answer = read_until(&mut peer, "\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        })
        .await;
    }
    running.stop().await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_peer_that_still_sends() {
    let running = start().await;
    let mut peer = running.connect();
    talk(move || {
        let head = "POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 600000\r\n\r\n";
        peer.write_all(head.as_bytes()).unwrap();
        peer.write_all(&vec![b'x'; 600_000]).unwrap();
        assert!(read_until(&mut peer, "\r\n\r\n").starts_with("HTTP/1.1 413"));
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_body_is_read_to_its_end_however_it_comes() {
    let running = start().await;
    let mut peer = running.connect();
    let answers = talk(move || {
        let mut answers = Vec::new();
        let mut read = |peer: &mut Peer, end: &str| {
            let mut text = String::new();
            let mut byte = [0];
            while !text.ends_with(end) && peer.read(&mut byte).unwrap() == 1 {
                text.push(char::from(byte[0]));
            }
            answers.push(text);
        };
        // All at once, so that nothing more arrives while it is read.
        for length in [1, 8_000, 9_000, 100_000, 1 << 20] {
            let head =
                format!("POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
            let whole = [head.into_bytes(), vec![b'a'; length]].concat();
            peer.write_all(&whole).unwrap();
            read(&mut peer, &format!("\r\n\r\n{length}"));
        }
        let chunks = "6\r\nchunks\r\n".repeat(5000);
        let head = "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        peer.write_all(format!("{head}{chunks}0\r\n\r\n").as_bytes()).unwrap();
        read(&mut peer, "\r\n\r\n30000");
        let head =
            "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
        peer.write_all(head.as_bytes()).unwrap();
        read(&mut peer, "\r\n\r\n");
        peer.write_all(b"body").unwrap();
        read(&mut peer, "\r\n\r\n4");
        answers
    });
    let answers = timeout(Duration::from_secs(5), answers).await.unwrap();
    assert!(answers[6].starts_with("HTTP/1.1 100 "), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 ")), "{answers:?}");
    assert!(answers[7].ends_with("\r\n\r\n4"), "{answers:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_panicking_handler_answers_and_the_listener_goes_on() {
    let running = start().await;
    let mut peer = running.connect();
    talk(move || {
        peer.write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let answer = read_until(&mut peer, "}");
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
        peer.write_all(GET).unwrap();
        assert!(read_until(&mut peer, "127.0.0.1").starts_with("HTTP/1.1 200"));
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn at_the_cap_a_connection_waits_for_room() {
    let running = start().await;
    let mut held: Vec<Peer> = (0..MOST).map(|_| running.connect()).collect();
    let mut waiting = running.connect();
    talk(move || {
        for peer in &mut held {
            peer.write_all(GET).unwrap();
            read_until(peer, "127.0.0.1");
        }
        waiting.write_all(GET).unwrap();
        waiting.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(waiting.read(&mut [0; 64]).is_err(), "there is no room yet");
        waiting.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        held.pop();
        assert!(read_until(&mut waiting, "127.0.0.1").starts_with("HTTP/1.1 200"));
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_shutdown_ends_resting_connections_at_once_and_streams_at_the_deadline() {
    let running = start().await;
    let (mut resting, mut streaming) = (running.connect(), running.connect());
    let (resting, streaming) = talk(move || {
        resting.write_all(GET).unwrap();
        read_until(&mut resting, "127.0.0.1");
        streaming.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        read_until(&mut streaming, "hello");
        (resting, streaming)
    })
    .await;
    let (address, begun) = (running.address, Instant::now());
    running.shutdown.cancel();
    talk(move || {
        let (mut resting, mut streaming) = (resting, streaming);
        assert_eq!(read_until(&mut resting, "HTTP"), "");
        assert!(begun.elapsed() < DRAIN, "{:?}", begun.elapsed());
        assert_eq!(read_until(&mut streaming, "HTTP"), "");
        assert!(begun.elapsed() >= DRAIN, "{:?}", begun.elapsed());
        assert!(Peer::connect(address).is_err(), "nobody listens any more");
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn one_address_cannot_take_all_the_room() {
    let running = start_with(2).await;
    let mut held = [running.connect(), running.connect()];
    for peer in &mut held {
        peer.write_all(GET).unwrap();
    }
    let held = talk(move || {
        for peer in &mut held {
            drop(read_until(peer, "127.0.0.1"));
        }
        held
    })
    .await;
    let mut third = running.connect();
    let answer = talk(move || {
        // The server may have closed it already.
        let _sent = third.write_all(GET);
        let mut piece = [0; 64];
        third.read(&mut piece).unwrap_or_default()
    })
    .await;
    assert_eq!(answer, 0);
    drop(held);
    let served = async {
        loop {
            let mut next = running.connect();
            let answer = talk(move || {
                let _sent = next.write_all(GET);
                let mut piece = [0; 64];
                next.read(&mut piece).unwrap_or_default()
            })
            .await;
            if answer > 0 {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), served).await.unwrap();
    running.stop().await;
}
