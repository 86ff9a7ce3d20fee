//! Who calls, and resources that never change, as callers of both eras get them.

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::rules::{
    caller,
    rpc::{Message, read},
};

fn offerings() -> Offerings {
    let resource = |uri: &str, content| StaticResource {
        content,
        description: None,
        mime_type: "text/markdown".to_owned(),
        name: "Blocks".to_owned(),
        need: Need::Nothing,
        title: Some("Every block".to_owned()),
        uri: uri.to_owned(),
    };
    Offerings::new(
        Some(("me".to_owned(), Need::Nothing)),
        vec![
            resource("blocks://schema", Content::Text("# Blocks".to_owned())),
            resource("blocks://logo", Content::Blob("AAE=".to_owned())),
        ],
    )
}

fn ask(method: &str, mut params: Value, is_modern: bool) -> Result<Value, RpcViolation> {
    let mut headers = HeaderMap::new();
    if is_modern {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}});
        headers.insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
        headers.insert("mcp-method", method.parse().unwrap());
        let name = params.get("name").or(params.get("uri")).and_then(Value::as_str);
        headers.insert("mcp-name", name.unwrap().parse().unwrap());
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let Ok(Message::Request(call)) = read(&Bytes::from(body.to_string()), &headers, "workspace_id")
    else {
        panic!("{body}")
    };
    let caller = caller::tests::caller("contacts:read deals:*", &["a", "b"]);
    let result = offerings().answer(&caller, &call, Duration::from_secs(9))?;
    Ok(serde_json::from_slice(&result).unwrap())
}

#[test]
fn a_caller_is_told_who_they_are_as_the_schema_says() {
    for is_modern in [false, true] {
        let result = ask("tools/call", json!({"name": "me"}), is_modern).unwrap();
        assert_eq!(result.get("resultType").is_some(), is_modern);
        let who = &result["structuredContent"];
        assert_eq!(who["scopes"], json!(["contacts:read", "deals:*"]));
        assert_eq!(who["workspaces"], json!(["a", "b"]));
        assert_eq!(who["kind"], "person");
        let items = result["content"].as_array().unwrap();
        assert_eq!(items.len(), 1);
        let text: Value = serde_json::from_str(items[0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, *who);
        let offerings = offerings();
        let tool = &offerings.source().unwrap().catalogue.tools[0];
        let tool: Value = serde_json::from_str(tool.raw.get()).unwrap();
        let schema = jsonschema::validator_for(&tool["outputSchema"]).unwrap();
        assert!(schema.is_valid(who), "{who}");
    }
    let other = ask("tools/call", json!({"name": "whoami"}), false);
    assert_eq!(other, Err(RpcViolation::UnknownTool));
}

#[test]
fn a_static_resource_is_read_in_both_eras() {
    for is_modern in [false, true] {
        let read = |uri: &str| ask("resources/read", json!({"uri": uri}), is_modern);
        let result = read("blocks://schema").unwrap();
        let expected = json!([
            {"uri": "blocks://schema", "mimeType": "text/markdown", "text": "# Blocks"}
        ]);
        assert_eq!(result["contents"], expected);
        let kept = is_modern.then_some((json!(9000), json!("private")));
        let told = result.get("ttlMs").map(|ttl| (ttl.clone(), result["cacheScope"].clone()));
        assert_eq!(told, kept);
        assert_eq!(read("blocks://logo").unwrap()["contents"][0]["blob"], "AAE=");
        assert!(read("blocks://other").is_err());
    }
}

#[test]
fn nothing_configured_is_no_source() {
    assert!(Offerings::new(None, Vec::new()).source().is_none());
    let capabilities =
        |offerings: Offerings| offerings.source.unwrap().catalogue.capabilities.clone();
    assert_eq!(capabilities(offerings()), json!({"tools": {}, "resources": {}}));
    let alone = Offerings::new(Some(("me".to_owned(), Need::Nothing)), Vec::new());
    assert_eq!(capabilities(alone), json!({"tools": {}}));
}
