//! An operator's whole way with accounts and workspaces, through the admin interface.

use std::time::Duration;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use shared::internal::Event;
use tests::{Browser, Client, ENGINES, Judge, Options, Person, RESOURCE, Reply, Tokens, World};

const PATH: &str = "/admin/v1";

async fn ask(world: &World, method: Method, path: &str, body: Value) -> Reply {
    world.admin(method, &format!("{PATH}{path}"), body).await
}

async fn done(world: &World, method: Method, path: &str, body: Value) {
    let reply = ask(world, method, path, body).await;
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.text);
}

/// Somebody in two stored workspaces.
async fn person(world: &World) -> (Person, String) {
    for id in ["ws_red", "ws_blue"] {
        done(world, Method::POST, "/workspaces", json!({ "id": id, "name": id })).await;
    }
    let person = Person::named("Pat@Example.com");
    let asked = json!({
        "username": person.username, "name": "Pat", "password": person.password,
        "email": "pat@example.com", "memberships": { "ws_red": "owner", "ws_blue": "member" },
    });
    let reply = ask(world, Method::POST, "/users", asked).await.expect_status(201).json();
    (person, reply["id"].as_str().unwrap().to_owned())
}

async fn workspaces(world: &World, tokens: &Tokens) -> Vec<String> {
    let claims = Judge::of(world).await.access_token(world, &tokens.access, RESOURCE);
    let list = claims["workspaces"].as_array().cloned().unwrap_or_default();
    list.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_added_person_signs_in_and_a_disabled_one_is_out_at_once() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let (person, id) = person(&world).await;
        let mut browser = Browser::of(&world, person.clone());
        let tokens = client.tokens(&mut browser).await;
        assert_eq!(workspaces(&world, &tokens).await, ["ws_blue", "ws_red"]);
        done(&world, Method::POST, &format!("/users/{id}/disable"), Value::Null).await;
        let told = world.revocations().await;
        assert!(matches!(&told[..], [Event::Person { user, .. }] if user.as_str() == id));
        assert_eq!(client.refresh(&tokens.refresh).send().await.error(), "invalid_grant");
        let page = browser.visit(&client.authorization().url()).await;
        assert_eq!(browser.sign_in(&page).await.reply.status, 401);
        // Enabling gives the account back, and nothing that was ended.
        done(&world, Method::POST, "/users/pat@example.com/enable", Value::Null).await;
        world.pass(Duration::from_secs(2));
        assert_eq!(client.refresh(&tokens.refresh).send().await.error(), "invalid_grant");
        let mut browser = Browser::of(&world, person);
        let again = client.tokens(&mut browser).await;
        client.refreshed(&again.refresh).await;
        done(&world, Method::DELETE, &format!("/users/{id}"), Value::Null).await;
        assert_eq!(client.refresh(&again.refresh).send().await.error(), "invalid_grant");
        assert_eq!(
            ask(&world, Method::GET, &format!("/users/{id}"), Value::Null).await.status,
            404
        );
    }
}

#[tokio::test]
async fn a_lost_membership_narrows_the_next_token_and_is_on_the_feed() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let (person, id) = person(&world).await;
        let tokens = client.tokens(&mut Browser::of(&world, person)).await;
        let member = format!("/workspaces/ws_red/members/{id}");
        done(&world, Method::DELETE, &member, Value::Null).await;
        let told = world.revocations().await;
        let [Event::Membership { user, workspace, not_after }] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((user.as_str(), workspace.as_str()), (id.as_str(), "ws_red"));
        assert!(*not_after >= world.clock.now());
        let narrowed = client.refreshed(&tokens.refresh).await;
        assert_eq!(workspaces(&world, &narrowed).await, ["ws_blue"]);
        // What was granted comes back with the membership, without another consent.
        done(&world, Method::PUT, &member, json!({ "role": "guest" })).await;
        let back = client.refreshed(&narrowed.refresh).await;
        assert_eq!(workspaces(&world, &back).await, ["ws_blue", "ws_red"]);
    }
}

#[tokio::test]
async fn a_workspace_whose_plan_loses_a_resource_is_out_of_its_tokens() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let (person, _) = person(&world).await;
        let tokens = client.tokens(&mut Browser::of(&world, person.clone())).await;
        let ledger = json!({ "resources": ["http://localhost:7400/strict"] });
        done(&world, Method::PUT, "/workspaces/ws_blue/plan", ledger).await;
        let told = world.revocations().await;
        assert!(matches!(&told[..], [Event::Membership { workspace, .. }]
            if workspace.as_str() == "ws_blue"));
        let narrowed = client.refreshed(&tokens.refresh).await;
        assert_eq!(workspaces(&world, &narrowed).await, ["ws_red"]);
        // The consent page does not offer what would not work.
        let fresh = client.tokens(&mut Browser::of(&world, person)).await;
        assert_eq!(workspaces(&world, &fresh).await, ["ws_red"]);
        // A wider plan takes nothing away, so the gateways hear nothing.
        let all = json!({ "resources": null });
        done(&world, Method::PUT, "/workspaces/ws_blue/plan", all).await;
        assert_eq!(world.revocations().await.len(), 1);
        let back = client.refreshed(&narrowed.refresh).await;
        assert_eq!(workspaces(&world, &back).await, ["ws_blue", "ws_red"]);
        done(&world, Method::DELETE, "/workspaces/ws_red", Value::Null).await;
        let last = client.refreshed(&back.refresh).await;
        assert_eq!(workspaces(&world, &last).await, ["ws_blue"]);
        let shown = ask(&world, Method::GET, "/users/pat@example.com", Value::Null).await.json();
        assert_eq!(shown["memberships"], json!({ "ws_blue": "member" }));
    }
}

#[tokio::test]
async fn the_deployment_file_wins_and_its_people_can_only_be_signed_out() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let tokens = client.tokens(&mut browser).await;
        for (method, path, body) in [
            (Method::POST, "/users/usr_demo/disable", Value::Null),
            (Method::DELETE, "/users/demo@example.com", Value::Null),
            (Method::PUT, "/users/usr_demo/password", json!({ "password": "a new password" })),
            (Method::DELETE, "/workspaces/ws_acme/members/usr_demo", Value::Null),
            (Method::PUT, "/workspaces/ws_acme/plan", json!({ "resources": [] })),
            (Method::DELETE, "/workspaces/ws_acme", Value::Null),
        ] {
            let reply = ask(&world, method, path, body).await;
            assert_eq!((reply.status, reply.error().as_str()), (409, "conflict"), "{path}");
            let text = reply.json()["error_description"].as_str().unwrap().to_owned();
            assert!(text.contains("deployment file"), "{path}: {text}");
        }
        let twin = json!({ "username": "DEMO@example.com", "name": "Twin" });
        assert_eq!(ask(&world, Method::POST, "/users", twin).await.status, 409);
        client.refreshed(&tokens.refresh).await;
        done(&world, Method::POST, "/users/usr_demo/sign-out", Value::Null).await;
        assert_eq!(client.refresh(&tokens.refresh).send().await.error(), "invalid_grant");
        assert!(browser.visit(&client.authorization().url()).await.asks_to_sign_in());
        world.pass(Duration::from_secs(2));
        client.tokens(&mut Browser::new(&world)).await;
    }
}

#[tokio::test]
async fn a_user_name_is_had_once_and_is_free_again_after_its_account() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let asked = json!({ "username": "sam", "name": "Sam" });
        let first = ask(&world, Method::POST, "/users", asked.clone()).await.expect_status(201);
        let twin = json!({ "username": "SAM", "name": "Sam" });
        assert_eq!(ask(&world, Method::POST, "/users", twin.clone()).await.status, 409);
        let list = ask(&world, Method::GET, "/users", Value::Null).await.json();
        let names = list["users"].as_array().unwrap().iter().map(|user| user["username"].clone());
        assert_eq!(names.collect::<Vec<_>>(), ["demo@example.com", "second@example.com", "sam"]);
        let id = first.json()["id"].as_str().unwrap().to_owned();
        done(&world, Method::DELETE, &format!("/users/{id}"), Value::Null).await;
        done(&world, Method::POST, "/users", twin).await;
    }
}

#[tokio::test]
async fn what_an_operator_gets_wrong_is_named() {
    let world = World::start().await;
    let (_, id) = person(&world).await;
    let long = "x".repeat(70_000);
    for (method, path, body, status, text) in [
        (
            Method::POST,
            "/users",
            json!({ "username": "a", "name": "A", "password": "short" }),
            400,
            "12 characters",
        ),
        (Method::POST, "/users", json!({ "username": "a b", "name": "A" }), 400, "user name"),
        (Method::POST, "/users", json!({ "username": "a", "name": "" }), 400, "name has 1"),
        (
            Method::POST,
            "/users",
            json!({ "username": "a", "name": "A", "colour": 1 }),
            400,
            "colour",
        ),
        (Method::POST, "/users", json!({ "username": "a", "name": long }), 400, "cannot be read"),
        (
            Method::POST,
            "/users",
            json!({ "username": "a", "name": "A", "memberships": { "ws_no": "x" } }),
            404,
            "ws_no",
        ),
        (
            Method::PUT,
            "/users/pat@example.com/password",
            json!({ "password": "PAT@example.com" }),
            400,
            "the password is",
        ),
        (Method::GET, "/users/nobody", Value::Null, 404, "no person nobody"),
        (Method::GET, "/users/usr_%2e%2e%2f", Value::Null, 404, "no person"),
        (Method::POST, "/workspaces", json!({ "id": "a b", "name": "A" }), 400, "workspace id"),
        (Method::POST, "/workspaces", json!({ "id": "ws_red", "name": "A" }), 409, "exists"),
        (
            Method::PUT,
            "/workspaces/ws_red/plan",
            json!({ "resources": ["https://no.example"] }),
            404,
            "no.example",
        ),
        (Method::PUT, "/workspaces/ws_no/plan", json!({ "resources": [] }), 404, "ws_no"),
        (Method::GET, "/grants", Value::Null, 400, "name a person or a client"),
        (Method::GET, "/grants?user=nobody", Value::Null, 404, "nobody"),
        (Method::DELETE, "/grants/x", Value::Null, 404, "no grant"),
        (Method::GET, "/clients/none", Value::Null, 404, "no client"),
        (Method::GET, "/audit?since=yesterday", Value::Null, 400, "not a moment"),
        (Method::GET, "/nothing", Value::Null, 404, "nothing at this address"),
        (Method::PATCH, "/users", Value::Null, 405, "does not answer that method"),
    ] {
        let reply = ask(&world, method, path, body).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        let problem = reply.json()["error_description"].as_str().unwrap().to_owned();
        assert!(problem.contains(text), "{path}: {problem}");
    }
    let shown = ask(&world, Method::GET, &format!("/users/{id}"), Value::Null).await;
    assert_eq!(shown.json()["memberships"], json!({ "ws_red": "owner", "ws_blue": "member" }));
}

#[tokio::test]
async fn a_page_cannot_ask_the_admin_interface() {
    let world = World::start().await;
    for name in ["origin", "sec-fetch-site", "sec-fetch-mode"] {
        let name = HeaderName::from_static(name);
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("same-origin"))]);
        let body = json!({ "username": "evil", "name": "Evil" }).to_string();
        let path = "/admin/v1/users";
        let reply = world.admin_with(Method::POST, path, headers.clone(), body).await;
        assert_eq!((reply.status, reply.error().as_str()), (403, "access_denied"));
        let reply = world.admin_with(Method::GET, path, headers, String::new()).await;
        assert_eq!(reply.status, 403);
    }
    assert_eq!(ask(&world, Method::GET, "/users/evil", Value::Null).await.status, 404);
    // The public listener knows nothing of it.
    assert_eq!(world.http.get(&world.url("/admin/v1/users")).await.status, 404);
}

#[tokio::test]
async fn grants_are_seen_and_taken_back() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let kiosk = Client::kiosk(&world).await;
        let mut browser = Browser::new(&world);
        let (one, other) = (client.tokens(&mut browser).await, kiosk.tokens(&mut browser).await);
        let list = async |query: &str| {
            let reply = ask(&world, Method::GET, &format!("/grants?{query}"), Value::Null).await;
            reply.expect_status(200).json()["grants"].as_array().unwrap().clone()
        };
        assert_eq!(list("user=demo@example.com").await.len(), 2);
        assert_eq!(list("user=second@example.com").await.len(), 0);
        let of_kiosk = list("client=kiosk").await;
        assert_eq!(of_kiosk[0]["workspaces"], json!(["ws_acme", "ws_globex"]));
        let id = of_kiosk[0]["id"].as_str().unwrap();
        done(&world, Method::DELETE, &format!("/grants/{id}"), Value::Null).await;
        assert_eq!(kiosk.refresh(&other.refresh).send().await.error(), "invalid_grant");
        let one = client.refreshed(&one.refresh).await;
        let reply = ask(&world, Method::DELETE, "/grants?user=usr_demo", Value::Null).await;
        assert_eq!(reply.json()["revoked"], 1);
        assert_eq!(client.refresh(&one.refresh).send().await.error(), "invalid_grant");
        assert!(list("user=usr_demo").await.is_empty());
    }
}

#[tokio::test]
async fn every_act_is_in_the_audit_with_its_actor() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let operator = HeaderName::from_static("vestibule-operator");
        let headers = HeaderMap::from_iter([(operator, HeaderValue::from_static("olga"))]);
        let body = json!({ "username": "sam", "name": "Sam" }).to_string();
        let made = world.admin_with(Method::POST, "/admin/v1/users", headers, body).await;
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(ask(&world, Method::DELETE, "/users/usr_demo", Value::Null).await.status, 409);
        world.pass(Duration::from_hours(2));
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        client.tokens(&mut browser).await;
        let events = async |query: &str| {
            let reply = ask(&world, Method::GET, &format!("/audit?{query}"), Value::Null).await;
            reply.expect_status(200).json()
        };
        let names = |page: &Value| -> Vec<String> {
            let events = page["events"].as_array().unwrap().iter();
            events.map(|event| event["event"].as_str().unwrap().to_owned()).collect()
        };
        let all = events("").await;
        assert_eq!(
            names(&all),
            [
                "consent_given",
                "signed_in",
                "client_registered",
                "admin_acted",
                "admin_acted",
                "account_created",
            ]
        );
        let created = events(&format!("user={id}")).await;
        assert_eq!(names(&created), ["account_created"]);
        let actor = json!({ "kind": "operator", "name": "olga", "pid": 1, "uid": 1000 });
        assert_eq!(created["events"][0]["actor"], actor);
        let refused = &events("event=admin_acted").await["events"][0];
        assert_eq!(
            (&refused["act"], &refused["status"]),
            (&json!("DELETE /admin/v1/users/usr_demo"), &json!(409))
        );
        assert_eq!(names(&events("since=1h").await).len(), 3);
        assert_eq!(names(&events("until=1h").await).len(), 3);
        assert_eq!(names(&events(&format!("client={}", client.id)).await).len(), 2);
        // Page by page nothing is missing and nothing comes twice.
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let page = events(&format!("limit=4{after}")).await;
            paged.extend(names(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(paged, names(&all));
        // Nothing is kept for longer than 90 days.
        world.pass(Duration::from_hours(90 * 24));
        assert!(names(&events("").await).is_empty());
    }
}
