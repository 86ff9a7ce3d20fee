//! Access tokens (RFC 9068), judged by another library.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tests::{Browser, Choice, Client, Judge, Person, RESOURCE, Tokens, World};

#[tokio::test]
async fn the_claims_are_those_of_the_standard_and_of_the_choice() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let request = client.authorization();
    let choice = Choice {
        scopes: Some(&["contacts:read"]),
        workspaces: Some(&["ws_globex"]),
        ..Choice::default()
    };
    let code = client.code_of(&mut Browser::new(&world), request, choice).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
    let now = world.clock.now().secs();
    // RFC 9068 section 2.2.
    for (name, value) in [
        ("iss", json!(world.issuer)),
        ("aud", json!(RESOURCE)),
        ("sub", json!("usr_demo")),
        ("client_id", json!(client.id)),
        ("scope", json!("contacts:read")),
        ("workspaces", json!(["ws_globex"])),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("gen", json!(0)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["auth_time"].as_u64().unwrap() <= now);
    assert!(claims["jti"].as_str().unwrap().len() >= 22);
    assert!(claims["fam"].is_string());
    assert_eq!(claims.as_object().unwrap().len(), 12, "{claims}");
    assert!(tokens.access.len() <= 4096);
}

#[tokio::test]
async fn the_header_says_algorithm_type_and_key_and_nothing_else() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let header = tokens.access.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header["typ"], "at+jwt", "RFC 9068 section 2.1");
    assert_eq!(header["alg"], "ES256");
    let members: BTreeSet<&str> = header.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["alg", "kid", "typ"]));
}

#[tokio::test]
async fn every_token_has_an_id_of_its_own_and_keeps_when_the_person_came() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let judge = Judge::of(&world).await;
    let first = client.tokens(&mut Browser::new(&world)).await;
    world.pass(Duration::from_mins(4));
    let second = client.refreshed(&first.refresh).await;
    let first = judge.access_token(&world, &first.access, RESOURCE);
    let second = judge.access_token(&world, &second.access, RESOURCE);
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(first["auth_time"], second["auth_time"], "RFC 9068 section 2.2.1");
    assert_eq!((&first["fam"], &second["gen"]), (&second["fam"], &json!(1)));
    assert_eq!(second["iat"].as_u64().unwrap() - first["iat"].as_u64().unwrap(), 240);
}

#[tokio::test]
async fn a_person_without_a_choice_of_workspaces_has_theirs() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::of(&world, Person::second())).await;
    let claims = Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
    assert_eq!(
        (&claims["sub"], &claims["workspaces"]),
        (&json!("usr_second"), &json!(["ws_initech"]))
    );
}

#[tokio::test]
async fn a_token_with_any_part_changed_is_none() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let judge = Judge::of(&world).await;
    let parts: Vec<&str> = tokens.access.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{}", tokens.access) };
    let mut forged: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    forged["scope"] = json!("contacts:delete");
    let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
    for token in [
        format!("{header}.{forged}.{signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{}", signature.chars().rev().collect::<String>()),
    ] {
        assert!(judge.claims(&token, RESOURCE).is_err(), "RFC 9068 section 4");
    }
    assert!(judge.claims(&tokens.access, "https://elsewhere.example/mcp").is_err());
    judge.access_token(&world, &tokens.access, RESOURCE);
}

#[tokio::test]
async fn nobody_elses_keys_judge_our_tokens() {
    let (world, other) = (World::start().await, World::start().await);
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let kid = jsonwebtoken::decode_header(&tokens.access).unwrap().kid.unwrap();
    let url = Client::discover(&other).await.endpoint("jwks_uri").to_owned();
    assert!(!other.http.get(&url).await.text.contains(&kid));
}
