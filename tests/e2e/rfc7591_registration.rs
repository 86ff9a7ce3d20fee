//! Dynamic client registration (RFC 7591), and the clients that identical registrations share.

use std::time::Duration;

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use tests::{Browser, Client, LOOPBACK, Options, World};

use crate::cases::is_problem;

struct Case {
    requirement: &'static str,
    deviation: fn(&mut Value),
    error: &'static str,
}

const METADATA: &str = "invalid_client_metadata";
const REDIRECT: &str = "invalid_redirect_uri";

#[tokio::test]
async fn a_registration_is_answered_with_what_was_registered() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let reply = client.register(&Client::public_metadata()).await.expect_status(201);
    assert_eq!(reply.header("cache-control"), "no-store", "RFC 7591 section 3.2.1");
    let mut answer = reply.json();
    let id = answer["client_id"].take();
    assert!(id.as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(answer["client_id_issued_at"], world.clock.now().secs());
    for (name, value) in Client::public_metadata().as_object().unwrap() {
        assert_eq!(answer[name], *value, "RFC 7591 section 3.2.1");
    }
    let members = answer.as_object().unwrap();
    assert!(!members.contains_key("client_secret"));
    assert!(!members.contains_key("registration_access_token"));
}

#[tokio::test]
async fn what_is_not_given_has_the_defaults_of_the_standard() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let metadata = json!({ "redirect_uris": ["https://app.example/callback"] });
    let answer = client.register(&metadata).await.expect_status(201).json();
    // RFC 7591 section 2.
    assert_eq!(answer["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(answer["grant_types"], json!(["authorization_code"]));
    assert_eq!(answer["response_types"], json!(["code"]));
    assert!(answer["client_secret"].as_str().unwrap().len() >= 43);
    assert_eq!(answer["client_secret_expires_at"], 0, "RFC 7591 section 3.2.1");
    assert!(answer.as_object().unwrap().values().all(|value| !value.is_null()));
}

const DEVIATIONS: [Case; 14] = [
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["token_endpoint_auth_method"] = json!("private_key_jwt"),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["token_endpoint_auth_method"] = json!(7),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["grant_types"] = json!(["client_credentials"]),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["grant_types"] = json!("authorization_code"),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["response_types"] = json!(["token"]),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["response_types"] = json!([]),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["scope"] = json!("contacts:read \"all\""),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["client_name"] = json!("n".repeat(129)),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["client_name"] = json!(["n"]),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 2",
        deviation: |m| m["client_uri"] = json!("javascript:alert(1)"),
        error: METADATA,
    },
    Case {
        requirement: "RFC 7591 section 3.2.2",
        deviation: |m| _ = m.as_object_mut().unwrap().remove("redirect_uris"),
        error: REDIRECT,
    },
    Case {
        requirement: "RFC 7591 section 3.2.2",
        deviation: |m| m["redirect_uris"] = json!([]),
        error: REDIRECT,
    },
    Case {
        requirement: "RFC 7591 section 3.2.2",
        deviation: |m| m["redirect_uris"] = json!([LOOPBACK, 7]),
        error: REDIRECT,
    },
    Case {
        requirement: "RFC 7591 section 3.2.2",
        deviation: |m| m["redirect_uris"] = json!(vec![LOOPBACK; 33]),
        error: REDIRECT,
    },
];

#[tokio::test]
async fn a_refused_registration_says_what_to_change() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    for Case { requirement, deviation, error } in DEVIATIONS {
        let mut metadata = Client::public_metadata();
        deviation(&mut metadata);
        let reply = client.register(&metadata).await;
        is_problem(&reply, 400, error, requirement);
        assert!(reply.text.contains(requirement), "{}", reply.text);
    }
}

#[tokio::test]
async fn addresses_that_could_lead_astray_are_refused() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    for uri in [
        "",
        "callback",
        "/callback",
        "http://app.example/callback",
        "http://169.254.169.254/callback",
        "http://127.0.0.2/callback",
        "http://localhost.evil.example/callback",
        "https://*.app.example/callback",
        "https://app.example/*",
        "https://app.example/callback#fragment",
        "https://user@app.example/callback",
        "https://user:password@app.example/callback",
        "https://app.example\\@evil.example/callback",
        "https://app.example/call back",
        "https:///app.example/callback",
        "https:/app.example/callback",
        "https:app.example/callback",
        "wss://app.example/callback",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://app.example/1",
        "about:blank",
    ] {
        let mut metadata = Client::public_metadata();
        // One bad address spoils the registration, whatever stands beside it.
        metadata["redirect_uris"] = json!([LOOPBACK, uri]);
        let reply = client.register(&metadata).await;
        is_problem(&reply, 400, "invalid_redirect_uri", uri);
        assert!(reply.text.contains("RFC 7591 section 3.2.2"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let url = client.endpoint("registration_endpoint");
    let good = Client::public_metadata().to_string();
    for (media, body, status) in [
        ("application/json", "null", 400),
        ("application/json", "[]", 400),
        ("application/json", "\"text\"", 400),
        ("application/json", "{\"redirect_uris\": [", 400),
        ("application/json", "", 400),
        ("application/x-www-form-urlencoded", "redirect_uris=x", 415),
        ("text/plain", &*good, 415),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, media.parse().unwrap());
        let reply = world.http.send(Method::POST, url, headers, body.to_owned()).await;
        is_problem(&reply, status, "invalid_client_metadata", "RFC 7591 section 3.1");
        assert!(reply.text.contains("section 3.1)"), "{body}: {}", reply.text);
    }
    let mut large = Client::public_metadata();
    large["software_statement"] = json!("s".repeat(70_000));
    is_problem(&client.register(&large).await, 413, "invalid_client_metadata", "large");
}

#[tokio::test]
async fn members_nobody_knows_and_self_assigned_ones_are_ignored() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let mut metadata = Client::public_metadata();
    let plain = client.register(&metadata).await.json()["client_id"].clone();
    metadata["client_id"] = json!("partner");
    metadata["client_secret"] = json!("chosen by myself");
    metadata["registration_access_token"] = json!("chosen by myself");
    metadata["skip_consent"] = json!(true);
    metadata["sector_identifier_uri"] = json!("https://app.example/sector");
    metadata["grant_types"] = json!(["authorization_code", "refresh_token", "client_credentials"]);
    let answer = client.register(&metadata).await.expect_status(201).json();
    assert_eq!(answer["client_id"], plain);
    assert_eq!(answer["grant_types"], json!(["authorization_code", "refresh_token"]));
    for ignored in ["client_secret", "skip_consent", "sector_identifier_uri"] {
        assert!(!answer.as_object().unwrap().contains_key(ignored), "{ignored}");
    }
}

#[tokio::test]
async fn identical_registrations_without_a_secret_share_one_client() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let register = async |edit: fn(&mut Value)| {
        let mut metadata = Client::public_metadata();
        edit(&mut metadata);
        let answer = client.register(&metadata).await.expect_status(201).json();
        assert_eq!(answer["redirect_uris"], metadata["redirect_uris"], "RFC 7591 section 3.2.1");
        answer["client_id"].as_str().unwrap().to_owned()
    };
    let first = register(|_| ()).await;
    world.pass(Duration::from_hours(24));
    let same: [fn(&mut Value); 3] = [
        |_| (),
        |m| m["redirect_uris"] = json!(["http://127.0.0.1:50123/callback"]),
        |m| m["software_version"] = json!("1.2.3"),
    ];
    for edit in same {
        assert_eq!(register(edit).await, first);
    }
    let other: [fn(&mut Value); 4] = [
        |m| m["client_name"] = json!("Another"),
        |m| m["redirect_uris"] = json!(["http://127.0.0.1/other"]),
        |m| m["redirect_uris"] = json!(["http://localhost:33418/callback"]),
        |m| m["redirect_uris"] = json!(["http://[::1]:33418/callback"]),
    ];
    for edit in other {
        assert_ne!(register(edit).await, first);
    }
}

#[tokio::test]
async fn registrations_with_a_secret_are_never_shared() {
    let world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["token_endpoint_auth_method"] = json!("client_secret_post");
    let one = Client::registered(&world, metadata.clone()).await;
    let other = Client::registered(&world, metadata).await;
    assert_ne!(one.id, other.id);
    assert_ne!(one.credential, other.credential);
}

#[tokio::test]
async fn registering_again_disturbs_nobody() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let again = Client::public(&world).await;
    assert_eq!(again.id, client.id);
    client.refreshed(&tokens.refresh).await;
}

#[tokio::test]
async fn a_closed_server_registers_nobody() {
    let edit = |text: String| text.replace("\"open\"", "\"closed\"");
    let world = World::with(Options { edit, ..Options::default() }).await;
    let url = world.url("/register");
    let reply = world.http.post_json(&url, &Client::public_metadata()).await;
    is_problem(&reply, 403, "access_denied", "RFC 7591 section 3");
    Client::partner(&world).await.tokens(&mut Browser::new(&world)).await;
}
