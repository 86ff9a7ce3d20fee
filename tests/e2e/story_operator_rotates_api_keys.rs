//! An operator gives a person's API key a new secret, through the admin interface.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Account, ENGINES, Mcp, NewKey, Options, World};

/// How a call with the key is answered.
async fn status(world: &World, key: &str) -> u16 {
    Mcp::with_key(world, key).call("list_contacts", json!({})).await.status
}

#[tokio::test]
async fn an_operator_rotates_a_key_as_its_person_does() {
    for store in ENGINES {
        let world = World::with(Options { store, gateway: true, ..Options::default() }).await;
        let mut account = Account::open(&world).await;
        let first = account.make_key(NewKey::default()).await;
        let [id] = &account.acts("renew_key").await[..] else { panic!("one key is listed") };
        let rotate = async |user: &str, body: Value| {
            let path = format!("/admin/v1/users/{user}/api-keys/{id}/rotate");
            world.admin(Method::POST, &path, body).await
        };
        let person = "demo@example.com";
        let reply = rotate("second@example.com", json!({})).await;
        assert_eq!(reply.status, 404, "another's key: {}", reply.text);
        assert_eq!(rotate(person, json!({ "overlap": 1 })).await.status, 400);
        assert_eq!(status(&world, &first).await, 200, "nothing was spent");
        let second = rotate(person, json!({})).await.expect_status(200).json();
        assert_eq!(second["id"], **id);
        let second = second["key"].as_str().unwrap().to_owned();
        assert_eq!(status(&world, &first).await, 401, "the first secret");
        assert_eq!(status(&world, &second).await, 200, "{store:?}");
        let third = rotate(person, json!({ "overlap": true })).await.expect_status(200).json();
        let third = third["key"].as_str().unwrap().to_owned();
        for key in [&second, &third] {
            assert_eq!(status(&world, key).await, 200, "{store:?}");
        }
        let listed =
            world.admin(Method::GET, "/admin/v1/users/demo@example.com/api-keys", Value::Null);
        let listed = listed.await.text;
        assert!([&first, &second, &third].iter().all(|key| !listed.contains(*key)), "{listed}");
        world.pass(Duration::from_hours(24));
        assert_eq!(status(&world, &second).await, 401, "after the overlap");
        assert_eq!(status(&world, &third).await, 200);
        let path = format!("/admin/v1/users/{person}/api-keys/{id}");
        assert_eq!(world.admin(Method::DELETE, &path, Value::Null).await.status, 204);
        assert_eq!(rotate(person, json!({})).await.status, 404, "a revoked key comes not back");
    }
}
