//! Running the services: opening their stores, starting what goes on in the background, and
//! ending cleanly.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use gateway::{Authority, Gateway};
use shared::{problem::chain, secret::Secret, time::Clock};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::{
    client_address::TrustedProxies,
    listener::{Answering, ServeOptions, tls::Certificates},
};

use crate::{
    admin_socket::{self, AdminSocket},
    arguments::ServeOptions as Options,
    deployment_file::File,
    gateway_keys::{self, GatewayStore, Ring},
    in_process::InProcess,
    listen,
    live::AuthServer,
    metrics,
    one_listener::OneListener,
    reload::Reloader,
    secret_file,
    stores::{self, open_auth_server},
    tls::{self, Shown},
    traces::Traces,
};

/// How long answers under way may take once the end began.
const DRAIN: Duration = Duration::from_secs(5);

/// Which services run in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Services {
    auth: bool,
    gateway: bool,
}

impl Services {
    pub(crate) const AUTH_SERVER: Self = Self { auth: true, gateway: false };
    pub(crate) const BOTH: Self = Self { auth: true, gateway: true };
    pub(crate) const GATEWAY: Self = Self { auth: false, gateway: true };
}

/// The open listeners of both services.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Auth-server's; both services' where the gateway has none of its own.
    pub(crate) auth: Vec<TcpListener>,
    pub(crate) gateway: Vec<TcpListener>,
}

/// What the services share in one process.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) data_dir: PathBuf,
    /// Those who speak for many clients.
    pub(crate) proxies: TrustedProxies,
    pub(crate) shutdown: CancellationToken,
    /// What the public listeners show; without it they speak plain http.
    pub(crate) tls: Option<Certificates>,
    pub(crate) traces: Traces,
    pub(crate) tracker: TaskTracker,
}

/// Runs what a deployment file says.
pub(crate) async fn run(options: &Options, services: Services) -> Result<(), String> {
    let file = File::read(&options.config)?;
    make_private_folder(&options.data_dir)?;
    check_transport(&file, services)?;
    let shown = Shown::public(&file)?;
    let running = Running {
        data_dir: options.data_dir.clone(),
        proxies: file.trusted_proxies()?,
        shutdown: CancellationToken::new(),
        tls: shown.as_ref().map(|shown| shown.certificates.clone()),
        traces: Traces::of(&file)?,
        tracker: TaskTracker::new(),
    };
    running.keep(shown);
    let listeners = Listeners {
        auth: if services.auth { listen::open(&file.listen.auth).await? } else { Vec::new() },
        gateway: if services.gateway && !(services.auth && file.listen.is_one()) {
            listen::open(&file.listen.gateway).await?
        } else {
            Vec::new()
        },
    };
    if services.auth && services.gateway {
        return both(file, listeners, running, Some(&options.config), || {}).await;
    }
    if services.auth {
        return auth_server_alone(&file, listeners.auth, &running, &options.config).await;
    }
    gateway_alone(&file, listeners.gateway, &running, &options.config).await
}

/// Runs both services in this process until it is told to end. `ready` is called when they
/// answer. `reread` is the file that is read again when it is told to.
pub(crate) async fn both(
    file: File,
    listeners: Listeners,
    running: Running,
    reread: Option<&Path>,
    ready: impl FnOnce(),
) -> Result<(), String> {
    let auth = open_traced(&file, &running).await?;
    let (gateway, ring) = open_gateway(&file, &running, InProcess(auth.clone())).await?;
    let entrance = gateway::router(gateway.clone());
    let tasks = if listeners.gateway.is_empty() {
        let both = OneListener::new(auth.public(), entrance, file.deployment()?.issuer_hosts());
        vec![running.start(listeners.auth, both)]
    } else {
        vec![
            running.start(listeners.auth, auth.public()),
            running.start(listeners.gateway, entrance),
        ]
    };
    start_internal(&file, &auth, &running).await?;
    metrics::start(&file, &running, Some(auth.current()), Some(gateway.clone())).await?;
    let reloader = reread.map(|path| {
        Reloader::new(path.to_owned(), &file, Some(auth.clone()), Some(gateway.clone()))
    });
    let ring_admin = gateway_keys::router(ring.clone(), Some(auth.clone()));
    running.administer(&file, &auth, reloader, Some(ring_admin)).await?;
    running.tracker.spawn(ring.keep(running.shutdown.clone()));
    gateway.start();
    running.tracker.spawn(auth.keep_swept(running.shutdown.clone()));
    ready();
    running.until_told(tasks).await
}

async fn auth_server_alone(
    file: &File,
    listeners: Vec<TcpListener>,
    running: &Running,
    config: &Path,
) -> Result<(), String> {
    let auth = open_traced(file, running).await?;
    let task = running.start(listeners, auth.public());
    start_internal(file, &auth, running).await?;
    metrics::start(file, running, Some(auth.current()), None).await?;
    let reloader = Reloader::new(config.to_owned(), file, Some(auth.clone()), None);
    running.administer(file, &auth, Some(reloader), None).await?;
    running.tracker.spawn(auth.keep_swept(running.shutdown.clone()));
    running.until_told([task]).await
}

async fn gateway_alone(
    file: &File,
    listeners: Vec<TcpListener>,
    running: &Running,
    config: &Path,
) -> Result<(), String> {
    let base = file.gateway.internal_base.as_deref().ok_or(
        "gateway.internal_base is missing: a gateway of its own must know where auth-server's \
         internal listener is",
    )?;
    let path = file.gateway.internal_credential_file.as_deref().ok_or(
        "gateway.internal_credential_file is missing: a gateway of its own must show a credential",
    )?;
    let credential = Secret::new(secret_file::read(Path::new(path))?);
    let issuer = file.deployment()?.issuer;
    let tls = tls::internal_client(&file.gateway.internal_tls)?;
    let authority = gateway::HttpAuthority::new(base, credential, issuer, &tls)
        .map_err(|error| format!("gateway.internal_tls: {}", chain(&error)))?;
    let (gateway, ring) = open_gateway(file, running, authority).await?;
    let task = running.start(listeners, gateway::router(gateway.clone()));
    metrics::start(file, running, None, Some(gateway.clone())).await?;
    let reloader = Reloader::new(config.to_owned(), file, None, Some(gateway.clone()));
    let ring_admin = gateway_keys::router(ring.clone(), None);
    running.open_remote(file, &file.listen.gateway_admin, ring_admin.clone()).await?;
    running.open_socket(admin_socket::GATEWAY, reloader.router().merge(ring_admin))?;
    running.follow(reloader)?;
    running.tracker.spawn(ring.keep(running.shutdown.clone()));
    gateway.start();
    running.until_told([task]).await
}

impl Running {
    /// Serves requests in the background.
    pub(crate) fn start(
        &self,
        listeners: Vec<TcpListener>,
        service: impl Answering,
    ) -> tokio::task::JoinHandle<()> {
        let (shutdown, tracker) = (self.shutdown.clone(), self.tracker.clone());
        let (proxies, tls) = (self.proxies.clone(), self.tls.clone());
        let options = ServeOptions { proxies, tls, ..options() };
        self.tracker.spawn(web::listener::serve(listeners, service, options, shutdown, tracker))
    }

    /// Shows the certificates anew when their files change.
    fn keep(&self, shown: Option<Shown>) {
        if let Some(shown) = shown {
            self.tracker.spawn(shown.keep(self.shutdown.clone()));
        }
    }

    /// Answers operators, keeps security events, and follows the keys.
    async fn administer(
        &self,
        file: &File,
        auth: &AuthServer,
        reloader: Option<Reloader>,
        of_gateway: Option<Router>,
    ) -> Result<(), String> {
        self.tracker.spawn(auth.current().keep_audit(self.shutdown.clone()));
        self.tracker.spawn(auth.current().keep_keys(self.shutdown.clone()));
        let mut admin = auth.router(|served| &served.admin);
        if let Some(of_gateway) = of_gateway {
            self.open_remote(file, &file.listen.gateway_admin, of_gateway.clone()).await?;
            admin = of_gateway.fallback_service(admin);
        }
        self.open_remote(file, &file.listen.admin, admin.clone()).await?;
        if let Some(reloader) = reloader {
            admin = reloader.router().fallback_service(admin);
            self.follow(reloader)?;
        }
        self.open_socket(admin_socket::AUTH_SERVER, admin)
    }

    /// Answers operators over TCP, where that is switched on: for whoever shows the token.
    async fn open_remote(
        &self,
        file: &File,
        addresses: &[SocketAddr],
        router: Router,
    ) -> Result<(), String> {
        if let Some(token) = file.admin_token(addresses)? {
            let listeners = listen::open(addresses).await?;
            // On loopback alone.
            let plain = Self { tls: None, ..self.clone() };
            plain.start(listeners, auth_server::over_tcp(router, &token));
        }
        Ok(())
    }

    /// Answers operators on a socket in the data folder.
    fn open_socket(&self, name: &str, router: Router) -> Result<(), String> {
        if let Some(socket) = AdminSocket::open(&self.data_dir, name)? {
            self.tracker.spawn(socket.serve(router, self.shutdown.clone()));
        }
        Ok(())
    }

    /// Reads the deployment file again at SIGHUP.
    fn follow(&self, reloader: Reloader) -> Result<(), String> {
        self.tracker.spawn(reloader.on_hangup(self.shutdown.clone())?);
        Ok(())
    }

    /// Waits for SIGTERM or Ctrl-C, then for everything to end, but not for ever.
    pub(crate) async fn until_told(
        &self,
        tasks: impl IntoIterator<Item = tokio::task::JoinHandle<()>>,
    ) -> Result<(), String> {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        self.shutdown.cancel();
        self.tracker.close();
        let ended = async {
            for task in tasks {
                let _ended = task.await;
            }
            self.tracker.wait().await;
        };
        // Nothing that was answered depends on what is still running.
        let _in_time = tokio::time::timeout(DRAIN * 2, ended).await;
        self.traces.close().await;
        Ok(())
    }
}

/// Serves a router that only services of ours speak to, until the shutdown.
pub(crate) fn private_listener(
    listeners: Vec<TcpListener>,
    router: Router,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) -> impl Future<Output = ()> {
    let options = ServeOptions { max_per_address: u32::MAX, ..options() };
    web::listener::serve(listeners, router, options, shutdown, tracker)
}

fn options() -> ServeOptions {
    ServeOptions { drain: DRAIN, ..ServeOptions::default() }
}

/// Makes the data folder, for this user alone.
pub(crate) fn make_private_folder(path: &Path) -> Result<(), String> {
    let problem = |error: std::io::Error| {
        format!(
            "the data folder {} cannot be used: {error}; choose another with --data-dir",
            path.display()
        )
    };
    if !path.exists() {
        fs::create_dir_all(path).map_err(problem)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(problem)?;
    }
    // A folder that cannot be written to is found out now, not at the first answer.
    let probe = path.join(".probe");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(problem)
}

async fn open_traced(file: &File, running: &Running) -> Result<AuthServer, String> {
    let app = open_auth_server(file, &running.data_dir).await?;
    Ok(AuthServer::new(app.traced(running.traces.tracer("vestibule-auth-server")?)))
}

async fn open_gateway(
    file: &File,
    running: &Running,
    authority: impl Authority + 'static,
) -> Result<(Gateway, Ring), String> {
    let store = stores::gateway(file, &running.data_dir).await?;
    let config = file.gateway()?;
    let shared_store = match &store {
        GatewayStore::Embedded(_) => None,
        GatewayStore::Redis(redis) => Some(redis.clone()),
    };
    let (ring, sessions) = stores::keys_of_gateway(file, &running.data_dir, store).await?;
    let gateway = Gateway::new(gateway::AppParts {
        authority: Arc::new(authority),
        clock: Clock::System,
        config,
        digest: file.digest(),
        identity: ring.keys(),
        proxies: file.trusted_proxies()?,
        sessions,
        shared_store,
        shutdown: running.shutdown.clone(),
        traces: running.traces.tracer("vestibule-gateway")?,
        tracker: running.tracker.clone(),
    });
    Ok((gateway, ring))
}

/// Opens the listener for gateways of other processes, if the file has one.
async fn start_internal(file: &File, auth: &AuthServer, running: &Running) -> Result<(), String> {
    if file.listen.internal.is_empty() {
        return Ok(());
    }
    if file.listen.internal_credential_file.is_none() {
        return Err("listen.internal_credential_file is missing: gateways must show it".to_owned());
    }
    let shown = Shown::internal(file)?;
    let tls = shown.as_ref().map(|shown| shown.certificates.clone());
    let listeners = listen::open(&file.listen.internal).await?;
    let running = Running { tls, ..running.clone() };
    running.keep(shown);
    running.start(listeners, auth.router(|served| &served.internal));
    Ok(())
}

/// Refuses to serve plain http to the outside: only loopback, or behind a listed proxy.
fn check_transport(file: &File, services: Services) -> Result<(), String> {
    let mut addresses = Vec::new();
    addresses.extend(services.auth.then_some(&file.listen.auth));
    addresses.extend(services.gateway.then_some(&file.listen.gateway));
    for (name, list) in ["auth", "gateway"].iter().zip(&addresses) {
        if list.is_empty() {
            return Err(format!("listen.{name} is empty; write an address such as 127.0.0.1:7410"));
        }
    }
    let open = addresses.into_iter().flatten().find(|address| !address.ip().is_loopback());
    match open {
        Some(address) if file.listen.tls.is_empty() && file.listen.trusted_proxies.is_empty() => {
            Err(format!(
                "{address} is not a loopback address, and plain http is only served there or \
                 behind a proxy; name a certificate in [[listen.tls]], or list the proxy that ends \
                 TLS in listen.trusted_proxies"
            ))
        }
        _ => Ok(()),
    }
}
