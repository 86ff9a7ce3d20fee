//! Guessing passwords is slow for whoever guesses, and the owner of an account never waits for it.

use std::time::{Duration, Instant};

use tests::{Browser, Client, Page, Person, World};

/// A browser at the sign-in page.
async fn at_sign_in(world: &World, client: &Client, person: Person) -> (Browser, Page) {
    let mut browser = Browser::of(world, person);
    let page = browser.visit(&client.authorization().url()).await;
    assert!(page.asks_to_sign_in());
    (browser, page)
}

fn guess(name: &str) -> Person {
    Person { password: "a wrong password".to_owned(), username: name.to_owned() }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_answered_like_a_wrong_password() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut answers = Vec::new();
    for name in ["demo@example.com", "nobody@example.com"] {
        let (mut browser, page) = at_sign_in(&world, &client, guess(name)).await;
        let mut fastest = Duration::MAX;
        let mut texts = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let reply = browser.sign_in(&page).await.reply;
            fastest = fastest.min(start.elapsed());
            assert_eq!(reply.status, 401);
            let own = page.form().fields();
            let sealed = own.value("request").unwrap();
            texts.push(reply.text.replace(name, "NAME").replace(sealed, "SEALED"));
        }
        assert_eq!(browser.sign_in(&page).await.reply.status, 429, "{name}");
        let cookies: Vec<&str> = browser.cookies.keys().map(String::as_str).collect();
        assert!(cookies.iter().all(|name| !name.contains("device")), "{cookies:?}");
        texts.dedup();
        answers.push((texts, fastest));
    }
    assert_eq!(answers[0].0, answers[1].0);
    // A hash takes tens of milliseconds; leaving it out would show at once.
    let (known, unknown) = (answers[0].1, answers[1].1);
    assert!(unknown > known / 2 && known > unknown / 2, "{known:?} {unknown:?}");
}

#[tokio::test]
async fn a_hundred_wrong_passwords_from_elsewhere_do_not_delay_the_owner() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let (mut owner, page) = at_sign_in(&world, &client, Person::demo()).await;
    assert!(owner.sign_in(&page).await.asks_for_consent());
    // The session is over, the browser is still known.
    owner.cookies.retain(|name, _| !name.contains("session"));
    let (mut guesser, wrong) = at_sign_in(&world, &client, guess("Demo@Example.com")).await;
    let mut looked_at = 0;
    for at in 0..100 {
        guesser.address = Some(format!("203.0.113.{at}"));
        let reply = guesser.sign_in(&wrong).await.reply;
        match reply.status {
            401 => looked_at += 1,
            429 => assert_ne!(reply.header("retry-after"), ""),
            other => panic!("{other}"),
        }
    }
    assert_eq!(looked_at, 5, "from wherever they come");
    // Somebody at a new browser waits like the guesser, but never for long …
    let (mut elsewhere, new) = at_sign_in(&world, &client, Person::demo()).await;
    assert_eq!(elsewhere.sign_in(&new).await.reply.status, 429);
    // … the owner signs in at once, at the guesser's own address …
    let page = owner.visit(&client.authorization().url()).await;
    owner.address = Some("203.0.113.99".to_owned());
    assert!(owner.sign_in(&page).await.asks_for_consent());
    // … and the delay is never longer than a quarter of a minute.
    world.pass(Duration::from_secs(16));
    assert!(elsewhere.sign_in(&new).await.asks_for_consent());
}

#[tokio::test]
async fn a_known_browser_is_known_to_its_own_account_alone() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let (mut second, page) = at_sign_in(&world, &client, Person::second()).await;
    assert!(second.sign_in(&page).await.asks_for_consent());
    second.cookies.retain(|name, _| !name.contains("session"));
    second.person = guess("demo@example.com");
    let page = second.visit(&client.authorization().url()).await;
    // Even under the other account's name the cookie proves nothing.
    let device = second.cookies.iter().find(|(name, _)| name.contains("device"));
    let (name, value) = device.map(|(name, value)| (name.clone(), value.clone())).unwrap();
    let (mut other, other_page) = at_sign_in(&world, &client, Person::demo()).await;
    assert!(other.sign_in(&other_page).await.asks_for_consent());
    let of_demo = other.cookies.keys().find(|name| name.contains("device")).unwrap().clone();
    assert_ne!(name, of_demo);
    second.cookies.insert(of_demo, value);
    for _ in 0..5 {
        assert_eq!(second.sign_in(&page).await.reply.status, 401);
    }
    assert_eq!(second.sign_in(&page).await.reply.status, 429);
}

#[tokio::test]
async fn a_crowd_at_the_sign_in_page_is_bounded_and_told_to_come_back() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let (browser, page) = at_sign_in(&world, &client, guess("x")).await;
    let mut crowd = tokio::task::JoinSet::new();
    for at in 0..160_u8 {
        let (mut browser, page) = (browser.clone(), page.clone());
        browser.person = guess(&format!("guess{at}@example.com"));
        browser.address = Some(format!("198.51.100.{at}"));
        crowd.spawn(async move { browser.sign_in(&page).await.reply });
    }
    let replies = crowd.join_all().await;
    let of = |status| replies.iter().filter(move |reply| reply.status == status);
    assert_eq!(of(401).count() + of(503).count(), 160);
    assert!(of(401).count() >= 16, "some are looked at");
    assert!(of(503).count() > 0, "not everybody is");
    for reply in of(503) {
        assert_eq!(reply.header("retry-after"), "5");
        assert!(reply.text.contains("try again in a few seconds"), "{}", reply.text);
    }
    // Nobody who was sent away is delayed for it.
    let (mut owner, page) = at_sign_in(&world, &client, Person::demo()).await;
    assert!(owner.sign_in(&page).await.asks_for_consent());
}
