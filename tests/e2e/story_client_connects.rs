//! An MCP client is given one URL: it finds everything else, signs its person in, and works.

use serde_json::json;
use tests::{Browser, Client, Judge, Mcp, Options, Store, World};

#[tokio::test]
async fn one_url_leads_to_a_tool_call() {
    for store in [Store::Embedded, Store::Redis] {
        let world = World::with(Options { gateway: true, store, ..Options::default() }).await;

        // The first call is refused with the way to the rest.
        let refused = Mcp::new(&world, None).legacy("tools/list", json!({})).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate");
        let metadata = challenge.split("resource_metadata=\"").nth(1).unwrap();
        let metadata = world.http.get(metadata.split('"').next().unwrap()).await.json();
        assert_eq!(metadata["resource"], *world.resource);
        assert_eq!(metadata["authorization_servers"], json!([world.issuer]));

        // Registering, signing in and calling.
        let client = Client::public(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        Judge::of(&world).await.access_token(&world, &tokens.access, &world.resource);
        let mcp = Mcp::new(&world, Some(&tokens));
        let list = mcp.legacy("tools/list", json!({})).await;
        let tools = list.message()["result"]["tools"].as_array().unwrap().clone();
        assert!(tools.iter().any(|tool| tool["name"] == "list_contacts"), "{}", list.text);
        for called in [
            mcp.call("list_contacts", json!({})).await,
            mcp.modern("tools/call", json!({ "name": "list_contacts", "arguments": {} })).await,
        ] {
            assert_eq!(called.status, 200, "{}", called.text);
            assert!(called.message()["result"]["content"].is_array(), "{}", called.text);
        }

        // Taking the grant back ends what was signed before.
        client.revoke(&tokens.refresh).await;
        let is_refused = async || mcp.call("list_contacts", json!({})).await.status == 401;
        world.until("the end of the grant", is_refused).await;
    }
}

#[tokio::test]
async fn a_restart_of_everything_needs_no_new_sign_in() {
    let mut world = World::demo().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    world.restart(|text| text).await;
    let call = Mcp::new(&world, Some(&tokens)).call("list_contacts", json!({})).await;
    assert_eq!(call.status, 200, "{}", call.text);
    let tokens = client.refreshed(&tokens.refresh).await;
    let call = Mcp::new(&world, Some(&tokens)).call("list_contacts", json!({})).await;
    assert_eq!(call.status, 200, "{}", call.text);
}
