//! A back-up of what is served, asked for as an operator's command asks.

use std::{fs, os::unix::fs::PermissionsExt as _};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Browser, Client, ENGINES, Options, World};

#[tokio::test]
async fn a_back_up_is_made_while_clients_are_served_and_never_overwritten() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        let tokens = client.tokens(&mut browser).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("back-up");
        let asked = json!({ "path": path });
        let url = "/admin/v1/store/backup";
        let made = world.admin(Method::POST, url, asked.clone()).await.expect_status(200).json();
        assert_eq!(made["holds"]["family"], 1, "{made}");
        assert_eq!(made["holds"]["client"], 1, "{made}");
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.permissions().mode() & 0o077, 0, "others can read it");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&tokens.refresh) && !text.contains(&tokens.access));
        let again = world.admin(Method::POST, url, asked).await;
        assert!(again.expect_status(400).text.contains("exists"));
        let relative = json!({ "path": "back-up" });
        assert_eq!(world.admin(Method::POST, url, relative).await.status, 400);
        let nowhere = json!({ "path": folder.path().join("no/such/folder") });
        assert_eq!(world.admin(Method::POST, url, nowhere).await.status, 400);
        client.refreshed(&tokens.refresh).await;
        let held = world.admin(Method::GET, "/admin/v1/store", Value::Null).await;
        assert_eq!(held.expect_status(200).json()["holds"]["family"], 1);
    }
}
