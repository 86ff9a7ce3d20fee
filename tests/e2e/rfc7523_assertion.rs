//! `private_key_jwt` (RFC 7523 section 3, RFC 7523 section 2.2): a client proves itself by a key
//! that it alone has, inline or at its `jwks_uri`.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tests::{
    Browser, Client, ClientKey, Code, ENGINES, Options, Post, Served, Site, Tokens, World, present,
};

use crate::cases::is_problem;

const KEYS: &str = "/keys";

fn metadata(keys: (&str, Value)) -> Value {
    let mut metadata = json!({
        "client_name": "Prover", "redirect_uris": ["https://prover.example/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
    });
    metadata[keys.0] = keys.1;
    metadata
}

async fn registered(world: &World, keys: (&str, Value)) -> Client {
    let mut client = Client::discover(world).await;
    let answer = client.register(&metadata(keys)).await.expect_status(201).json();
    assert_eq!(answer["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(answer["client_secret"], Value::Null);
    answer["client_id"].as_str().unwrap().clone_into(&mut client.id);
    "https://prover.example/callback".clone_into(&mut client.redirect_uri);
    client
}

async fn with_site() -> (Site, World) {
    let site = Site::start().await;
    let world = World::with(Options { edit: Site::trusted, ..Options::default() }).await;
    (site, world)
}

fn proven(world: &World, client: &Client, key: &ClientKey, mut post: Post) -> Post {
    key.prove(world, &client.id, &mut post);
    post
}

fn is_refused(reply: &tests::Reply, what: &str) {
    assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_client"), "{what}");
}

#[tokio::test]
async fn a_client_proves_itself_with_its_own_key() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let key = ClientKey::new("one");
        let client = registered(&world, ("jwks", key.jwks())).await;
        let code = client.code(&mut Browser::new(&world)).await;
        let mut exchange = client.exchange(&code);
        exchange.remove("client_id");
        let tokens = Tokens::of(&proven(&world, &client, &key, exchange).send().await);
        let refresh = proven(&world, &client, &key, client.refresh(&tokens.refresh));
        let kept = Tokens::of(&refresh.send().await);
        assert_eq!(kept.refresh, tokens.refresh, "a proven client keeps its refresh token");
        let again = Tokens::of(&refresh.send().await);
        assert_eq!(again.refresh, tokens.refresh, "a lost answer may be asked for again");
        let mut other = refresh.clone();
        other.set("scope", "contacts:read");
        is_problem(&other.send().await, 401, "invalid_client", "RFC 7523 section 3");
        world.pass(Duration::from_secs(61));
        is_refused(&refresh.send().await, "a repetition after a minute");
        let revoke = proven(&world, &client, &key, client.revocation(&tokens.refresh));
        assert_eq!(revoke.send().await.status, 200);
    }
}

#[tokio::test]
async fn an_assertion_is_used_once() {
    let world = World::start().await;
    let key = ClientKey::new("one");
    let client = registered(&world, ("jwks", key.jwks())).await;
    let mut browser = Browser::new(&world);
    let assertion = key.sign(&key.claims(&world, &client.id));
    let (first, second) = (client.code(&mut browser).await, client.code(&mut browser).await);
    let with = |code: &Code| {
        let mut post = client.exchange(code);
        present(&mut post, &assertion);
        post
    };
    Tokens::of(&with(&first).send().await);
    is_problem(&with(&second).send().await, 401, "invalid_client", "RFC 7523 section 3");
    let post = proven(&world, &client, &key, client.exchange(&second));
    Tokens::of(&post.send().await);
}

#[tokio::test]
async fn each_deviation_of_an_assertion_is_refused_and_spends_nothing() {
    let world = World::start().await;
    let (key, other) = (ClientKey::new("one"), ClientKey::new("one"));
    let client = registered(&world, ("jwks", key.jwks())).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let good = key.claims(&world, &client.id);
    let now = world.clock.now().secs();
    let claims = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        key.sign(&claims)
    };
    let header = |header: Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = key.sign(&good);
        let signature = signed.rsplit('.').next().unwrap();
        format!("{}.{}.{signature}", part(&header), part(&good))
    };
    let unsigned = header(json!({"alg": "none"}));
    for (what, assertion) in [
        ("another's key", other.sign(&good)),
        ("iss", claims("iss", json!("other"))),
        ("sub", claims("sub", json!("other"))),
        ("no sub", claims("sub", Value::Null)),
        ("aud of the endpoint", claims("aud", json!(client.endpoint("token_endpoint")))),
        ("two audiences", claims("aud", json!([world.issuer, "https://other.example"]))),
        ("expired", claims("exp", json!(now - 1))),
        ("good for too long", claims("exp", json!(now + 660))),
        ("from the future", claims("iat", json!(now + 120))),
        ("no jti", claims("jti", Value::Null)),
        ("no signature", unsigned.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("alg none", unsigned),
        ("a symmetric algorithm", header(json!({"alg": "HS256", "kid": "one"}))),
        ("another algorithm", header(json!({"alg": "RS256", "kid": "one"}))),
        ("a key of its own", header(json!({"alg": "ES256", "kid": "one", "jwk": other.jwk()}))),
        ("jku", header(json!({"alg": "ES256", "jku": "https://evil.example/keys"}))),
        ("x5u", header(json!({"alg": "ES256", "x5u": "https://evil.example/keys"}))),
        ("crit", header(json!({"alg": "ES256", "crit": ["exp"]}))),
        ("a path as kid", header(json!({"alg": "ES256", "kid": "../../../etc/passwd"}))),
        ("a query as kid", header(json!({"alg": "ES256", "kid": "' OR 1=1 --"}))),
        ("a URL as kid", header(json!({"alg": "ES256", "kid": "https://evil.example/"}))),
        ("noise", "a.b.c".to_owned()),
    ] {
        let mut post = client.exchange(&code);
        present(&mut post, &assertion);
        is_refused(&post.send().await, what);
    }
    let mut post = client.exchange(&code);
    post.set("client_assertion", &key.sign(&good));
    is_problem(&post.send().await, 401, "invalid_client", "RFC 7523 section 2.2");
    post.set("client_secret", "s");
    is_problem(&post.send().await, 400, "invalid_request", "RFC 6749 section 2.3");
    is_refused(&client.exchange(&code).send().await, "no proof at all");
    let mut secret = client.exchange(&code);
    secret.set("client_secret", "s");
    is_refused(&secret.send().await, "a secret instead");
    Tokens::of(&proven(&world, &client, &key, client.exchange(&code)).send().await);
}

#[tokio::test]
async fn keys_are_fetched_only_for_a_request_that_could_succeed() {
    let (site, world) = with_site().await;
    let (old, new) = (ClientKey::new("old"), ClientKey::new("new"));
    site.serve(KEYS, Served::json(&old.jwks(), ""));
    let client = registered(&world, ("jwks_uri", json!(site.url(KEYS)))).await;
    assert_eq!(site.requests("/").len(), 0, "registering fetches nothing");
    let code = client.code(&mut Browser::new(&world)).await;
    let junk = Code { code: format!("{}x", code.code), verifier: code.verifier.clone() };
    let reply = proven(&world, &client, &old, client.exchange(&junk)).send().await;
    assert_eq!(reply.error(), "invalid_grant");
    let reply = proven(&world, &client, &old, client.refresh("rt_junk")).send().await;
    assert_eq!(reply.error(), "invalid_grant");
    assert_eq!(site.requests("/").len(), 0, "a stranger makes this server dial");
    let tokens = proven(&world, &client, &old, client.exchange(&code)).send().await;
    let tokens = Tokens::of(&tokens);
    assert_eq!(site.requests("/").len(), 1);
    site.serve(KEYS, Served::json(&new.jwks(), ""));
    world.pass(Duration::from_secs(31));
    let refresh = || client.refresh(&tokens.refresh);
    Tokens::of(&proven(&world, &client, &old, refresh()).send().await);
    assert_eq!(site.requests("/").len(), 1, "known keys are not fetched again");
    Tokens::of(&proven(&world, &client, &new, refresh()).send().await);
    assert_eq!(site.requests("/").len(), 2, "an unknown key is looked for once");
    is_refused(&proven(&world, &client, &old, refresh()).send().await, "the key that went");
    let strange = ClientKey::new("strange");
    for _ in 0..5 {
        is_refused(&proven(&world, &client, &strange, refresh()).send().await, "unknown key");
    }
    assert_eq!(site.requests("/").len(), 2, "once in 30 s");
}

#[tokio::test]
async fn keys_that_cannot_be_reached_keep_working_or_ask_for_patience() {
    let (site, world) = with_site().await;
    let key = ClientKey::new("one");
    let client = registered(&world, ("jwks_uri", json!(site.url(KEYS)))).await;
    let code = client.code(&mut Browser::new(&world)).await;
    site.serve(KEYS, Served::status("500 Internal Server Error", ""));
    let reply = proven(&world, &client, &key, client.exchange(&code)).send().await;
    assert_eq!((reply.status, reply.error().as_str()), (503, "temporarily_unavailable"));
    assert!(!reply.header("retry-after").is_empty());
    site.serve(KEYS, Served::json(&key.jwks(), "cache-control: max-age=60\r\n"));
    world.pass(Duration::from_secs(31));
    let tokens = proven(&world, &client, &key, client.exchange(&code)).send().await;
    let tokens = Tokens::of(&tokens);
    site.serve(KEYS, Served::Silence);
    world.pass(Duration::from_hours(48));
    Tokens::of(&proven(&world, &client, &key, client.refresh(&tokens.refresh)).send().await);
    world.app.sweep().await.unwrap();
    Tokens::of(&proven(&world, &client, &key, client.refresh(&tokens.refresh)).send().await);
    assert!(site.requests(KEYS).len() > 2, "they are asked for in the background");
}

#[tokio::test]
async fn keys_that_nobody_should_register_are_refused() {
    let world = World::start().await;
    let client = Client::discover(&world).await;
    let key = ClientKey::new("one");
    let mut private = key.jwks();
    private["keys"][0]["d"] = json!("AAAA");
    let mut both = metadata(("jwks", key.jwks()));
    both["jwks_uri"] = json!("https://prover.example/keys");
    let mut cases = vec![
        both,
        metadata(("jwks", private)),
        metadata(("jwks", json!({"keys": [{"kty": "oct", "k": "AAAA"}]}))),
        metadata(("jwks", json!({"keys": []}))),
        metadata(("jwks", json!("https://prover.example/keys"))),
        metadata(("x", Value::Null)),
    ];
    for host in [
        "169.254.169.254",
        "10.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "metadata.google.internal.",
        "localhost",
        "2130706433",
    ] {
        cases.push(metadata(("jwks_uri", json!(format!("https://{host}/keys")))));
    }
    for case in cases {
        let reply = client.register(&case).await;
        is_problem(&reply, 400, "invalid_client_metadata", "RFC 7591 section 2");
    }
}

#[tokio::test]
async fn metadata_names_the_method_and_its_algorithms() {
    let world = World::start().await;
    let metadata = Client::discover(&world).await.metadata;
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("private_key_jwt")) && methods.contains(&json!("none")));
    let algorithms = &metadata["token_endpoint_auth_signing_alg_values_supported"];
    assert_eq!(*algorithms, json!(["ES256", "RS256", "PS256", "EdDSA"]));
}
