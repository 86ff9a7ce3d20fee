//! `vestibule demo`: both services and the reference CRM in one process, with a deployment made
//! for this machine, and everything a person needs to connect.

use std::{fs, net::SocketAddr, path::Path};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::client_address::TrustedProxies;

use crate::{
    arguments::DemoOptions,
    deployment_file::{self, File},
    listen, log,
    reference_crm::{self, Identity},
    secret_file,
    serve::{self, Listeners, Running},
    traces::Traces,
};

const DEPLOYMENT: &str = include_str!("../../profiles/demo/deployment.toml");

/// The audience of identities for the CRM.
const CRM_AUDIENCE: &str = "urn:vestibule:crm";

/// Runs the demo until it is told to end.
pub(crate) async fn run(options: &DemoOptions) -> Result<(), String> {
    serve::make_private_folder(&options.data_dir)?;
    let password = password(options)?;
    let listeners = Listeners {
        auth: listen::open(&[options.auth_listen]).await?,
        gateway: listen::open(&[options.gateway_listen]).await?,
    };
    let auth = port_of(&listeners.auth, options.auth_listen);
    let gateway = port_of(&listeners.gateway, options.gateway_listen);
    let crm = listen::open(&[SocketAddr::from(([127, 0, 0, 1], 0))]).await?;
    let crm_address = crm
        .first()
        .and_then(|listener| listener.local_addr().ok())
        .ok_or("the CRM has no address")?;
    let text = match &options.config {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        None => DEPLOYMENT.to_owned(),
    };
    let file = File::parse(&fill(&text, auth, gateway, crm_address, &options.data_dir))?;
    let shutdown = CancellationToken::new();
    let tracker = TaskTracker::new();
    let running = Running {
        data_dir: options.data_dir.clone(),
        proxies: TrustedProxies::default(),
        shutdown,
        tls: None,
        traces: Traces::of(&file)?,
        tracker,
    };
    let identity = crm_identity(gateway);
    reference_crm::start(&file, identity, crm, &crm_address.to_string(), &running).await?;
    let welcome = welcome(&file, &password);
    serve::both(file, listeners, running, None, move || log::say(&welcome)).await
}

/// The people's password: given, kept, or made now and kept. It is the secret the deployment's
/// `password_file` names.
fn password(options: &DemoOptions) -> Result<String, String> {
    let path = options.data_dir.join("demo-password");
    match &options.password {
        Some(password) => {
            secret_file::write_private(&path, password)?;
            Ok(password.clone())
        }
        None => secret_file::read_or_create(&path, readable_password),
    }
}

/// Four groups of five letters and digits that cannot be confused: about 95 bits.
fn readable_password() -> Result<String, String> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789x";
    let mut bytes = [0_u8; 20];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    let letters: Vec<char> = bytes
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(*byte % 32)))
        .map(|letter| char::from(*letter))
        .collect();
    let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

fn port_of(listeners: &[tokio::net::TcpListener], asked: SocketAddr) -> u16 {
    let first = listeners.first().and_then(|listener| listener.local_addr().ok());
    first.unwrap_or(asked).port()
}

/// The deployment file for this machine.
fn fill(text: &str, auth: u16, gateway: u16, crm: SocketAddr, data_dir: &Path) -> String {
    let password_file = data_dir.join("demo-password");
    text.replace("{auth_port}", &auth.to_string())
        .replace("{gateway_port}", &gateway.to_string())
        .replace("{crm_url}", &format!("http://{crm}/mcp"))
        .replace("{crm_audience}", CRM_AUDIENCE)
        .replace("{password_file}", &password_file.display().to_string())
}

/// The CRM believes the gateway of this process.
fn crm_identity(gateway: u16) -> Identity {
    let origin = format!("http://127.0.0.1:{gateway}");
    Identity {
        audience: CRM_AUDIENCE.to_owned(),
        jwks_url: format!("{origin}/.well-known/jwks.json"),
        issuer: origin,
    }
}

fn welcome(file: &File, password: &str) -> String {
    let mcp = file.resource.first().map_or("", |resource| resource.url.as_str());
    let person = file.auth.user.first();
    let username = person.map_or("", |user| user.username.as_str());
    let prm = deployment_file::resource_metadata_url(mcp);
    let issuer = &file.deployment.issuer;
    format!(
        r#"Vestibule demo

  MCP URL    {mcp}
  Sign in    {username}
  Password   {password}
  Account    {issuer}/account

Connect a client (it opens a browser to sign in):

  Claude Code   claude mcp add --transport http vestibule {mcp}
  mcp-remote    npx -y mcp-remote {mcp} --allow-http
  Cursor        in ~/.cursor/mcp.json:   {{"mcpServers": {{"vestibule": {{"url": "{mcp}"}}}}}}
  VS Code       in .vscode/mcp.json:     {{"servers": {{"vestibule": {{"type": "http", "url": "{mcp}"}}}}}}
  curl          curl -s {prm}

Requests (Ctrl-C ends the demo; everything it keeps stays):
"#
    )
}
