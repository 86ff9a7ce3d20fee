//! `vestibule crm`: the reference CRM as a process of its own, and as a part of the demo.

use shared::problem::chain;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    arguments::CrmOptions,
    deployment_file::File,
    listen,
    serve::{self, Running},
    traces::Traces,
};

/// Whose identities the CRM believes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) audience: String,
    pub(crate) issuer: String,
    pub(crate) jwks_url: String,
}

/// Runs the CRM as a backend of a deployment file, until it is told to end.
pub(crate) async fn run(options: &CrmOptions) -> Result<(), String> {
    let file = File::read(&options.config)?;
    let backend = file.backend.iter().find(|backend| backend.name == options.backend);
    let backend = backend.ok_or_else(|| {
        format!(
            "the file has no [[backend]] named {:?}; choose one with --backend",
            options.backend
        )
    })?;
    let url = url::Url::parse(&backend.url).map_err(|error| format!("backend.url: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let identity = Identity {
        audience: backend.audience.clone().ok_or("the backend has no audience; write one")?,
        issuer: file.gateway.identity_issuer.clone().ok_or(
            "gateway.identity_issuer is missing: the CRM must know whose identities it believes",
        )?,
        jwks_url: options.gateway_keys.clone(),
    };
    serve::make_private_folder(&options.data_dir)?;
    let running = Running {
        proxies: web::client_address::TrustedProxies::default(),
        data_dir: options.data_dir.clone(),
        shutdown: CancellationToken::new(),
        tls: None,
        traces: Traces::default(),
        tracker: TaskTracker::new(),
    };
    let listeners = listen::open(&[options.listen]).await?;
    start(&file, identity, listeners, &host, &running).await?;
    running.until_told([]).await
}

/// Serves the CRM's records for the file's workspaces.
pub(crate) async fn start(
    file: &File,
    identity: Identity,
    listeners: Vec<TcpListener>,
    host: &str,
    running: &Running,
) -> Result<(), String> {
    let config = crm::Config {
        allowed_hosts: vec![host.to_owned()],
        audience: identity.audience,
        clock: shared::time::Clock::System,
        data_file: Some(running.data_dir.join("crm.redb")),
        issuer: identity.issuer,
        jwks_url: identity.jwks_url,
        path: "/mcp".to_owned(),
        workspaces: file
            .workspaces()
            .map(|(id, name)| crm::Workspace { id: id.to_owned(), name: name.to_owned() })
            .collect(),
    };
    let router = crm::router(config, running.shutdown.clone())
        .await
        .map_err(|error| format!("the reference CRM cannot start: {}", chain(&error)))?;
    let (shutdown, tracker) = (running.shutdown.clone(), running.tracker.clone());
    running.tracker.spawn(serve::private_listener(listeners, router, shutdown, tracker));
    Ok(())
}
