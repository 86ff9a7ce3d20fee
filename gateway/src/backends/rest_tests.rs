//! What is sent twice to a REST backend, and what is not.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::*;
use crate::{config, rules::openapi::Description};

/// A server that breaks off so many times before it answers, and counts the requests.
async fn breaking(times: usize) -> (config::Backend, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.unwrap_or(0) > 0
                && count.fetch_add(1, Ordering::SeqCst) >= times
            {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }
    });
    (config::Backend { url, ..crate::backends::tests::config() }, seen)
}

/// What the method's operation gets of that server, and how many requests that takes.
async fn ask(method: &str, times: usize) -> (Option<StatusCode>, usize) {
    let (config, seen) = breaking(times).await;
    let value = json!({ "openapi": "3.1.0", "paths": { "/a": { method: {} } } });
    let operation = Description::read(&value, &[]).unwrap().operations.remove(0);
    let request = openapi::request(&operation, &config.url, &Members::default()).unwrap();
    let uri: Uri = request.target.parse().unwrap();
    let backend = Backend::new(config, &TaskTracker::new(), &CancellationToken::new()).unwrap();
    let identity = HeaderValue::from_static("Bearer identity");
    let parts = || (HeaderMap::new(), request.clone(), uri.clone());
    let written = || written(&backend, parts(), identity.clone());
    let outcome = backend.send_again(written, operation.is_read_only()).await;
    (outcome.ok().map(|response| response.status()), seen.load(Ordering::SeqCst))
}

#[tokio::test]
async fn only_what_reads_is_sent_again_after_a_broken_connection() {
    assert_eq!(ask("get", 0).await, (Some(StatusCode::NO_CONTENT), 1));
    assert_eq!(ask("get", 1).await, (Some(StatusCode::NO_CONTENT), 2));
    assert_eq!(ask("get", 9).await, (None, 2), "once, and no more");
    for method in ["delete", "patch", "post", "put"] {
        assert_eq!(ask(method, 1).await, (None, 1), "{method}");
    }
}
