//! One answer to every credential that does not open a resource (RFC 6750 section 3), where its
//! clients were told to expect it.

use serde_json::json;
use tests::{Mcp, Options, Reply, World};

use crate::mcp_cases::{challenge, signed_in};

async fn list(mcp: &Mcp) -> Reply {
    mcp.legacy("tools/list", json!({})).await
}

/// A resource whose clients know one answer.
async fn silent() -> World {
    let edit = |text: String| {
        let table = "[[gateway.route]]\nchallenge = { realm = \"crm-mcp\", metadata = \"root\", \
                     scope = false, body = { code = -32001, message = \"Unauthorized\" } }";
        text.replacen("[[gateway.route]]", table, 1)
    };
    World::with(Options { edit, gateway: true, ..Options::default() }).await
}

#[tokio::test]
async fn where_it_is_configured_every_401_is_the_same_whatever_its_cause() {
    let world = silent().await;
    let mcp = signed_in(&world).await;
    let good = mcp.token.clone().unwrap();
    assert_eq!(list(&mcp).await.status, 200);
    let forged = format!("{}AAAA", good.trim_end_matches(char::is_alphanumeric));
    let mut answers = Vec::new();
    for token in [None, Some("garbage".to_owned()), Some(forged)] {
        let reply = list(&Mcp { token, ..mcp.clone() }).await;
        let header = reply.header("www-authenticate").to_owned();
        answers.push((reply.status, header, reply.text));
    }
    let root = world.gateway_url("/.well-known/oauth-protected-resource");
    let expected = (
        401,
        format!("Bearer realm=\"crm-mcp\", resource_metadata=\"{root}\""),
        r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Unauthorized"}}"#.to_owned(),
    );
    for answer in answers {
        assert_eq!(answer, expected);
    }
    // What is no matter of who asks still says what it is about.
    let url = format!("{}?access_token={good}", mcp.url);
    let told = challenge(&list(&Mcp { url, ..mcp.clone() }).await, "in the address");
    assert_eq!((&told["error"], &told["realm"]), (&json!("invalid_request"), &json!("crm-mcp")));
}
