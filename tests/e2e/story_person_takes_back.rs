//! A person looks at what they granted, and takes it back.

use std::time::Duration;

use shared::{
    ids::UserId,
    internal::{Event, Receipt, Usage},
};
use tests::{Browser, Client, ENGINES, Options, Person, RESOURCE, Store, Tokens, World};

use crate::cases::is_problem;

fn person() -> UserId {
    UserId::parse("usr_demo").unwrap()
}

async fn world(store: Store) -> World {
    World::with(Options { store, ..Options::default() }).await
}

#[tokio::test]
async fn a_person_sees_what_is_in_force_and_when_it_was_used() {
    for store in ENGINES {
        let world = world(store).await;
        let (client, kiosk) = (Client::public(&world).await, Client::kiosk(&world).await);
        let mut browser = Browser::new(&world);
        let began = world.clock.now();
        let first = client.tokens(&mut browser).await;
        let grants = async || world.app.grants_of(&person()).await.unwrap();
        let [grant] = grants().await.try_into().unwrap();
        assert_eq!((grant.client.as_str(), &*grant.client_name), (&*client.id, "End to end"));
        let scopes: Vec<(&str, String)> =
            grant.scopes.iter().map(|(name, scope)| (name.as_str(), scope.to_string())).collect();
        assert_eq!(scopes, [(RESOURCE, "contacts:read contacts:write".to_owned())]);
        let workspaces: Vec<&str> =
            grant.workspaces.iter().map(shared::ids::WorkspaceId::as_str).collect();
        assert_eq!(workspaces, ["ws_acme", "ws_globex"]);
        assert_eq!((grant.created, grant.used, grant.contested), (began, began, None));
        // A refresh is a use, and a call is one.
        world.pass(Duration::from_mins(2));
        let second = client.refreshed(&first.refresh).await;
        assert_eq!(grants().await[0].used, world.clock.now());
        world.pass(Duration::from_mins(2));
        let receipt = Receipt { family: grant.family, generation: 1 };
        let usage = Usage { receipts: vec![receipt], ..Usage::default() };
        world.app.report(&usage).await.unwrap();
        assert_eq!(grants().await[0].used, world.clock.now());
        // The last used one comes first, and another person's are not there.
        kiosk.tokens(&mut browser).await;
        world.pass(Duration::from_mins(1));
        kiosk.tokens(&mut Browser::of(&world, Person::second())).await;
        client.refreshed(&second.refresh).await;
        let clients: Vec<String> =
            grants().await.iter().map(|grant| grant.client.to_string()).collect();
        assert_eq!(clients, [client.id.clone(), kiosk.id.clone()], "on {store:?}");
        // An old token that comes back is told.
        world.pass(Duration::from_secs(121));
        assert_eq!(client.refresh(&first.refresh).send().await.error(), "invalid_grant");
        assert_eq!(grants().await[0].contested, Some(world.clock.now()));
    }
}

#[tokio::test]
async fn one_grant_is_taken_back_and_the_others_go_on() {
    for store in ENGINES {
        let world = world(store).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let (one, other) = (client.tokens(&mut browser).await, client.tokens(&mut browser).await);
        let family = family_of(&one);
        let stranger = UserId::parse("usr_second").unwrap();
        assert!(!world.app.revoke_grant(&stranger, family).await.unwrap());
        client.refreshed(&one.refresh).await;
        assert!(world.app.revoke_grant(&person(), family).await.unwrap());
        assert!(!world.app.revoke_grant(&person(), family).await.unwrap());
        let reply = client.refresh(&one.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 7009 section 2.1");
        client.refreshed(&other.refresh).await;
        assert_eq!(world.app.grants_of(&person()).await.unwrap().len(), 1, "on {store:?}");
        assert!(world.revocations().await.contains(&Event::Family { family }));
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_grants_sessions_and_codes() {
    for store in ENGINES {
        let world = world(store).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let tokens = client.tokens(&mut browser).await;
        let code = client.code(&mut browser).await;
        let untouched = client.tokens(&mut Browser::of(&world, Person::second())).await;
        // Other processes may know of it a second later.
        let at = world.clock.now().plus(Duration::from_secs(1));
        world.app.sign_out_everywhere(&person()).await.unwrap();
        let told = Event::Person { user: person(), not_after: at };
        assert!(world.revocations().await.contains(&told));
        for post in [client.refresh(&tokens.refresh), client.exchange(&code)] {
            let reply = post.send().await;
            is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 5.2");
        }
        assert!(world.app.grants_of(&person()).await.unwrap().is_empty());
        assert!(browser.open(&client.authorization().url()).await.asks_to_sign_in());
        client.refreshed(&untouched.refresh).await;
        // Whoever signs in afterwards begins anew.
        world.pass(Duration::from_secs(2));
        let anew = client.tokens(&mut Browser::new(&world)).await;
        client.refreshed(&anew.refresh).await;
    }
}

#[tokio::test]
async fn a_client_that_proves_less_than_it_did_is_not_refreshed() {
    for store in ENGINES {
        let mut world = world(store).await;
        let client = Client::partner(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        world.restart(|text| text.replace("secret_file = \"partner-secret\"\n", "")).await;
        let mut weaker = client.clone();
        weaker.credential = tests::Credential::None;
        let reply = weaker.refresh(&tokens.refresh).send().await;
        is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 6");
        // Nothing was lost by that.
        world
            .restart(|text| {
                let id = "id = \"partner\"\n";
                text.replace(id, &format!("{id}secret_file = \"partner-secret\"\n"))
            })
            .await;
        client.refreshed(&tokens.refresh).await;
    }
}

fn family_of(tokens: &Tokens) -> shared::ids::FamilyId {
    let claims: serde_json::Value =
        jsonwebtoken::dangerous::insecure_decode(&tokens.access).unwrap().claims;
    serde_json::from_value(claims["fam"].clone()).unwrap()
}
