//! A REST server to stand behind the gateway: it keeps what it receives and answers as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use tokio_util::task::TaskTracker;

use crate::services::{address, listen};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct RestReceived {
    pub body: String,
    pub headers: HeaderMap,
    /// Method, path and query, as in `GET /contacts?limit=1`.
    pub line: String,
}

/// The server.
#[derive(Clone, Debug)]
pub struct RestBackend {
    pub address: SocketAddr,
    answer: Arc<Mutex<(u16, &'static str, String)>>,
    received: Arc<Mutex<Vec<RestReceived>>>,
}

impl RestBackend {
    /// Answers everything with an empty object.
    pub async fn start() -> Self {
        let answer = Arc::new(Mutex::new((200, "application/json", "{}".to_owned())));
        let received: Arc<Mutex<Vec<RestReceived>>> = Arc::default();
        let (to_give, kept) = (Arc::clone(&answer), Arc::clone(&received));
        let router = Router::new().fallback(move |request: Request| {
            let (to_give, kept) = (Arc::clone(&to_give), Arc::clone(&kept));
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 22).await.unwrap();
                let body = String::from_utf8(body.into()).unwrap();
                let line = format!("{} {}", head.method, head.uri);
                kept.lock().unwrap().push(RestReceived { body, headers: head.headers, line });
                let (status, media, body) = to_give.lock().unwrap().clone();
                let response = Response::builder().status(status).header(CONTENT_TYPE, media);
                response.header(LOCATION, "/elsewhere").body(Body::from(body)).unwrap()
            }
        });
        let listener = listen(0).await;
        let address = address(&listener);
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { address, answer, received }
    }

    /// Answers with this status, media type and body from now on.
    pub fn answer(&self, status: u16, media: &'static str, body: &str) {
        *self.answer.lock().unwrap() = (status, media, body.to_owned());
    }

    /// Everything that arrived.
    pub fn received(&self) -> Vec<RestReceived> {
        self.received.lock().unwrap().clone()
    }
}
