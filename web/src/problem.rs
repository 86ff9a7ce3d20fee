//! JSON error bodies (RFC 6749 section 5.2): `{"error", "error_description"}`, never cached.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE},
};

/// The code of every transient refusal: clients keep their tokens when they read it.
pub const TEMPORARILY_UNAVAILABLE: &str = "temporarily_unavailable";

/// A refusal as an API client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    challenge: Option<HeaderValue>,
    description: String,
    error: &'static str,
    retry_after: Option<u64>,
    status: StatusCode,
}

impl Problem {
    /// A refusal with its wire code and a description; the description is reduced to the
    /// characters that RFC 6749 section 5.2 allows.
    pub fn new(status: StatusCode, error: &'static str, description: &str) -> Self {
        let description = description.chars().map(allowed).collect();
        Self { challenge: None, description, error, retry_after: None, status }
    }

    /// A transient failure: 503 with `Retry-After`, so that no client drops its tokens.
    pub fn unavailable(description: &str, retry_after: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, TEMPORARILY_UNAVAILABLE, description)
            .with_retry_after(retry_after)
    }

    /// Nothing is found at this address.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
    }

    /// The same with a `WWW-Authenticate` challenge.
    #[must_use]
    pub fn with_challenge(mut self, challenge: &str) -> Self {
        self.challenge = HeaderValue::from_str(challenge).ok();
        self
    }

    /// The same with the seconds to wait before another try.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The wire code.
    pub fn error(&self) -> &'static str {
        self.error
    }

    /// The body as it is sent.
    pub fn body(&self) -> String {
        let description = &self.description;
        serde_json::json!({ "error": self.error, "error_description": description }).to_string()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json(self.status, self.body());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A JSON answer that no cache keeps (RFC 6749 section 5.1).
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    response
}

/// The header that keeps a browser from guessing media types; its value is `nosniff`.
pub(crate) const NOSNIFF: HeaderName = http::header::X_CONTENT_TYPE_OPTIONS;

fn allowed(c: char) -> char {
    match c {
        ' '..='!' | '#'..='[' | ']'..='~' => c,
        '"' => '\'',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_json_that_no_cache_keeps() {
        let response =
            Problem::new(StatusCode::BAD_REQUEST, "invalid_grant", "it is spent").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn a_description_keeps_to_the_allowed_characters() {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "a \"b\"\\\r\n§");
        assert_eq!(
            problem.body(),
            r#"{"error":"invalid_request","error_description":"a 'b'????"}"#
        );
    }

    #[test]
    fn a_transient_failure_says_when_to_come_back() {
        let response = Problem::unavailable("the store is failing over", 2).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }
}
