//! A client manages its own registration (RFC 7592), and what operators do with clients.

use std::time::Duration;

use auth_server::clients::{ClientChange, ClientError, NewClient};
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use shared::internal::Event;
use tests::{Browser, Client, Credential, ENGINES, Options, Reply, World};

use crate::cases::is_problem;

/// What is wrong with a change.
type Deviation = fn(&mut Value);

/// A registration and the way to it.
struct Managed<'w> {
    token: String,
    uri: String,
    world: &'w World,
}

fn metadata() -> Value {
    json!({
        "client_name": "Managed",
        "client_uri": "https://app.example/",
        "redirect_uris": ["https://app.example/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_basic",
    })
}

impl<'w> Managed<'w> {
    fn of(world: &'w World, client: &Client) -> Self {
        let text = |name: &str| client.registration[name].as_str().unwrap().to_owned();
        Self {
            token: text("registration_access_token"),
            uri: text("registration_client_uri"),
            world,
        }
    }

    async fn send(&self, method: Method, body: &Value) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(AUTHORIZATION, format!("Bearer {}", self.token).parse().unwrap());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.world.http.send(method, &self.uri, headers, body).await
    }
}

#[tokio::test]
async fn a_client_reads_changes_and_deletes_its_registration() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::registered(&world, metadata()).await;
        let managed = Managed::of(&world, &client);
        assert_eq!(managed.uri, world.url(&format!("/register/{}", client.id)));

        // RFC 7592 section 2.1: everything but the secret, of which only a hash is kept.
        let read = managed.send(Method::GET, &Value::Null).await.expect_status(200);
        assert_eq!(read.header("cache-control"), "no-store");
        let mut registered = client.registration.clone();
        for secret in ["client_secret", "client_secret_expires_at"] {
            registered.as_object_mut().unwrap().remove(secret);
        }
        assert_eq!(read.json(), registered, "RFC 7592 section 3");

        // RFC 7592 section 2.2: what is left out is gone, what is there replaces.
        let mut change = metadata();
        change["client_id"] = json!(client.id);
        change["client_secret"] = client.registration["client_secret"].clone();
        change["client_name"] = json!("Renamed");
        change["redirect_uris"] = json!(["https://app.example/other"]);
        change["token_endpoint_auth_method"] = json!("client_secret_post");
        change.as_object_mut().unwrap().remove("client_uri");
        let changed = managed.send(Method::PUT, &change).await.expect_status(200).json();
        assert_eq!(changed["client_name"], "Renamed");
        assert_eq!(changed["registration_access_token"], *managed.token);
        assert_eq!(changed.get("client_uri"), None);
        assert_eq!(managed.send(Method::GET, &Value::Null).await.json(), changed);
        let old = Browser::new(&world).open(&client.authorization().url()).await.reply;
        assert_eq!(old.status, 400, "the old address is no longer one of the client's");
        let renamed = client.returning_to("https://app.example/other");
        let tokens = renamed.tokens(&mut Browser::new(&world)).await;
        renamed.refreshed(&tokens.refresh).await;

        // RFC 7592 section 2.3: gone, with everything it was granted.
        let gone = managed.send(Method::DELETE, &Value::Null).await.expect_status(204);
        assert_eq!(gone.text, "");
        let reply = renamed.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 401, "invalid_client", "a deleted client");
        let told = world.revocations().await;
        let ended = |event: &Event| matches!(event, Event::Client { client, .. } if client.as_str() == renamed.id);
        assert!(told.iter().any(ended), "{told:?}");
        for method in [Method::GET, Method::DELETE] {
            let reply = managed.send(method, &Value::Null).await;
            is_problem(&reply, 401, "invalid_token", "RFC 7592 section 2.1");
        }
    }
}

#[tokio::test]
async fn a_change_that_is_not_the_clients_to_make_changes_nothing() {
    let world = World::start().await;
    let client = Client::registered(&world, metadata()).await;
    let managed = Managed::of(&world, &client);
    let before = managed.send(Method::GET, &Value::Null).await.json();
    let deviations: [(Deviation, &str); 10] = [
        (|m| _ = m.as_object_mut().unwrap().remove("client_id"), "RFC 7592 section 2.2"),
        (|m| m["client_id"] = json!("another"), "RFC 7592 section 2.2"),
        (|m| m["client_secret"] = json!("guessed"), "RFC 7592 section 2.2"),
        (|m| m["registration_access_token"] = json!("mine"), "RFC 7592 section 2.2"),
        (|m| m["registration_client_uri"] = json!("https://x/"), "RFC 7592 section 2.2"),
        (|m| m["client_secret_expires_at"] = json!(0), "RFC 7592 section 2.2"),
        (|m| m["client_id_issued_at"] = json!(0), "RFC 7592 section 2.2"),
        (|m| m["token_endpoint_auth_method"] = json!("none"), "RFC 7592 section 2.2"),
        (|m| m["client_uri"] = json!("javascript:1"), "RFC 7591 section 2"),
        (|m| m["grant_types"] = json!(["client_credentials"]), "RFC 7591 section 2"),
    ];
    for (deviation, requirement) in deviations {
        let mut change = metadata();
        change["client_id"] = json!(client.id);
        change["client_name"] = json!("Changed");
        deviation(&mut change);
        let reply = managed.send(Method::PUT, &change).await;
        is_problem(&reply, 400, "invalid_client_metadata", requirement);
        assert!(reply.text.contains(requirement), "{}", reply.text);
    }
    assert_eq!(managed.send(Method::GET, &Value::Null).await.json(), before);
}

#[tokio::test]
async fn only_the_clients_own_token_opens_its_registration() {
    let world = World::start().await;
    let client = Client::registered(&world, metadata()).await;
    let other = Client::registered(&world, metadata()).await;
    let shared = Client::public(&world).await;
    let managed = Managed::of(&world, &client);
    let bare = world.http.get(&managed.uri).await;
    is_problem(&bare, 401, "invalid_token", "RFC 7592 section 2.1");
    assert!(bare.header("www-authenticate").starts_with("Bearer"), "RFC 6750 section 3");
    let secret = client.registration["client_secret"].as_str().unwrap();
    for (id, token) in [
        (&*client.id, &*Managed::of(&world, &other).token),
        (&*client.id, secret),
        (&*client.id, ""),
        (&*shared.id, &*managed.token),
        ("partner", &*managed.token),
        ("unknown", &*managed.token),
        ("usr_demo", &*managed.token),
    ] {
        let uri = world.url(&format!("/register/{id}"));
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let stranger = Managed { token: token.to_owned(), uri: uri.clone(), world: &world };
            let reply = stranger.send(method, &metadata()).await;
            is_problem(&reply, 401, "invalid_token", "RFC 7592 section 2.1");
        }
    }
    assert_eq!(managed.send(Method::GET, &Value::Null).await.status, 200);
    assert_eq!(managed.send(Method::POST, &metadata()).await.status, 405);
}

#[tokio::test]
async fn an_operator_adds_changes_and_deletes_clients() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let new = NewClient {
            id: Some("reports".to_owned()),
            name: "Reports".to_owned(),
            redirect_uris: vec!["https://reports.example/callback".to_owned()],
            refreshes: true,
            ..NewClient::default()
        };
        let (summary, secret) = world.app.create_client(new.clone()).await.unwrap();
        assert_eq!((summary.origin, summary.method), ("operator", "client_secret_basic"));
        let again = world.app.create_client(new.clone()).await;
        assert!(matches!(again, Err(ClientError::Exists)));
        for id in ["usr_demo", "partner", "with space"] {
            let new = NewClient { id: Some(id.to_owned()), ..new.clone() };
            assert!(world.app.create_client(new).await.is_err(), "{id}");
        }
        let mut client = Client::with_secret(&world, "reports", secret.unwrap().expose()).await;
        client.redirect_uri = "https://reports.example/callback".to_owned();
        let tokens = client.tokens(&mut Browser::new(&world)).await;

        // A new secret, and the old one for a day beside it.
        let day = Duration::from_hours(24);
        let next = world.app.rotate_client_secret("reports", day).await.unwrap();
        let newer = client.proving(Credential::Post(next.expose().to_owned()));
        let tokens = client.refreshed(&tokens.refresh).await;
        let tokens = newer.refreshed(&tokens.refresh).await;
        world.pass(day);
        let late = client.refresh(&tokens.refresh).send().await;
        is_problem(&late, 401, "invalid_client", "a secret that has ended");
        let tokens = newer.refreshed(&tokens.refresh).await;

        let change = ClientChange { name: Some("Renamed".to_owned()), ..ClientChange::default() };
        assert_eq!(world.app.update_client("reports", change).await.unwrap().name, "Renamed");
        let listed = world.app.list_clients(None, 10).await.unwrap();
        assert!(listed.iter().any(|one| one.id == "reports" && one.was_used));

        world.app.delete_client("reports").await.unwrap();
        let gone = newer.refresh(&tokens.refresh).send().await;
        is_problem(&gone, 401, "invalid_client", "a deleted client");
        // The same id again is another client: it has none of the grants of the first.
        let (_, secret) = world.app.create_client(new).await.unwrap();
        let credential = Credential::Basic(secret.unwrap().expose().to_owned());
        let second = client.proving(credential);
        let reply = second.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "a grant of a deleted client");
        let missing = world.app.delete_client("unknown").await;
        assert!(matches!(missing, Err(ClientError::Unknown)));
        let of_file = world.app.delete_client("partner").await;
        assert!(matches!(of_file, Err(ClientError::OfFile)));
    }
}

#[tokio::test]
async fn a_shared_client_that_an_operator_deleted_comes_back_without_its_grants() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let change = ClientChange { name: Some("Bent".to_owned()), ..ClientChange::default() };
    assert!(world.app.update_client(&client.id, change).await.is_err(), "it is everybody's");
    world.app.delete_client(&client.id).await.unwrap();
    let reply = client.refresh(&tokens.refresh).send().await;
    is_problem(&reply, 401, "invalid_client", "a deleted client");
    world.pass(Duration::from_secs(1));
    let again = Client::public(&world).await;
    assert_eq!(again.id, client.id);
    let reply = again.refresh(&tokens.refresh).send().await;
    is_problem(&reply, 400, "invalid_grant", "a grant that was ended");
    again.tokens(&mut Browser::new(&world)).await;
}
