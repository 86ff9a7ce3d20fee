//! Sending a request to a backend: not while it is spared, within its time, and again only if
//! nothing of it was sent or it may be repeated (RFC 9110 section 9.2.2).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::Full;
use tokio::time::{Instant, sleep};

use super::{
    Backend, BackendError,
    breaker::{Health, Spared},
    mcp::Outgoing,
    pool::PooledBody,
};

/// How long a retry waits, times the number of tries before it.
const PAUSE: Duration = Duration::from_millis(50);
/// What is believed of a backend that asks for time.
const LONGEST_DEFERRAL: u64 = 3600;
const DEFERRAL: u64 = 2;

impl Backend {
    /// Sends a request and waits for the head of its response.
    pub(super) async fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
    ) -> Result<Response<PooledBody>, BackendError> {
        self.send(self.target.request(outgoing)).await
    }

    /// The same, again if it may be.
    pub(super) async fn exchange_again(
        &self,
        outgoing: &Outgoing<'_>,
        may_repeat: bool,
    ) -> Result<Response<PooledBody>, BackendError> {
        self.send_again(|| self.target.request(outgoing), may_repeat).await
    }

    /// Sends any request, again if nothing of it was sent, or if it may be repeated and the
    /// backend did not answer it.
    pub(super) async fn send_again(
        &self,
        request: impl Fn() -> Request<Full<Bytes>>,
        may_repeat: bool,
    ) -> Result<Response<PooledBody>, BackendError> {
        let mut tries = 0;
        loop {
            let outcome = self.send(request()).await;
            let again = match &outcome {
                Ok(response) => may_repeat && response.status() == StatusCode::BAD_GATEWAY,
                Err(BackendError::Unavailable) => true,
                Err(BackendError::Broken) => may_repeat,
                Err(_) => false,
            };
            if !again || tries >= self.config.connection.retries {
                return outcome;
            }
            tries += 1;
            drop(outcome);
            sleep(PAUSE * tries).await;
        }
    }

    /// Sends any request and waits for the head of its response.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, BackendError> {
        self.dress(&mut request);
        let now = Instant::now();
        let attempt = self
            .breaker
            .admit(now.into_std())
            .map_err(|Spared { left, why }| BackendError::Spared { left, why })?;
        let sending = self.pool.send(request, now, self.config.response_timeout);
        let outcome = sending.await.map_err(BackendError::from);
        match &outcome {
            Ok(response) if is_gateway_failure(response.status()) => {
                attempt.failed("it answers that it cannot serve", Instant::now().into_std());
            }
            Ok(_) => attempt.worked(),
            Err(error) => match error.failure() {
                Some(why) => attempt.failed(why, Instant::now().into_std()),
                // Our own cap says nothing about the backend.
                None => drop(attempt),
            },
        }
        outcome
    }

    /// Whether it is spared, and since when.
    pub(crate) fn health(&self) -> Health {
        self.breaker.health(Instant::now().into_std())
    }
}

/// When a backend that answers 429 or 503 wants to be asked again.
pub(super) fn deferred(headers: &HeaderMap) -> BackendError {
    let value = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = value.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFERRAL);
    BackendError::Deferred(Duration::from_secs(seconds.clamp(1, LONGEST_DEFERRAL)))
}

/// What stands before a server says when the server is away.
fn is_gateway_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}
