//! The Rust MCP client with its own OAuth support: connect, sign in, call; restart; call; call after a refresh.
//!
//! It takes the MCP URL and the URL of the runner's control server, as every driver beside it.

#![expect(clippy::print_stdout, reason = "the runner reads what was done from standard output")]

use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt};
use url::Url;

type Failure = Box<dyn std::error::Error>;

const REDIRECT_URI: &str = "http://127.0.0.1:33418/callback";
const TOOL: &str = "list_contacts";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the MCP URL is missing")?;
    let control = Url::parse(&arguments.next().ok_or("the control URL is missing")?)?;

    let mut state = OAuthState::new(&url, None).await?;
    let request = AuthorizationRequest::new(REDIRECT_URI).with_client_name("rmcp");
    state.start_authorization(request).await?;
    let mut open = control.join("open")?;
    open.query_pairs_mut().append_pair("url", &state.get_authorization_url().await?);
    state.handle_callback_url(&ask(open, "callback").await?).await?;

    let manager = state.into_authorization_manager().ok_or("the sign-in did not end")?;
    let http = AuthClient::new(reqwest::Client::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
    let client = ().serve(transport).await?;

    let tools = client.list_all_tools().await?;
    if !tools.iter().any(|tool| tool.name == TOOL) {
        return Err(format!("{TOOL} is not among {} tools", tools.len()).into());
    }
    call(&client).await?;
    let seconds = ask(control.join("restart")?, "seconds").await?;
    call(&client).await?;

    let before = http.get_access_token().await?;
    http.auth_manager.lock().await.refresh_token().await?;
    if http.get_access_token().await? == before {
        return Err("the refresh gave the same access token".into());
    }
    call(&client).await?;
    client.cancel().await?;
    println!(
        "signed in, {} tools, {TOOL}, restarted in {seconds} s, {TOOL}, refreshed, {TOOL}",
        tools.len()
    );
    Ok(())
}

/// Calls the tool and fails unless the result is a good one.
async fn call(client: &RunningService<RoleClient, ()>) -> Result<(), Failure> {
    let result = client.call_tool(CallToolRequestParams::new(TOOL)).await?;
    if result.is_error == Some(true) || result.content.is_empty() {
        return Err(format!("{TOOL} failed: {result:?}").into());
    }
    Ok(())
}

/// Asks the control server and returns one member of its answer as text.
async fn ask(url: Url, member: &str) -> Result<String, Failure> {
    let answer: serde_json::Value = reqwest::get(url).await?.json().await?;
    match answer.get(member) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(value) => Ok(value.to_string()),
        None => Err(format!("the runner answered {answer}").into()),
    }
}
