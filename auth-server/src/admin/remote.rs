//! The admin interface over TCP, where it is switched on: on loopback alone, for whoever shows
//! the token. From elsewhere it is reached through a tunnel, which says who may.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE},
    uri::Authority,
};
use shared::secret::{Secret, SecretHash};
use subtle::ConstantTimeEq;
use web::problem::Problem;

/// Where an operator's request came from, once its token was right.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminAddress(pub(super) IpAddr);

/// Paths for operators, over TCP. Each request must carry its peer's address.
pub fn over_tcp(router: Router, token: &Secret) -> Router {
    router.layer(middleware::from_fn_with_state(token.hash(), authenticate))
}

async fn authenticate(
    State(token): State<SecretHash>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    // A name that a stranger's page leads here is none of this machine's.
    if !is_of_this_machine(request.headers()) {
        let text = "operators ask at localhost, 127.0.0.1 or [::1]";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", text).into_response();
    }
    let shown = bearer(request.headers()).map(|shown| SecretHash::of(shown.as_bytes()));
    let is_right = shown.is_some_and(|shown| {
        bool::from(shown.as_str().as_bytes().ct_eq(token.as_str().as_bytes()))
    });
    if !is_right {
        tracing::warn!(%peer, "an operator's request without the token");
        let text = "show the token of listen.admin_token_file";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", text);
        return ([(WWW_AUTHENTICATE, "Bearer")], problem).into_response();
    }
    request.extensions_mut().insert(AdminAddress(peer.ip()));
    next.run(request).await
}

fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (one, more) = (all.next()?, all.next());
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Method;
    use http_body_util::BodyExt;
    use shared::time::Clock;
    use tower::ServiceExt;

    use super::*;
    use crate::{App, Engine, admin_router, store::contract::NOW, testing};

    const TOKEN: &str = "a token of the admin listener, long enough";

    async fn app() -> App {
        let (kek, _) = keys::KeyEncryptionKey::generate();
        let engine = Engine::Embedded(store::Embedded::memory().unwrap(), None);
        App::open(testing::config(), engine, Clock::manual(NOW), &kek).await.unwrap()
    }

    async fn ask(app: &App, method: Method, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = over_tcp(admin_router(app.clone()), &Secret::new(TOKEN.to_owned()));
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn operators_are_answered_for_the_token_alone_and_pages_never() {
        let app = app().await;
        let right = format!("Bearer {TOKEN}");
        let wrong = format!("Bearer {TOKEN}.");
        let host = ("host", "127.0.0.1:7419");
        let list = async |headers: &[(&str, &str)]| {
            ask(&app, Method::GET, "/admin/v1/users", headers).await
        };
        assert_eq!(list(&[host, ("authorization", &right)]).await, StatusCode::OK);
        assert_eq!(list(&[("host", "[::1]"), ("authorization", &right)]).await, StatusCode::OK);
        assert_eq!(list(&[host]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(list(&[host, ("authorization", &wrong)]).await, StatusCode::UNAUTHORIZED);
        assert_eq!(list(&[host, ("authorization", TOKEN)]).await, StatusCode::UNAUTHORIZED);
        let twice = [host, ("authorization", right.as_str()), ("authorization", &right)];
        assert_eq!(list(&twice).await, StatusCode::UNAUTHORIZED);
        for elsewhere in ["rebound.example", "192.0.2.1:7419", ""] {
            let asked = [("host", elsewhere), ("authorization", right.as_str())];
            assert_eq!(list(&asked).await, StatusCode::MISDIRECTED_REQUEST, "{elsewhere}");
        }
        for page in [("origin", "http://localhost:7410"), ("sec-fetch-mode", "cors")] {
            let asked = [host, ("authorization", right.as_str()), page];
            assert_eq!(list(&asked).await, StatusCode::FORBIDDEN, "{page:?}");
        }
    }

    #[tokio::test]
    async fn what_is_done_over_tcp_is_kept_with_the_address_it_came_from() {
        let app = app().await;
        let right = format!("Bearer {TOKEN}");
        let headers = [
            ("host", "localhost"),
            ("authorization", right.as_str()),
            ("vestibule-operator", "dana"),
        ];
        ask(&app, Method::POST, "/admin/v1/users/usr_none/disable", &headers).await;
        app.flush_audit().await.unwrap();
        let request = http::Request::get("/admin/v1/audit");
        let request =
            headers.iter().fold(request, |asked, (name, value)| asked.header(*name, *value));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
        let router = over_tcp(admin_router(app), &Secret::new(TOKEN.to_owned()));
        let body = router.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        for told in ["127.0.0.1", "dana", "usr_none"] {
            assert!(text.contains(told), "{text}");
        }
        assert!(!text.contains(TOKEN));
    }
}
