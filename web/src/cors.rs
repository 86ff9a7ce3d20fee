//! Cross-origin reading of public endpoints (Fetch standard, CORS protocol): any origin, never
//! with credentials.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
        ORIGIN, VARY,
    },
};
use url::Url;

/// The headers a page's script may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Accept, MCP-Protocol-Version, \
                               Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID";
/// The headers a page's script may read beyond the safelisted ones.
const EXPOSED_HEADERS: &str = "WWW-Authenticate, Mcp-Session-Id, Retry-After";
const METHODS: &str = "GET, POST, PUT, DELETE, OPTIONS";

/// Whose scripts may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's: for public documents and for endpoints that ask for a credential themselves.
    Any,
    /// Those listed, byte for byte.
    Listed(Arc<[String]>),
    /// Those on this machine.
    Loopback,
}

impl Origins {
    /// Whether a request with this `Origin` may be answered readably; without one it is no
    /// script's request and passes.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        self.answer_to(headers).is_some() || !headers.contains_key(ORIGIN)
    }

    fn answer_to(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        // Always, also without an origin: a cache may give the answer to a script later.
        if *self == Self::Any {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        match self {
            Self::Any => None,
            Self::Listed(list) => list.iter().any(|one| one == text).then(|| origin.clone()),
            Self::Loopback => {
                let url = Url::parse(text).ok()?;
                shared::resource::is_loopback(&url).then(|| origin.clone())
            }
        }
    }
}

/// Middleware: answers preflights and marks answers readable. Use it as
/// `axum::middleware::from_fn_with_state(Origins::Any, web::cors::apply)`.
pub async fn apply(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let allowed = origins.answer_to(request.headers());
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { no_content() } else { next.run(request).await };
    let headers = response.headers_mut();
    if origins != Origins::Any {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(allowed) = allowed else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
    response
}

/// Marks an answer readable by everybody's scripts, as [`apply`] does for [`Origins::Any`].
pub fn readable_by_all(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::post};
    use tower::ServiceExt;

    use super::*;

    async fn send(origins: Origins, method: Method, headers: &[(&str, &str)]) -> Response {
        let router = Router::new()
            .route("/token", post(|| async { StatusCode::UNAUTHORIZED }))
            .layer(from_fn_with_state(origins, apply));
        let mut request = Request::builder().method(method).uri("/token");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    const PREFLIGHT: [(&str, &str); 2] =
        [("origin", "https://inspector.example"), ("access-control-request-method", "POST")];

    #[tokio::test]
    async fn a_preflight_is_answered_without_reaching_the_endpoint() {
        let response = send(Origins::Any, Method::OPTIONS, &PREFLIGHT).await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let allowed = response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        assert!(allowed.contains("Authorization") && allowed.contains("MCP-Protocol-Version"));
    }

    #[tokio::test]
    async fn an_error_is_readable_with_its_challenge_and_never_with_credentials() {
        let response =
            send(Origins::Any, Method::POST, &[("origin", "https://inspector.example")]).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let exposed = response.headers()[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
        assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Retry-After"));
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
    }

    #[tokio::test]
    async fn an_origin_that_is_not_listed_gets_no_permission() {
        let listed = Origins::Listed(Arc::new(["https://app.example".to_owned()]));
        let response = send(listed, Method::OPTIONS, &PREFLIGHT).await;
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(response.headers()[VARY], "Origin");
    }

    #[tokio::test]
    async fn loopback_origins_are_allowed_by_name_and_address_only() {
        for (origin, allowed) in [
            ("http://localhost:6274", true),
            ("http://[::1]:6274", true),
            ("http://localhost.evil.example", false),
            ("null", false),
        ] {
            let response = send(Origins::Loopback, Method::POST, &[("origin", origin)]).await;
            let header = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(header.is_some(), allowed, "{origin}");
        }
    }
}
