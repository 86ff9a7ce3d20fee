//! Attacks on people, browsers and codes (RFC 9700 section 4), each the way an attacker would.

use std::time::Duration;

use serde_json::json;
use shared::internal::Event;
use tests::{Browser, Callback, Choice, Client, ENGINES, Options, Person, Reply, Tokens, World};

use crate::cases::{is_error_page, is_problem};

#[tokio::test]
async fn a_copied_code_with_every_proof_ends_the_grant_when_it_comes_late() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        for (wait, survives) in [(10, true), (11, false)] {
            let code = client.code(&mut browser).await;
            let tokens = Tokens::of(&client.exchange(&code).send().await);
            world.pass(Duration::from_secs(wait));
            let again = client.exchange(&code).send().await;
            is_problem(&again, 400, "invalid_grant", "RFC 6749 section 4.1.2");
            let refresh = client.refresh(&tokens.refresh).send().await;
            if survives {
                Tokens::of(&refresh);
                assert!(world.revocations().await.is_empty());
            } else {
                is_problem(&refresh, 400, "invalid_grant", "RFC 9700 section 4.2.4");
                let told = world.revocations().await;
                assert!(matches!(told[..], [Event::Family { .. }]), "{told:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_copied_code_without_every_proof_harms_nobody() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let kiosk = Client::kiosk(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let tokens = Tokens::of(&client.exchange(&code).send().await);
    world.pass(Duration::from_secs(30));
    let mut of_another = kiosk.exchange(&code);
    of_another.remove("redirect_uri");
    let mut without_verifier = client.exchange(&code);
    without_verifier.remove("code_verifier");
    let mut wrong_verifier = client.exchange(&code);
    wrong_verifier.set("code_verifier", &tests::new_verifier());
    let mut wrong_address = client.exchange(&code);
    wrong_address.set("redirect_uri", "http://127.0.0.1:1/callback");
    for post in [of_another, without_verifier, wrong_verifier, wrong_address] {
        for _ in 0..4 {
            assert_eq!(post.send().await.error(), "invalid_grant", "RFC 9700 section 4.2.4");
        }
    }
    client.refreshed(&tokens.refresh).await;
}

/// RFC 9700 section 4.11: a server that passes browsers on to whatever strangers registered is
/// an open redirector.
#[tokio::test]
async fn nobody_is_passed_on_to_a_stranger_without_having_approved() {
    let world = World::start().await;
    let mut metadata = Client::public_metadata();
    metadata["redirect_uris"] = json!(["https://evil.example/landing"]);
    let client = Client::registered(&world, metadata).await;
    let mut browser = Browser::new(&world);
    let good = client.authorization();
    for bent in [
        good.clone().with("response_type", "token"),
        good.clone().with("scope", "no:such"),
        good.clone().with("prompt", "none"),
        good.clone().with("code_challenge_method", "plain"),
        good.clone().with("resource", "https://elsewhere.example"),
        good.clone().with("request_uri", "https://evil.example"),
    ] {
        let reply = browser.open(&bent.url()).await.reply;
        is_error_page(&reply, "RFC 9700 section 4.11");
        // The way on is a link that names its host, and the person's to follow.
        assert!(reply.text.contains("Return to evil.example"), "{}", reply.text);
    }
    let page = browser.reach_consent(&good.url()).await;
    let denied = browser.decide(&page, Choice { deny: true, ..Choice::default() }).await;
    assert_eq!((denied.reply.status, denied.reply.header("location")), (200, ""));
    assert!(denied.reply.text.contains("Return to evil.example"));
}

#[tokio::test]
async fn no_page_can_be_framed_cached_scripted_or_told_on() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let sign_in = browser.visit(&client.authorization().url()).await;
    let consent = browser.sign_in(&sign_in).await;
    let error = browser.open(&world.url("/authorize")).await;
    let stale = browser.open(&world.url("/consent")).await;
    for page in [sign_in, consent, error, stale] {
        let reply = page.reply;
        let policy = reply.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "RFC 9700 section 4.16: {policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
        assert!(!reply.text.contains("<script"), "{}", reply.url);
        assert_eq!(reply.header("x-frame-options"), "DENY", "RFC 9700 section 4.16");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "RFC 9700 section 4.2.4");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(!reply.text.contains("http-equiv=\"refresh\""));
    }
}

#[tokio::test]
async fn a_session_that_somebody_planted_is_worth_nothing() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.visit(&client.authorization().url()).await;
    let session = session_cookie(&world);
    browser.cookies.insert(session.clone(), "planted".to_owned());
    let planted = browser.clone();
    let page = browser.sign_in(&page).await;
    assert!(page.asks_for_consent());
    let first = browser.cookies[&session].clone();
    assert_ne!(first, "planted");
    assert!(first.len() >= 43);
    let mut attacker = planted;
    assert!(attacker.visit(&client.authorization().url()).await.asks_to_sign_in());
    // Every sign-in has a session of its own.
    let again = client.authorization().with("prompt", "login");
    let page = browser.visit(&again.url()).await;
    browser.sign_in(&page).await;
    assert_ne!(browser.cookies[&session], first);
}

#[tokio::test]
async fn a_cookie_that_comes_twice_is_not_believed() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    client.code(&mut browser).await;
    let session = session_cookie(&world);
    let mine = browser.cookies[&session].clone();
    browser.cookies.insert(session.clone(), format!("{mine}; {session}=planted"));
    assert!(browser.visit(&client.authorization().url()).await.asks_to_sign_in());
}

#[tokio::test]
async fn cookies_are_for_this_server_and_no_script() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.visit(&client.authorization().url()).await;
    let form = page.form().with("username", &browser.person.username.clone());
    let form = form.with("password", &browser.person.password.clone());
    let answer = browser.submit(&form, &form.fields()).await;
    let port = world.issuer.rsplit(':').next().unwrap().to_owned();
    // The browser's; then the session's, and the one by which the account knows this browser.
    for (reply, count) in [(page.reply, 1), (answer.reply, 2)] {
        let cookies = reply.headers.get_all("set-cookie");
        assert_eq!(cookies.iter().count(), count);
        for cookie in cookies {
            let cookie = cookie.to_str().unwrap();
            let (name, attributes) = cookie.split_once('=').unwrap();
            // Every server on this host shares the jar, whatever its port.
            assert!(name.ends_with(&port), "{cookie}");
            for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
                assert!(attributes.contains(attribute), "{cookie}");
            }
            assert!(!attributes.contains("Domain"), "{cookie}");
        }
    }
}

#[tokio::test]
async fn an_answered_consent_is_used_up() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        for first in [Choice::default(), Choice { deny: true, ..Choice::default() }] {
            let page = browser.reach_consent(&client.authorization().url()).await;
            Callback::of(&browser.decide(&page, first).await.reply);
            let again = browser.decide(&page, Choice::default()).await;
            is_error_page(&again.reply, "answered before");
        }
    }
}

#[tokio::test]
async fn a_page_waits_for_ten_minutes() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let sign_in = browser.visit(&client.authorization().url()).await;
    let consent = browser.sign_in(&sign_in).await;
    world.pass(Duration::from_mins(10));
    is_error_page(&browser.decide(&consent, Choice::default()).await.reply, "consent");
    is_error_page(&browser.sign_in(&sign_in).await.reply, "sign-in");
}

#[tokio::test]
async fn a_page_belongs_to_the_browser_that_asked_for_it() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut mallory = Browser::of(&world, Person::second());
    let mut victim = Browser::new(&world);
    client.code(&mut victim).await;
    let page = mallory.reach_consent(&client.authorization().url()).await;
    // The victim's browser is made to send what the attacker was asked.
    is_error_page(&victim.decide(&page, Choice::default()).await.reply, "another browser");
    let mut nobody = Browser::new(&world);
    is_error_page(&nobody.decide(&page, Choice::default()).await.reply, "no cookies");
    // Signing a victim in as the attacker fails alike.
    let page = mallory.visit(&client.authorization().with("prompt", "login").url()).await;
    victim.person = Person::second();
    is_error_page(&victim.sign_in(&page).await.reply, "login cross-site request forgery");
}

#[tokio::test]
async fn a_consent_is_not_answered_by_somebody_signed_out() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.reach_consent(&client.authorization().url()).await;
    browser.cookies.remove(&session_cookie(&world));
    let answer = browser.decide(&page, Choice::default()).await;
    assert!(answer.asks_to_sign_in(), "{}", answer.reply.text);
}

#[tokio::test]
async fn a_sealed_request_cannot_be_changed() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.reach_consent(&client.authorization().url()).await;
    let mut fields = page.form().pressed("decision", "approve");
    let sealed = fields.value("request").unwrap().to_owned();
    for at in [0, sealed.len() / 2, sealed.len() - 1] {
        let mut bent = sealed.clone().into_bytes();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        fields.set("request", std::str::from_utf8(&bent).unwrap());
        let answer = browser.submit(&page.form(), &fields).await;
        is_error_page(&answer.reply, "a changed request");
    }
    for hidden in ["evil.example", "client_id", "127.0.0.1"] {
        assert!(!sealed.contains(hidden));
    }
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let sign_in = browser.visit(&client.authorization().url()).await;
    let consent = browser.sign_in(&sign_in).await;
    let neighbour = "http://localhost:1".to_owned();
    let numeric = world.origin().replace("localhost", "127.0.0.1");
    for origin in ["https://evil.example", "null", &neighbour, &numeric, ""] {
        for page in [&sign_in, &consent] {
            let form = page.form();
            let mut fields = form.fields();
            fields.set("decision", "approve");
            let answer = browser.submit_from(origin, &form, &fields).await;
            assert_eq!(answer.reply.status, 403, "from {origin:?}");
            assert_eq!(answer.reply.header("location"), "");
        }
    }
    let answer = browser.decide(&consent, Choice::default()).await;
    assert_ne!(Callback::of(&answer.reply).value("code"), "");
}

#[tokio::test]
async fn a_name_is_shown_as_text_and_cannot_pretend() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    for (name, shown) in [
        ("<img src=x onerror=alert(1)>", "&#60;img src=x onerror=alert(1)&#62;"),
        ("\" onmouseover=\"alert(1)", "&#34; onmouseover=&#34;alert(1)"),
        ("edualC\u{202e}", "edualC"),
        ("Cla\u{200b}ude\r\n", "Claude"),
    ] {
        let mut metadata = Client::public_metadata();
        metadata["client_name"] = json!(name);
        let client = Client::registered(&world, metadata).await;
        let page = browser.reach_consent(&client.authorization().url()).await;
        let text = &page.reply.text;
        assert!(text.contains(&format!("<bdi>{shown}</bdi>")), "{name:?}: {text}");
        assert!(!text.contains("<img") && !text.contains('\u{202e}'), "{name:?}");
        assert!(text.contains("unverified"), "{name:?}");
    }
}

#[tokio::test]
async fn no_redirect_repeats_a_password() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let page = browser.visit(&client.authorization().url()).await;
    let form = page.form().with("username", &browser.person.username.clone());
    let form = form.with("password", &browser.person.password.clone());
    let answer = browser.submit(&form, &form.fields()).await.reply;
    assert_eq!(answer.status, 303, "RFC 9700 section 4.12");
    let consent = browser.visit(answer.location().unwrap().as_str()).await;
    let answer = browser.decide(&consent, Choice::default()).await.reply;
    assert_eq!(answer.status, 303, "RFC 9700 section 4.12");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_answered_alike() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut answers = Vec::new();
    for (username, password) in [
        ("demo@example.com", "wrong"),
        ("nobody@example.com", "wrong"),
        ("demo@example.com", ""),
        ("nobody@example.com", "correct horse battery staple"),
    ] {
        let mut browser = Browser::new(&world);
        browser.person = Person { password: password.to_owned(), username: username.to_owned() };
        let page = browser.visit(&client.authorization().url()).await;
        let sealed = page.form().fields().value("request").unwrap().to_owned();
        let reply: Reply = browser.sign_in(&page).await.reply;
        assert!(!browser.cookies.contains_key(&session_cookie(&world)));
        let text = reply.text.replace(&sealed, "REQUEST").replace(username, "NAME");
        answers.push((reply.status, text));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers[0].1.contains("do not belong together"));
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0]);
    }
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_for_the_guesser_alone() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut guesser = Browser::new(&world);
    guesser.person.password = "wrong".to_owned();
    let page = guesser.visit(&client.authorization().url()).await;
    let mut statuses = Vec::new();
    for _ in 0..15 {
        let reply = guesser.sign_in(&page).await.reply;
        if reply.status == 429 {
            assert_ne!(reply.header("retry-after"), "");
            assert!(reply.text.contains("too many wrong passwords"), "{}", reply.text);
        }
        statuses.push(reply.status);
    }
    assert_eq!((statuses[0], statuses[14]), (401, 429), "{statuses:?}");
    // Even the right password is not looked at now …
    guesser.person.password = Browser::new(&world).person.password;
    assert_eq!(guesser.sign_in(&page).await.reply.status, 429);
    // … and a moment later the person signs in.
    world.pass(Duration::from_secs(30));
    client.code(&mut Browser::new(&world)).await;
}

fn session_cookie(world: &World) -> String {
    format!("vestibule-auth-session-{}", world.issuer.rsplit(':').next().unwrap())
}
