//! Lists tools and makes the calls it is told to, with a token it is given, by the Rust MCP client.
//! What came back is printed as JSON.

#![expect(clippy::print_stdout, reason = "the runner reads what was done from standard output")]

use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Call {
    arguments: Map<String, Value>,
    tool: String,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).ok_or("the MCP URL is missing")?;
    let config =
        StreamableHttpClientTransportConfig::with_uri(url).auth_header(given("ACCESS_TOKEN")?);
    let client = ().serve(StreamableHttpClientTransport::from_config(config)).await?;
    let version = client.peer_info().map(|peer| peer.protocol_version.to_string());
    let tools = client.list_all_tools().await?;
    let calls: Vec<Call> = serde_json::from_str(&given("CALLS")?)?;
    let mut results = Vec::new();
    for Call { arguments, tool } in calls {
        results.push(call(&client, tool, arguments).await?);
    }
    let unknown = call(&client, "nobody_has_this".to_owned(), Map::new()).await;
    let names: Vec<_> = tools.iter().map(|tool| tool.name.clone()).collect();
    let unknown = match unknown {
        Ok(result) => result.to_string(),
        Err(error) => error.to_string(),
    };
    println!(
        "{}",
        json!({ "version": version, "tools": names, "results": results, "unknown": unknown })
    );
    client.cancel().await?;
    Ok(())
}

async fn call(
    client: &RunningService<RoleClient, ()>,
    tool: String,
    arguments: Map<String, Value>,
) -> Result<Value, Failure> {
    let asked = CallToolRequestParams::new(tool).with_arguments(arguments);
    let result = client.call_tool(asked).await?;
    let content = serde_json::to_value(&result.content)?;
    let texts = content.as_array().into_iter().flatten();
    let text: String = texts.filter_map(|part| part.get("text")?.as_str()).collect();
    Ok(json!({ "error": result.is_error == Some(true), "text": text }))
}

#[expect(clippy::disallowed_methods, reason = "the runner tells by the environment")]
fn given(name: &str) -> Result<String, Failure> {
    Ok(std::env::var(name)?)
}
