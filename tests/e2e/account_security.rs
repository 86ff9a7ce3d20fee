//! What a person does when something may be in wrong hands: another password, and signing out
//! everywhere.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{Account, Browser, Client, ENGINES, Form, Mcp, NewKey, Options, Page, Person, World};

use crate::cases::is_problem;

const NEXT: &str = "violet anchor borrows tuesday";

/// A person of the store, who may choose their own password.
async fn pat(world: &World) -> Person {
    let person = Person::named("pat@example.com");
    let asked = json!({
        "username": person.username, "name": "Pat", "password": person.password,
        "memberships": { "ws_acme": "member" },
    });
    let reply = world.admin(Method::POST, "/admin/v1/users", asked).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    person
}

async fn password_form(world: &World, browser: &mut Browser) -> Form {
    browser.visit(&world.url("/account/password")).await.form()
}

async fn choose(world: &World, browser: &mut Browser, current: &str, new: [&str; 2]) -> Page {
    let form = password_form(world, browser).await;
    let form = form.with("current", current).with("new", new[0]).with("again", new[1]);
    browser.submit(&form, &form.fields()).await
}

fn session_of(browser: &Browser) -> (String, String) {
    let found = browser.cookies.iter().find(|(name, _)| name.contains("session")).unwrap();
    (found.0.clone(), found.1.clone())
}

#[tokio::test]
async fn another_password_ends_every_session_but_this_one_which_gets_a_new_secret() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let person = pat(&world).await;
        let client = Client::public(&world).await;
        let mut here = Browser::of(&world, person.clone());
        let tokens = client.tokens(&mut here).await;
        let mut there = Account::of(&world, Browser::of(&world, person.clone())).await;
        let before = here.clone();
        let page = choose(&world, &mut here, &person.password, [NEXT, NEXT]).await;
        let back = page.reply.location().unwrap_or_else(|| panic!("{}", page.reply.text));
        assert_ne!(session_of(&before), session_of(&here), "{store:?}");
        let page = here.visit(back.as_str()).await;
        assert!(page.reply.text.contains("Your password is changed"), "{}", page.reply.text);
        for mut other in [before, there.browser.clone()] {
            let page = other.visit(&world.url("/account")).await;
            assert!(page.asks_to_sign_in(), "{store:?}: {}", page.reply.text);
        }
        // Connected apps go on.
        client.refreshed(&tokens.refresh).await;
        // The old password opens nothing, the new one does.
        let page = there.browser.visit(&world.url("/account")).await;
        let page = there.browser.sign_in(&page).await;
        assert_eq!(page.reply.status, 401);
        there.browser.person.password = NEXT.to_owned();
        assert!(there.browser.sign_in(&page).await.reply.text.contains("Your account"));
        let events =
            world.admin(Method::GET, "/admin/v1/audit?event=password_changed", json!(null));
        let told = events.await.json()["events"][0].clone();
        assert_eq!(told["actor"]["kind"], "person", "{told}");
    }
}

#[tokio::test]
async fn whoever_holds_a_session_alone_cannot_change_the_password() {
    let world = World::start().await;
    let person = pat(&world).await;
    let mut account = Account::of(&world, Browser::of(&world, person.clone())).await;
    // A thief has the session's cookies and not the browser that the account knows.
    let mut thief = account.browser.clone();
    thief.cookies.retain(|name, _| !name.contains("device"));
    let mut answers = Vec::new();
    for _ in 0..7 {
        let page = choose(&world, &mut thief, "a wrong password", [NEXT, NEXT]).await;
        assert!(!page.reply.text.contains("a wrong password"));
        answers.push(page.reply.status);
    }
    assert_eq!(answers, [400, 400, 400, 400, 400, 429, 429]);
    let page = choose(&world, &mut thief, &person.password, [NEXT, NEXT]).await;
    assert_eq!(page.reply.status, 429, "the right one is not looked at either");
    assert_eq!(page.reply.header("retry-after"), "1");
    // The owner waits for nobody.
    let page = choose(&world, &mut account.browser, &person.password, [NEXT, NEXT]).await;
    assert_eq!(page.reply.status, 303);
    assert!(thief.visit(&world.url("/account")).await.asks_to_sign_in(), "and the thief is out");
}

#[tokio::test]
async fn a_new_password_is_typed_twice_and_is_a_good_one() {
    let world = World::start().await;
    let person = pat(&world).await;
    let mut browser = Account::of(&world, Browser::of(&world, person.clone())).await.browser;
    for (new, why) in [
        ([NEXT, "something else entirely"], "typed in two ways"),
        (["short", "short"], "at least 12 characters"),
        (["pat@example.com", "pat@example.com"], "Choose another password"),
        (["", ""], "at least 12 characters"),
    ] {
        let page = choose(&world, &mut browser, &person.password, new).await;
        assert_eq!(page.reply.status, 400, "{new:?}");
        assert!(page.reply.text.contains(why), "{new:?}: {}", page.reply.text);
        assert!(page.form().has("current"), "the form is there again");
    }
    assert!(browser.visit(&world.url("/account")).await.reply.text.contains("Your account"));
    // A ticket is taken once, and only from this site.
    let form = password_form(&world, &mut browser).await;
    let form = form.with("current", &person.password).with("new", NEXT).with("again", NEXT);
    let page = browser.submit_from("http://localhost:1", &form, &form.fields()).await;
    assert_eq!(page.reply.status, 403);
    let mut elsewhere = Account::of(&world, Browser::of(&world, person)).await.browser;
    assert_eq!(elsewhere.submit(&form, &form.fields()).await.reply.status, 400);
    assert_eq!(browser.submit(&form, &form.fields()).await.reply.status, 303);
    assert_eq!(browser.submit(&form, &form.fields()).await.reply.status, 400);
}

#[tokio::test]
async fn a_password_of_the_deployment_file_is_changed_there() {
    let world = World::start().await;
    let mut account = Account::open(&world).await;
    assert!(!account.page().await.reply.text.contains("Change password"));
    let page = account.browser.visit(&world.url("/account/password")).await;
    assert!(page.reply.text.contains("Your account"), "{}", page.reply.text);
}

#[tokio::test]
async fn signing_out_everywhere_ends_browsers_apps_and_keys() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let tokens = client.tokens(&mut browser).await;
        let mut elsewhere = Account::open(&world).await;
        let mut stranger = Account::of(&world, Browser::of(&world, Person::second())).await;
        let mut account = Account::of(&world, browser).await;
        let page = account.act("sign_out_everywhere", "").await;
        assert!(page.reply.text.contains("this browser too"), "{}", page.reply.text);
        assert_eq!(world.revocations().await.len(), 1, "gateways are told");
        for browser in [&mut account.browser, &mut elsewhere.browser] {
            assert!(browser.visit(&world.url("/account")).await.asks_to_sign_in(), "{store:?}");
        }
        let spent = client.refresh(&tokens.refresh).send().await;
        is_problem(&spent, 400, "invalid_grant", "RFC 6749 section 6");
        assert!(stranger.page().await.reply.text.contains("Your account"), "others go on");
        // Signing in again begins something new at once.
        let page = account.browser.visit(&world.url("/account")).await;
        let page = account.browser.sign_in(&page).await;
        assert!(page.reply.text.contains("Your account"), "{}", page.reply.text);
        world.pass(Duration::from_secs(2));
        let again = client.tokens(&mut account.browser).await;
        client.refreshed(&again.refresh).await;
    }
}

#[tokio::test]
async fn a_key_is_refused_after_signing_out_everywhere() {
    let world = World::demo().await;
    let mut account = Account::open(&world).await;
    let key = account.make_key(NewKey::default()).await;
    let mcp = Mcp::with_key(&world, &key);
    assert_eq!(mcp.call("list_contacts", json!({})).await.status, 200);
    account.act("sign_out_everywhere", "").await;
    assert_eq!(mcp.call("list_contacts", json!({})).await.status, 401);
}
