//! Client ID Metadata Documents: a client is known by what it publishes, and this server cannot
//! be made to look anywhere else (OAuth Client ID Metadata Document section 4).

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Browser, Choice, Client, ENGINES, Options, SITE_HOST, Served, Site, Tokens, World};

const PATH: &str = "/client.json";
const DAY: Duration = Duration::from_hours(24);

async fn world(store: tests::Store) -> (Site, World) {
    let site = Site::start().await;
    let world = World::with(Options { edit: Site::trusted, store, ..Options::default() }).await;
    (site, world)
}

async fn embedded() -> (Site, World) {
    world(tests::Store::Embedded).await
}

fn document(id: &str) -> Value {
    json!({
        "client_id": id,
        "client_name": "Document app",
        "redirect_uris": ["http://localhost/callback", "https://app.test/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "logo_uri": "https://app.test/logo.png",
    })
}

/// A client whose document is at the path.
async fn client(site: &Site, world: &World, path: &str) -> Client {
    let mut client = Client::discover(world).await;
    client.id = site.url(path);
    "http://localhost:51234/callback".clone_into(&mut client.redirect_uri);
    client
}

async fn published(site: &Site, world: &World, headers: &str) -> Client {
    site.serve(PATH, Served::json(&document(&site.url(PATH)), headers));
    client(site, world, PATH).await
}

/// A browser whose person is signed in already.
async fn signed_in(world: &World) -> Browser {
    let mut browser = Browser::new(world);
    let kiosk = Client::kiosk(world).await;
    browser.reach_consent(&kiosk.authorization().url()).await;
    browser
}

#[tokio::test]
async fn a_client_is_known_by_its_document_alone() {
    for store in ENGINES {
        let (site, mut world) = world(store).await;
        let client = published(&site, &world, "").await;
        assert_eq!(client.metadata["client_id_metadata_document_supported"], true);
        let mut browser = Browser::new(&world);
        let request = client.authorization();
        let page = browser.visit(&request.url()).await;
        assert!(page.asks_to_sign_in() && page.reply.text.contains(SITE_HOST));
        assert_eq!(site.requests("/").len(), 0, "nothing is fetched for a stranger");
        let page = browser.sign_in(&page).await;
        assert!(page.asks_for_consent(), "{}", page.reply.text);
        assert!(page.reply.text.contains("Document app") && page.reply.text.contains("verified"));
        assert_eq!(site.requests("/").len(), 1, "{:?}", site.requests("/"));
        let answer = browser.decide(&page, Choice::default()).await;
        let callback = tests::Callback::of(&answer.reply);
        assert!(callback.url.as_str().starts_with("http://localhost:51234/callback?"));
        let code =
            tests::Code { code: callback.value("code").to_owned(), verifier: request.verifier };
        let tokens = Tokens::of(&client.exchange(&code).send().await);
        world.restart(|text| text).await;
        let tokens = client.refreshed(&tokens.refresh).await;
        client.refreshed(&tokens.refresh).await;
        client.code(&mut browser).await;
        assert_eq!(site.requests("/").len(), 1, "a restart fetches nothing again");
    }
}

#[tokio::test]
async fn a_document_chooses_the_algorithm_of_id_tokens_and_may_change_its_mind() {
    for store in ENGINES {
        let site = Site::start().await;
        let more = "[keys]\nalgorithms = [\"ES256\", \"RS256\"]\n";
        let options = Options { edit: Site::trusted, more, store, ..Options::default() };
        let world = World::with(options).await;
        let mut browser = signed_in(&world).await;
        for (path, member, value, expected) in [
            ("/none.json", "x", json!(1), "ES256"),
            ("/rsa.json", "id_token_signed_response_alg", json!("RS256"), "RS256"),
            ("/other.json", "id_token_signed_response_alg", json!("EdDSA"), "ES256"),
            ("/null.json", "id_token_signed_response_alg", json!("none"), "ES256"),
            (
                "/choice.json",
                "id_token_signing_alg_values_supported",
                json!(["PS256", "RS256", "ES256"]),
                "RS256",
            ),
        ] {
            let mut said = document(&site.url(path));
            said[member] = value;
            site.serve(path, Served::json(&said, ""));
            let client = client(&site, &world, path).await;
            assert_eq!(id_token_algorithm(&client, &mut browser).await, expected, "{path}");
        }
        let client = client(&site, &world, "/rsa.json").await;
        site.serve("/rsa.json", Served::json(&document(&site.url("/rsa.json")), ""));
        world.pass(DAY);
        let mut browser = signed_in(&world).await;
        assert_eq!(
            id_token_algorithm(&client, &mut browser).await,
            "ES256",
            "the document changed"
        );
    }
}

async fn id_token_algorithm(client: &Client, browser: &mut Browser) -> String {
    let request = client.authorization().with("scope", "openid contacts:read");
    let code = client.code_of(browser, request, Choice::default()).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let header = tokens.id_token.split('.').next().unwrap();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["alg"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn prompts_are_kept_across_the_first_sign_in() {
    let (site, world) = embedded().await;
    let client = published(&site, &world, "").await;
    let mut browser = Browser::new(&world);
    let none = client.authorization().with("prompt", "none");
    let page = browser.visit(&none.url()).await;
    assert_eq!(page.reply.status, 400);
    assert!(page.reply.text.contains("login_required"), "{}", page.reply.text);
    let login = client.authorization().with("prompt", "login");
    let page = browser.visit(&login.url()).await;
    let page = browser.sign_in(&page).await;
    assert!(page.asks_for_consent(), "signing in once is enough");
}

#[tokio::test]
async fn what_is_no_document_gives_one_page_after_one_time() {
    let (site, world) = embedded().await;
    let mut browser = signed_in(&world).await;
    let big = vec![b' '; 10 * 1024 * 1024];
    let own = |path: &str| document(&site.url(path)).to_string();
    let cases = [
        ("/moved", Served::status("302 Found", "location: https://app.test/other\r\n")),
        ("/permanent", Served::status("301 Moved", "location: http://127.0.0.1/\r\n")),
        ("/unchanged", Served::status("304 Not Modified", "")),
        ("/absent", Served::status("404 Not Found", "")),
        ("/broken", Served::status("500 Internal Server Error", "")),
        ("/silent", Served::Silence),
        ("/slow", Served::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: app".to_vec())),
        ("/big", Served::ok("application/json", "", &big)),
        ("/zipped", Served::ok("application/json", "content-encoding: gzip\r\n", &[31, 139, 8])),
        ("/html", Served::ok("text/html", "", own("/html").as_bytes())),
        ("/noise", Served::Raw(vec![0xff; 100_000])),
    ];
    for (path, served) in cases {
        site.serve(path, served);
        let request = client(&site, &world, path).await.authorization();
        let began = Instant::now();
        let page = browser.visit(&request.url()).await;
        assert!(began.elapsed() >= Duration::from_millis(950), "{path} answers early");
        assert!(began.elapsed() < Duration::from_secs(4), "{path} answers late");
        assert_eq!(page.reply.status, 400, "{path}");
        assert!(page.reply.text.contains("could not be read"), "{path}: {}", page.reply.text);
        assert!(page.reply.text.contains("invalid_client"), "{path}");
        let fetched = site.requests(path).len();
        let page = browser.visit(&request.url()).await;
        assert_eq!(page.reply.status, 400, "{path}");
        assert_eq!(site.requests(path).len(), fetched, "{path} is not asked again at once");
    }
    assert_eq!(site.requests("/other").len(), 0, "redirects are not followed");
}

#[tokio::test]
async fn documents_that_promise_what_they_may_not_are_refused() {
    let (site, world) = embedded().await;
    let mut browser = signed_in(&world).await;
    for (path, member, value) in [
        ("/other-id", "client_id", json!("https://app.test/other")),
        ("/secret", "client_secret", json!("s")),
        ("/symmetric", "token_endpoint_auth_method", json!("client_secret_basic")),
        ("/private", "jwks", json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
        ("/inside", "jwks_uri", json!("https://169.254.169.254/keys")),
        ("/redirects", "redirect_uris", json!(["javascript:alert(1)"])),
    ] {
        let mut bad = document(&site.url(path));
        bad[member] = value;
        site.serve(path, Served::json(&bad, ""));
        let request = client(&site, &world, path).await.authorization();
        let page = browser.visit(&request.url()).await;
        assert_eq!(page.reply.status, 400, "{path}");
        assert!(page.reply.text.contains("invalid_client"), "{path}: {}", page.reply.text);
    }
}

#[tokio::test]
async fn other_urls_are_refused_without_a_fetch() {
    let (site, world) = embedded().await;
    let mut browser = signed_in(&world).await;
    let good = site.url(PATH);
    let mut client = Client::discover(&world).await;
    for id in [
        good.replace("https:", "http:"),
        good.replace("https://", "https://user@"),
        format!("{good}#fragment"),
        site.url("/a/../client.json"),
        site.url("/a/%2e%2e/client.json"),
        site.url("/"),
        "https://127.0.0.1/client.json".to_owned(),
        "https://10.0.0.1/client.json".to_owned(),
        "https://[::1]/client.json".to_owned(),
        "https://[::ffff:127.0.0.1]/client.json".to_owned(),
        "https://2130706433/client.json".to_owned(),
        "https://localhost/client.json".to_owned(),
        "https://metadata.google.internal./client.json".to_owned(),
    ] {
        client.id.clone_from(&id);
        let page = browser.visit(&client.authorization().url()).await;
        assert_eq!(page.reply.status, 400, "{id}");
        assert!(page.reply.text.contains("invalid_client"), "{id}: {}", page.reply.text);
    }
    assert_eq!(site.requests("/").len(), 0);
}

#[tokio::test]
async fn one_person_makes_this_server_dial_little() {
    let (site, world) = embedded().await;
    let browser = signed_in(&world).await;
    let pages = join_all((0..200).map(|number| {
        let (site, world, mut browser) = (&site, &world, browser.clone());
        async move {
            let client = client(site, world, &format!("/number-{number}")).await;
            browser.visit(&client.authorization().url()).await.reply.status
        }
    }))
    .await;
    assert!(pages.iter().all(|status| *status == 400), "{pages:?}");
    let dialled = site.requests("/number").len();
    assert!((1..=25).contains(&dialled), "{dialled} fetches");
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_fetch() {
    let (site, world) = embedded().await;
    let client = published(&site, &world, "").await;
    let browser = signed_in(&world).await;
    join_all((0..10).map(|_| {
        let (client, mut browser) = (&client, browser.clone());
        async move {
            let page = browser.visit(&client.authorization().url()).await;
            assert!(page.asks_for_consent(), "{}", page.reply.text);
        }
    }))
    .await;
    assert_eq!(site.requests(PATH).len(), 1);
}

#[tokio::test]
async fn a_document_that_cannot_be_reached_is_believed_for_a_week() {
    let (site, world) = embedded().await;
    let client = published(&site, &world, "cache-control: max-age=600\r\netag: \"v1\"\r\n").await;
    let mut tokens = client.tokens(&mut Browser::new(&world)).await;
    site.serve(PATH, Served::status("304 Not Modified", ""));
    world.pass(Duration::from_mins(11));
    tokens = client.refreshed(&tokens.refresh).await;
    assert_eq!(site.requests(PATH).len(), 1, "the token endpoint fetches no document");
    world.app.sweep().await.unwrap();
    let asked = site.requests(PATH);
    assert!(asked.len() == 2 && asked[1].contains("if-none-match: \"v1\""), "{asked:?}");
    site.serve(PATH, Served::status("500 Internal Server Error", ""));
    for _ in 0..6 {
        world.pass(DAY);
        tokens = client.refreshed(&tokens.refresh).await;
        world.app.sweep().await.unwrap();
    }
    assert!(site.requests(PATH).len() > 2);
    world.pass(DAY);
    let reply = client.refresh(&tokens.refresh).send().await;
    assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_client"));
}

#[tokio::test]
async fn a_document_that_is_gone_for_an_hour_has_no_client_any_more() {
    let (site, world) = embedded().await;
    let client = published(&site, &world, "cache-control: no-store\r\n").await;
    let mut tokens = client.tokens(&mut Browser::new(&world)).await;
    site.serve(PATH, Served::status("404 Not Found", ""));
    world.pass(Duration::from_mins(2));
    tokens = client.refreshed(&tokens.refresh).await;
    world.app.sweep().await.unwrap();
    tokens = client.refreshed(&tokens.refresh).await;
    world.pass(Duration::from_mins(61));
    tokens = client.refreshed(&tokens.refresh).await;
    world.app.sweep().await.unwrap();
    let reply = client.refresh(&tokens.refresh).send().await;
    assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_client"));
    site.serve(PATH, Served::json(&document(&site.url(PATH)), ""));
    world.pass(Duration::from_mins(2));
    client.tokens(&mut Browser::new(&world)).await;
}

#[tokio::test]
async fn a_blocked_host_has_no_clients() {
    let (site, mut world) = embedded().await;
    let client = published(&site, &world, "").await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    world
        .restart(|text| text.replace("allow = [", "blocked_hosts = [\"app.test\"]\nallow = ["))
        .await;
    let reply = client.refresh(&tokens.refresh).send().await;
    assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_client"));
    let page = Browser::new(&world).visit(&client.authorization().url()).await;
    assert_eq!(page.reply.status, 400);
}

#[tokio::test]
async fn a_closed_deployment_has_no_document_clients() {
    let (site, mut world) = embedded().await;
    published(&site, &world, "").await;
    world
        .restart(|text| text.replace("registration = \"open\"", "registration = \"closed\""))
        .await;
    let client = client(&site, &world, PATH).await;
    assert_eq!(client.metadata["client_id_metadata_document_supported"], false);
    let page = Browser::new(&world).visit(&client.authorization().url()).await;
    assert_eq!(page.reply.status, 400);
    assert_eq!(site.requests("/").len(), 0);
}
