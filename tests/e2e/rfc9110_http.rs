//! What HTTP itself asks (RFC 9110): the right host, the right method, a body within bounds.

use reqwest::{Method, header::HeaderMap};
use tests::{Client, World};

#[tokio::test]
async fn requests_for_another_host_are_misdirected() {
    let world = World::start().await;
    let port = world.issuer.rsplit(':').next().unwrap();
    let (elsewhere, numeric) = (format!("evil.example:{port}"), format!("127.0.0.1:{port}"));
    for host in ["evil.example", &elsewhere, &numeric, "localhost", ""] {
        for path in ["/authorize", "/.well-known/oauth-authorization-server", "/jwks", "/none"] {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            let url = world.url(path);
            let reply = world.http.send(Method::GET, &url, headers, String::new()).await;
            assert_eq!(reply.status, 421, "RFC 9110 section 7.4: {host}{path}");
            assert_eq!(reply.header("content-type"), "application/json");
        }
    }
}

#[tokio::test]
async fn a_host_is_known_in_any_case() {
    let world = World::start().await;
    let host = world.issuer.replace("http://", "").to_uppercase();
    let mut headers = HeaderMap::new();
    headers.insert("host", host.parse().unwrap());
    let reply = world.http.send(Method::GET, &world.url("/jwks"), headers, String::new()).await;
    assert_eq!(reply.status, 200, "RFC 9110 section 4.2.3");
}

#[tokio::test]
async fn the_wrong_method_is_told_the_right_one() {
    let world = World::start().await;
    for (method, path, allowed) in [
        (Method::PUT, "/authorize", "POST"),
        (Method::GET, "/token", "POST"),
        (Method::GET, "/register", "POST"),
        (Method::PUT, "/register", "POST"),
        (Method::GET, "/revoke", "POST"),
        (Method::POST, "/jwks", "GET"),
        (Method::GET, "/logout", "POST"),
        (Method::DELETE, "/consent", "GET"),
    ] {
        let url = world.url(path);
        let reply = world.http.send(method.clone(), &url, HeaderMap::new(), String::new()).await;
        assert_eq!(reply.status, 405, "{method} {path}");
        assert_eq!(reply.error(), "invalid_request", "{method} {path}");
        let allow = reply.header("allow");
        assert!(allow.contains(allowed), "RFC 9110 section 15.5.6: {method} {path}: {allow:?}");
    }
}

#[tokio::test]
async fn documents_can_be_asked_for_by_head() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let document = world.url("/.well-known/oauth-authorization-server");
    for url in [client.endpoint("jwks_uri"), &document] {
        let reply = world.http.send(Method::HEAD, url, HeaderMap::new(), String::new()).await;
        assert_eq!((reply.status, &*reply.text), (200, ""), "RFC 9110 section 9.3.2");
    }
}

#[tokio::test]
async fn the_process_says_that_it_lives_and_serves_whatever_the_host() {
    let world = World::start().await;
    let mut headers = HeaderMap::new();
    headers.insert("host", "10.0.0.7:8080".parse().unwrap());
    for path in ["/healthz", "/readyz"] {
        let url = format!("{}{path}", world.origin());
        let reply = world.http.send(Method::GET, &url, headers.clone(), String::new()).await;
        assert_eq!(reply.status, 200, "{path}");
    }
}
