//! Who may register (RFC 7591 section 3): initial access tokens, blocks, room and budgets, and
//! how long a registration is kept.

use std::time::Duration;

use auth_server::clients::NewInitialAccessToken;
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use tests::{Browser, Callback, Choice, Client, Code, ENGINES, Options, Reply, Tokens, World};

use crate::cases::{is_error_page, is_problem};

const HOUR: Duration = Duration::from_hours(1);

/// Only who holds an initial access token may register.
const TOKEN_MODE: fn(String) -> String = |text| text.replace("\"open\"", "\"token\"");

/// Registers with a bearer token.
async fn register_with(world: &World, token: &str, metadata: &Value) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    world.http.send(Method::POST, &world.url("/register"), headers, metadata.to_string()).await
}

#[tokio::test]
async fn an_initial_access_token_registers_as_often_and_as_long_as_the_operator_said() {
    for store in ENGINES {
        let world = World::with(Options { store, edit: TOKEN_MODE, ..Options::default() }).await;
        let metadata = Client::public_metadata();
        let anonymous = Client::discover(&world).await.register(&metadata).await;
        is_problem(&anonymous, 401, "invalid_token", "RFC 7591 section 3");
        assert!(!anonymous.header("www-authenticate").contains("error="));
        let new = NewInitialAccessToken {
            life: Some(HOUR * 24),
            note: "for the partner".to_owned(),
            uses: Some(2),
        };
        let (listed, token) = world.app.create_initial_access_token(new).await.unwrap();
        assert_eq!(world.app.list_initial_access_tokens().await.unwrap(), [listed]);

        // What is refused spends nothing.
        let bad = register_with(&world, token.expose(), &json!({})).await;
        is_problem(&bad, 400, "invalid_redirect_uri", "RFC 7591 section 3.2.2");
        let one = register_with(&world, token.expose(), &metadata).await.expect_status(201).json();
        let two = register_with(&world, token.expose(), &metadata).await.expect_status(201).json();
        assert_ne!(one["client_id"], two["client_id"], "each is a client of its own");
        assert!(one["registration_access_token"].is_string() && !one["client_id"].is_null());
        for guess in [token.expose(), "iat_guess", ""] {
            let reply = register_with(&world, guess, &metadata).await;
            is_problem(&reply, 401, "invalid_token", "RFC 7591 section 3");
        }
        let again = register_with(&world, token.expose(), &metadata).await;
        assert!(again.header("www-authenticate").contains("error=\"invalid_token\""));

        // By time, and by the operator's hand.
        let new = || NewInitialAccessToken { life: Some(HOUR), ..NewInitialAccessToken::default() };
        let (_, short) = world.app.create_initial_access_token(new()).await.unwrap();
        let (gone, revoked) = world.app.create_initial_access_token(new()).await.unwrap();
        assert!(world.app.revoke_initial_access_token(&gone.id).await.unwrap());
        assert_eq!(register_with(&world, revoked.expose(), &metadata).await.status, 401);
        assert_eq!(register_with(&world, short.expose(), &metadata).await.status, 201);
        world.pass(HOUR);
        assert_eq!(register_with(&world, short.expose(), &metadata).await.status, 401);

        // Such a client works, and is not forgotten for want of use.
        world.pass(HOUR * 48);
        world.app.sweep().await.unwrap();
        let mut client = Client::discover(&world).await;
        client.id = one["client_id"].as_str().unwrap().to_owned();
        client.tokens(&mut Browser::new(&world)).await;
    }
}

#[tokio::test]
async fn an_initial_access_token_is_good_where_anybody_may_register_too() {
    let world = World::start().await;
    let new = NewInitialAccessToken::default();
    let (_, token) = world.app.create_initial_access_token(new).await.unwrap();
    let metadata = Client::public_metadata();
    let answer = register_with(&world, token.expose(), &metadata).await.expect_status(201).json();
    assert!(answer["registration_client_uri"].is_string());
    assert_eq!(register_with(&world, "iat_guess", &metadata).await.status, 401);
    let open = Client::discover(&world).await.register(&metadata).await.expect_status(201).json();
    assert_ne!(open["client_id"], answer["client_id"]);
    assert_eq!(open.get("registration_access_token"), None);
}

#[tokio::test]
async fn metadata_names_the_endpoint_only_where_registration_is_possible() {
    let world = World::with(Options { edit: TOKEN_MODE, ..Options::default() }).await;
    assert!(Client::discover(&world).await.metadata["registration_endpoint"].is_string());
    let edit = |text: String| text.replace("\"open\"", "\"closed\"");
    let world = World::with(Options { edit, ..Options::default() }).await;
    let metadata = Client::discover(&world).await.metadata;
    assert_eq!(metadata.get("registration_endpoint"), None, "RFC 8414 section 2");
}

#[tokio::test]
async fn software_statements_are_refused_by_name() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    // {"alg":"none"}, {"alg":"ES256"}, {"iss":"x"}, and some signature.
    let (none, signed) = ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJFUzI1NiJ9");
    for (statement, error) in [
        (json!("text"), "invalid_software_statement"),
        (json!(7), "invalid_software_statement"),
        (json!(format!("{none}.eyJpc3MiOiJ4In0.")), "invalid_software_statement"),
        (json!(format!("{signed}.eyJpc3MiOiJ4In0.c2ln")), "unapproved_software_statement"),
    ] {
        let mut metadata = Client::public_metadata();
        metadata["software_statement"] = statement;
        let reply = client.register(&metadata).await;
        is_problem(&reply, 400, error, "RFC 7591 section 3.2.2");
    }
}

#[tokio::test]
async fn blocked_places_are_neither_registered_nor_returned_to() {
    let mut world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!(["https://app.evil.example/callback"]);
    let early = Client::registered(&world, metadata.clone()).await;
    let edit = |text: String| {
        text.replace("[auth]", "[auth]\nblocked_redirect_hosts = [\"evil.example\"]\nblocked_redirect_uris = [\"https://app.example/bad\"]")
    };
    world.restart(edit).await;
    let client = Client::discover(&world).await;
    for uri in ["https://evil.example/", "https://app.EVIL.example/x", "https://app.example/bad"] {
        metadata["redirect_uris"] = json!([uri]);
        let reply = client.register(&metadata).await;
        is_problem(&reply, 400, "invalid_redirect_uri", "RFC 7591 section 5");
    }
    let reply = Browser::new(&world).open(&early.authorization().url()).await.reply;
    is_error_page(&reply, "RFC 7591 section 5");
    assert!(reply.text.contains("sends nobody to that address"), "{}", reply.text);
}

#[tokio::test]
async fn pages_that_lead_inside_are_refused_and_never_fetched() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    for inside in [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://metadata.google.internal./",
    ] {
        for member in ["logo_uri", "tos_uri", "policy_uri", "sector_identifier_uri"] {
            let mut metadata = Client::public_metadata();
            metadata[member] = json!(inside);
            let reply = client.register(&metadata).await;
            is_problem(&reply, 400, "invalid_client_metadata", "RFC 7591 section 5");
        }
    }
}

#[tokio::test]
async fn an_application_type_is_believed() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    for (kind, uri, status) in [
        ("web", "http://127.0.0.1/cb", 400),
        ("web", "http://localhost:3000/cb", 400),
        ("web", "com.example.app:/cb", 400),
        ("web", "https://app.example/cb", 201),
        ("native", "https://app.example/cb", 201),
        ("native", "http://127.0.0.1/cb", 201),
        ("native", "com.example.app:/cb", 201),
        ("tv", "https://app.example/cb", 400),
    ] {
        let mut metadata = Client::public_metadata();
        metadata["application_type"] = json!(kind);
        metadata["redirect_uris"] = json!([uri]);
        let reply = client.register(&metadata).await;
        assert_eq!(reply.status, status, "{kind} {uri}: {}", reply.text);
        if status == 201 {
            assert_eq!(reply.json()["application_type"], kind);
        }
    }
}

#[tokio::test]
async fn a_registered_scope_is_what_is_asked_for_when_nothing_is() {
    let world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["scope"] = json!("contacts:delete");
    let client = Client::registered(&world, metadata).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    assert_eq!(tokens.scope, "contacts:delete");
    // A default, not a ceiling.
    let request = client.authorization().with("scope", "contacts:read");
    let mut browser = Browser::new(&world);
    let code = client.code_of(&mut browser, request, Choice::default()).await;
    let wider = Tokens::of(&client.exchange(&code).send().await);
    assert_eq!(wider.scope, "contacts:read");
}

/// How the token endpoint answers a client about a code that does not exist.
async fn asks(client: &Client) -> (u16, String) {
    let code = Code { code: "ac_none".to_owned(), verifier: "v".repeat(43) };
    let reply = client.exchange(&code).send().await;
    (reply.status, reply.error())
}

#[tokio::test]
async fn a_client_that_nobody_uses_is_forgotten_and_one_with_a_grant_is_kept() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let mut metadata = Client::public_metadata();
        let used = Client::registered(&world, metadata.clone()).await;
        let mut tokens = used.tokens(&mut Browser::new(&world)).await;
        metadata["client_name"] = json!("Never used");
        let unused = Client::registered(&world, metadata.clone()).await;
        let public = metadata.clone();
        metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
        let secret = Client::registered(&world, metadata).await;

        world.pass(Duration::from_secs(3599));
        world.app.sweep().await.unwrap();
        assert_eq!(asks(&unused).await, (400, "invalid_grant".to_owned()));
        world.pass(Duration::from_secs(1));
        for client in [&unused, &secret] {
            assert_eq!(asks(client).await, (401, "invalid_client".to_owned()));
            let reply = Browser::new(&world).open(&client.authorization().url()).await.reply;
            is_error_page(&reply, "RFC 6749 section 3.1.2.4");
        }
        world.pass(Duration::from_mins(15));
        assert!(world.app.sweep().await.unwrap() >= 2);
        let ids: Vec<String> = world
            .app
            .list_clients(None, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|client| client.id)
            .collect();
        assert_eq!(ids, [&*used.id]);
        // It comes back under the same id.
        let again = Client::registered(&world, public).await;
        assert_eq!(again.id, unused.id);
        assert_eq!(asks(&again).await, (400, "invalid_grant".to_owned()));

        // Refreshes alone keep a client, however long no code is issued; then 90 days do.
        for _ in 0..4 {
            world.pass(HOUR * 24 * 20);
            world.app.sweep().await.unwrap();
            tokens = used.refreshed(&tokens.refresh).await;
        }
        world.pass(HOUR * 24 * 12);
        world.app.sweep().await.unwrap();
        assert_eq!(asks(&used).await, (401, "invalid_client".to_owned()));
    }
}

#[tokio::test]
async fn a_person_who_takes_their_time_does_not_lose_the_client() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    world.pass(Duration::from_mins(59));
    let request = client.authorization();
    let page = browser.visit(&request.url()).await;
    assert!(page.asks_to_sign_in());
    world.pass(Duration::from_mins(9));
    world.app.sweep().await.unwrap();
    let consent = browser.sign_in(&page).await;
    let told = Callback::of(&browser.decide(&consent, Choice::default()).await.reply);
    let code = Code { code: told.value("code").to_owned(), verifier: request.verifier };
    Tokens::of(&client.exchange(&code).send().await);
}

#[tokio::test]
async fn a_full_server_says_so_and_those_who_are_there_go_on() {
    for store in ENGINES {
        let edit = |text: String| text.replace("[auth]", "[auth]\nclient_capacity = 2");
        let world = World::with(Options { edit, store, ..Options::default() }).await;
        let mut metadata = Client::public_metadata();
        let client = Client::registered(&world, metadata.clone()).await;
        let mut register = async |name: &str| {
            metadata["client_name"] = json!(name);
            client.register(&metadata).await
        };
        assert_eq!(register("second").await.status, 201);
        let full = register("third").await;
        is_problem(&full, 503, "temporarily_unavailable", "room");
        assert!(full.header("retry-after").parse::<u64>().unwrap() > 0);
        // Registering again creates nothing, and nothing young gives way.
        assert_eq!(register("second").await.status, 201);
        world.app.sweep().await.unwrap();
        assert_eq!(register("third").await.status, 503);
        client.tokens(&mut Browser::new(&world)).await;
        world.pass(HOUR * 2);
        world.app.sweep().await.unwrap();
        assert_eq!(register("third").await.status, 201);
        assert_eq!(register("fourth").await.status, 503);
    }
}

#[tokio::test]
async fn an_operator_says_how_many_clients_may_be_new_in_a_minute() {
    let edit = |text: String| text.replace("[auth]", "[auth]\nnew_clients_per_minute = 2");
    let world = World::with(Options { edit, ..Options::default() }).await;
    let mut metadata = Client::public_metadata();
    let client = Client::registered(&world, metadata.clone()).await;
    let mut register = async |name: &str| {
        metadata["client_name"] = json!(name);
        client.register(&metadata).await
    };
    for name in ["second", "third", "fourth", "fifth"] {
        assert_eq!(register(name).await.status, 201, "{name}");
    }
    let limited = register("sixth").await;
    is_problem(&limited, 429, "temporarily_unavailable", "registration");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    // Whoever is there already creates nothing.
    assert_eq!(register("fifth").await.status, 201);
}

#[tokio::test]
async fn a_flood_of_registrations_leaves_everybody_else_alone() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut limited = None;
    for _ in 0..400 {
        let reply = client.register(&Client::public_metadata()).await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("a limit");
    is_problem(&limited, 429, "temporarily_unavailable", "flood");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    client.refreshed(&tokens.refresh).await;
}
