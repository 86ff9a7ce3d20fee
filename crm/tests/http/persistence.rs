//! What was answered is still there after a restart, and the seed comes once only.

use serde_json::json;

use crate::harness::{ACME, World};

#[tokio::test]
async fn records_survive_a_restart_and_deleted_seeds_stay_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crm.redb");
    let world = World::with_file(Some(file.clone())).await;
    let made = world.call(&[ACME], "create_note", json!({ "title": "残す" })).await;
    let made = made.value().clone();
    let notes = world.call(&[ACME], "list_notes", json!({ "limit": 2 })).await;
    let seed = notes.column("id").into_iter().find(|id| *id != made["id"]).unwrap();
    world.call(&[ACME], "delete_note", json!({ "id": seed })).await.value();
    let before = world.call(&[ACME], "list_notes", json!({ "limit": 100 })).await;
    world.stop().await;

    let world = World::with_file(Some(file)).await;
    let after = world.call(&[ACME], "list_notes", json!({ "limit": 100 })).await;
    assert_eq!(after.value(), before.value());
    let read = world.call(&[ACME], "get_note", json!({ "id": made["id"] })).await;
    assert_eq!(read.value(), &made);
    let gone = world.call(&[ACME], "get_note", json!({ "id": seed })).await;
    assert!(gone.refusal().starts_with("There is no note"));
    world.stop().await;
}
