//! Authorization server metadata (RFC 8414).

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tests::{Client, Options, World};

const NAME: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn the_document_is_where_clients_look() {
    for (issuer_path, locations) in [
        ("", &["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"][..]),
        (
            "/tenant",
            &[
                "/.well-known/oauth-authorization-server/tenant",
                "/.well-known/openid-configuration/tenant",
                "/tenant/.well-known/openid-configuration",
                NAME,
            ],
        ),
        ("/a/b", &["/.well-known/oauth-authorization-server/a/b", NAME]),
    ] {
        let world = World::with(Options { issuer_path, ..Options::default() }).await;
        for location in locations {
            let url = format!("{}{location}", world.origin());
            let reply = world.http.get(&url).await.expect_status(200);
            assert_eq!(reply.header("content-type"), "application/json", "RFC 8414 section 3.2");
            assert_eq!(reply.json()["issuer"], *world.issuer, "RFC 8414 section 3.3");
        }
    }
}

#[tokio::test]
async fn the_endpoints_of_an_issuer_with_a_path_are_below_it() {
    let world = World::with(Options { issuer_path: "/tenant", ..Options::default() }).await;
    let client = Client::public(&world).await;
    for name in [
        "authorization_endpoint",
        "introspection_endpoint",
        "jwks_uri",
        "registration_endpoint",
        "revocation_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
    ] {
        assert!(client.endpoint(name).starts_with(&format!("{}/", world.issuer)), "{name}");
    }
    client.tokens(&mut tests::Browser::new(&world)).await;
}

#[tokio::test]
async fn every_miss_is_json() {
    for issuer_path in ["", "/tenant"] {
        let world = World::with(Options { issuer_path, ..Options::default() }).await;
        for path in [
            "/",
            "/.well-known/oauth-authorization-server/elsewhere",
            "/.well-known/oauth-authorization-server/",
            "/.well-known/oauth-protected-resource",
            "/elsewhere/.well-known/openid-configuration",
            "/elsewhere/token",
            "/favicon.ico",
        ] {
            let url = format!("{}{path}", world.origin());
            let reply = world.http.get(&url).await;
            assert_eq!(reply.status, 404, "{path}");
            assert_eq!(reply.header("content-type"), "application/json", "{path}");
            assert_eq!(reply.error(), "not_found", "{path}");
        }
    }
}

#[tokio::test]
async fn the_document_says_what_is_true() {
    let world = World::start().await;
    let metadata = Client::discover(&world).await.metadata;
    // RFC 8414 section 2, RFC 7636 section 4.3 and RFC 9207 section 3.
    for (name, value) in [
        ("response_types_supported", json!(["code"])),
        ("response_modes_supported", json!(["query", "form_post"])),
        (
            "grant_types_supported",
            json!(["authorization_code", "refresh_token", "client_credentials"]),
        ),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("client_id_metadata_document_supported", json!(true)),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!(["ES256"])),
        ("request_uri_parameter_supported", json!(false)),
    ] {
        assert_eq!(metadata[name], value, "{name}");
    }
    let methods = json!(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]);
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], methods);
    assert_eq!(metadata["revocation_endpoint_auth_methods_supported"], methods);
    let scopes: Vec<&str> = metadata["scopes_supported"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    let secrets = json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]);
    assert_eq!(metadata["introspection_endpoint_auth_methods_supported"], secrets);
    let (of_resources, of_identity) = scopes.split_at(4);
    assert_eq!(of_resources, ["contacts:read", "contacts:write", "contacts:delete", "ledger:read"]);
    assert_eq!(of_identity, ["openid", "profile", "email", "offline_access"]);
    assert!(metadata.as_object().unwrap().values().all(|value| *value != Value::Null));
}

#[tokio::test]
async fn every_endpoint_named_is_there() {
    let world = World::start().await;
    let metadata = Client::discover(&world).await.metadata;
    for (name, url) in metadata.as_object().unwrap() {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            let reply = world.http.get(url.as_str().unwrap()).await;
            assert_ne!(reply.status, 404, "{name}");
        }
    }
}

#[tokio::test]
async fn scripts_of_any_origin_read_what_is_public_and_never_with_credentials() {
    let world = World::start().await;
    let metadata = Client::discover(&world).await.metadata;
    let url = |name: &str| metadata[name].as_str().unwrap().to_owned();
    let document = format!("{}{NAME}", world.issuer);
    let mut headers = HeaderMap::new();
    headers.insert("origin", "https://app.example".parse().unwrap());
    for (method, url) in [
        (Method::GET, document.clone()),
        (Method::GET, url("jwks_uri")),
        (Method::POST, url("registration_endpoint")),
        (Method::POST, url("revocation_endpoint")),
        (Method::POST, url("token_endpoint")),
        (Method::GET, url("userinfo_endpoint")),
    ] {
        let reply = world.http.send(method.clone(), &url, headers.clone(), String::new()).await;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{url}");
        assert_eq!(reply.header("access-control-allow-credentials"), "", "{url}");
        let mut ask = headers.clone();
        ask.insert("access-control-request-method", method.as_str().parse().unwrap());
        ask.insert("access-control-request-headers", "content-type".parse().unwrap());
        let reply = world.http.send(Method::OPTIONS, &url, ask, String::new()).await;
        assert_eq!(reply.status, 204, "{url}");
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{url}");
        let allowed = reply.header("access-control-allow-headers").to_lowercase();
        assert!(allowed.contains("content-type") && allowed.contains("authorization"), "{url}");
    }
    for (method, name) in
        [(Method::GET, "authorization_endpoint"), (Method::POST, "introspection_endpoint")]
    {
        let headers = headers.clone();
        let reply = world.http.send(method, &url(name), headers, String::new()).await;
        assert_eq!(reply.header("access-control-allow-origin"), "", "{name}");
    }
}
