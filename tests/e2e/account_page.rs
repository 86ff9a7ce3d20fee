//! The account page: what a person sees of what acts for them, and how they undo it.

use std::time::Duration;

use tests::{Account, Browser, Client, ENGINES, NewKey, Options, Person, World};

use crate::cases::is_problem;

const SESSION: &str = "session";

/// The secret of a browser's session.
fn session_of(browser: &Browser) -> String {
    let found = browser.cookies.iter().find(|(name, _)| name.contains(SESSION));
    found.expect("a session").1.clone()
}

#[tokio::test]
async fn a_connected_app_is_shown_and_taken_back_for_good() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let tokens = client.tokens(&mut browser).await;
        let other = client.tokens(&mut browser).await;
        let mut account = Account::of(&world, browser).await;
        let text = account.page().await.reply.text;
        for words in ["See your contacts", "Acme GmbH, Globex Corporation", "unverified name"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let apps = account.acts("disconnect").await;
        assert_eq!(apps.len(), 2, "{store:?}");
        let page = account.act("disconnect", &apps[0]).await;
        assert!(page.reply.location().unwrap().as_str().ends_with("/account?done=disconnect"));
        assert_eq!(account.acts("disconnect").await.len(), 1);
        let mut ended = 0;
        for tokens in [&tokens, &other] {
            let reply = client.refresh(&tokens.refresh).send().await;
            if reply.status != 200 {
                is_problem(&reply, 400, "invalid_grant", "a grant that was taken back");
                ended += 1;
            }
        }
        assert_eq!(ended, 1, "the other connection goes on");
        assert_eq!(world.revocations().await.len(), 1, "gateways are told");
        let form = account.confirmation("disconnect_all", "").await;
        account.send(&form, &form.fields()).await;
        assert!(account.page().await.reply.text.contains("No app is connected"));
        assert_eq!(world.revocations().await.len(), 2);
    }
}

#[tokio::test]
async fn the_page_is_for_who_is_signed_in() {
    let world = World::start().await;
    let mut stranger = Browser::new(&world);
    for path in ["/account", "/account/confirm?act=disconnect_all", "/account/keys/new"] {
        let page = stranger.visit(&world.url(path)).await;
        assert!(page.asks_to_sign_in(), "{path}: {}", page.reply.text);
    }
    let mut account = Account::of(&world, stranger).await;
    assert!(account.page().await.reply.text.contains("Dana Demo"));
    let signed_in = account.browser.visit(&world.url("/login")).await;
    assert!(signed_in.reply.text.contains("Your account"), "{}", signed_in.reply.text);
}

#[tokio::test]
async fn signing_in_gives_a_session_that_nobody_could_have_planted() {
    let world = World::start().await;
    let attacker = Account::of(&world, Browser::of(&world, Person::second())).await.browser;
    let name = attacker.cookies.keys().find(|name| name.contains(SESSION)).unwrap();
    for planted in [session_of(&attacker).as_str(), "made-up"] {
        let mut victim = Browser::new(&world);
        let page = victim.visit(&world.url("/account")).await;
        victim.cookies.insert(name.clone(), planted.to_owned());
        let page = victim.sign_in(&page).await;
        assert!(page.reply.text.contains("Dana Demo"), "{}", page.reply.text);
        assert_ne!(session_of(&victim), planted);
        let mut thief = victim.clone();
        thief.cookies.insert(name.clone(), planted.to_owned());
        assert!(thief.visit(&world.url("/account")).await.asks_to_sign_in(), "{planted}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let mut account = Account::open(&world).await;
        let kept = account.browser.clone();
        let form = account.page().await.form();
        let page = account.send(&form, &form.fields()).await;
        assert!(page.reply.text.contains("Signed out"), "{}", page.reply.text);
        let mut thief = kept;
        assert!(thief.visit(&world.url("/account")).await.asks_to_sign_in(), "{store:?}");
    }
}

#[tokio::test]
async fn other_browsers_are_listed_and_signed_out_one_by_one_or_all() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let mut here = Account::open(&world).await;
        let mut others =
            [Account::open(&world).await, Account::open(&world).await, Account::open(&world).await];
        let stranger = Account::of(&world, Browser::of(&world, Person::second())).await;
        let listed = here.acts("end_session").await;
        assert_eq!(listed.len(), 3, "this browser and other people's are not among them");
        here.act("end_session", &listed[0]).await;
        assert_eq!(here.acts("end_session").await.len(), 2);
        let form = here.confirmation("end_others", "").await;
        here.send(&form, &form.fields()).await;
        assert!(here.acts("end_session").await.is_empty());
        for other in &mut others {
            let page = other.browser.visit(&world.url("/account")).await;
            assert!(page.asks_to_sign_in(), "{store:?}");
        }
        assert!(!stranger.browser.clone().visit(&world.url("/account")).await.asks_to_sign_in());
    }
}

#[tokio::test]
async fn nothing_is_done_for_another_site_another_browser_or_twice() {
    let world = World::demo().await;
    let mut account = Account::open(&world).await;
    account.make_key(NewKey::default()).await;
    let [id] = &account.acts("revoke_key").await[..] else { panic!("one key is listed") };
    let form = account.confirmation("revoke_key", id).await;
    let page = account.browser.submit_from("http://localhost:1", &form, &form.fields()).await;
    assert_eq!(page.reply.status, 403);
    let mut elsewhere = Account::open(&world).await;
    let page = elsewhere.send(&form, &form.fields()).await;
    assert_eq!(page.reply.status, 400, "a ticket of another browser");
    world.pass(Duration::from_mins(11));
    assert_eq!(account.send(&form, &form.fields()).await.reply.status, 400, "an old page");
    assert_eq!(account.acts("revoke_key").await.len(), 1, "nothing was done");
    let form = account.confirmation("revoke_key", id).await;
    assert_eq!(account.send(&form, &form.fields()).await.reply.status, 303);
    assert_eq!(
        account.send(&form, &form.fields()).await.reply.status,
        400,
        "a ticket is taken once"
    );
}

#[tokio::test]
async fn one_person_undoes_nothing_of_another() {
    let world = World::demo().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let tokens = client.tokens(&mut browser).await;
    let mut demo = Account::of(&world, browser).await;
    demo.make_key(NewKey::default()).await;
    let mut second = Account::of(&world, Browser::of(&world, Person::second())).await;
    for act in ["disconnect", "renew_key", "revoke_key"] {
        let [id] = &demo.acts(act).await[..] else { panic!("{act} is offered") };
        let url = world.url(&format!("/account/confirm?act={act}&id={id}"));
        let page = second.browser.visit(&url).await;
        assert!(page.reply.text.contains("Your account"), "{act}: {}", page.reply.text);
        // A form of their own, about what is not theirs.
        let form = second.confirmation("disconnect_all", "").await;
        let form = form.with("act", act).with("id", id);
        second.send(&form, &form.fields()).await;
        assert_eq!(demo.acts(act).await.len(), 1, "{act}");
    }
    client.refreshed(&tokens.refresh).await;
}

#[tokio::test]
async fn a_key_is_not_made_beyond_what_the_person_has() {
    let world = World::demo().await;
    let mut account = Account::open(&world).await;
    for (wish, words) in [
        (NewKey { name: "", ..NewKey::default() }, "Give the key a name"),
        (NewKey { workspaces: &[], ..NewKey::default() }, "Choose at least one workspace"),
        (NewKey { access: "chosen", ..NewKey::default() }, "Choose at least one thing"),
    ] {
        let form = account.key_form(wish).await;
        let page = account.send(&form, &form.fields()).await;
        assert_eq!(page.reply.status, 400, "{words}");
        assert!(page.reply.text.contains(words), "{words}: {}", page.reply.text);
        // What was ticked is still ticked, and the page still works.
        let form = page.form().with("name", "Report").ticked("access", &["read"]);
        let form = form.ticked("workspace", &["ws_acme"]);
        assert_eq!(account.send(&form, &form.fields()).await.reply.status, 200);
    }
    let form = account.key_form(NewKey::default()).await;
    let mut fields = form.fields();
    fields.add("workspace", "ws_initech");
    let page = account.send(&form, &fields).await;
    assert!(page.reply.text.contains("not a member"), "{}", page.reply.text);
    let mut fields = form.fields();
    fields.set("access", "chosen");
    fields.add("scope", "everything:write");
    let page = account.send(&form, &fields).await;
    assert!(page.reply.text.contains("Choose at least one thing"), "{}", page.reply.text);
    assert_eq!(account.acts("revoke_key").await.len(), 3);
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let world = World::demo().await;
    let mut account = Account::open(&world).await;
    let form = account.key_form(NewKey::default()).await;
    let shown = account.send(&form, &form.fields()).await.reply;
    let secret =
        shown.text.split(r#"id="secret" dir="ltr">"#).nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(shown.header("cache-control"), "no-store");
    let policy = shown.header("content-security-policy");
    assert!(policy.contains("script-src 'sha256-") && policy.contains("default-src 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = account.page().await.reply.text;
    assert!(!page.contains(secret) && page.contains(&secret[..11]), "{secret}: {page}");
}
