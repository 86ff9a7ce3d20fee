//! Starts the services the way the command line does, from the same tables.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use auth_server::{
    Engine,
    config::{Parts, RawAuth, RawClient, RawKeys},
};
use gateway::{Answer, AppParts, Authority, AuthorityError, IdentityKeys, RawBackend, RawGateway};
use keys::{KeyEncryptionKey, KeySet, Purpose, SecretRing};
use serde::de::DeserializeOwned;
use shared::{
    deployment::{Deployment, RawDeployment, RawResource},
    internal::{Cursor, Events, Principal, PrincipalQuery, Usage},
    problem::Problem,
    secret::Secret,
    time::Clock,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use web::{
    client_address::TrustedProxies,
    listener::{self, Answering},
    traces::{Settings, Tracer},
};

/// The audience of identities for the CRM.
pub const CRM_AUDIENCE: &str = "urn:vestibule:crm";

/// What a gateway shows to auth-server.
pub const INTERNAL: &str = "internal credential of the tests";

/// What the services of one world share between two starts.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) authority_is_away: Arc<AtomicBool>,
    pub(crate) clock: Clock,
    pub(crate) engine: Engine,
    /// The gateways' store, if it is Redis.
    pub(crate) gateway_redis: Option<store::Redis>,
    pub(crate) identity: Arc<IdentityKeys>,
    /// How often a gateway asked for the issuer's keys.
    pub(crate) jwks_fetches: Arc<AtomicU64>,
    pub(crate) key: KeyEncryptionKey,
    pub(crate) sessions: SecretRing,
    /// What requests are traced with, if they are.
    pub(crate) traces: Option<Settings>,
}

/// What runs from a start to a stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    pub(crate) shutdown: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

/// The deployment file's tables.
#[derive(Debug)]
pub(crate) struct Tables {
    auth: RawAuth,
    backends: Vec<RawBackend>,
    clients: Vec<RawClient>,
    pub(crate) deployment: Deployment,
    pub(crate) gateway: Option<RawGateway>,
    keys: RawKeys,
}

/// auth-server, which the gateway asks in process, and which can be cut off.
#[derive(Debug)]
struct InProcess {
    app: auth_server::App,
    is_away: Arc<AtomicBool>,
    jwks_fetches: Arc<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(engine: Engine, gateway_redis: Option<store::Redis>) -> Self {
        // A moment near the present, so that the expiry of entries in Redis lies ahead.
        let clock = Clock::manual(Clock::System.now());
        let identity = KeySet::first(Purpose::GatewayIdentity, clock.now()).unwrap();
        let sessions = KeySet::first(Purpose::PageSeal, clock.now()).unwrap();
        let (key, _) = KeyEncryptionKey::generate();
        Self {
            authority_is_away: Arc::default(),
            clock,
            engine,
            gateway_redis,
            identity: Arc::new(IdentityKeys::of(&identity).unwrap()),
            jwks_fetches: Arc::default(),
            key,
            sessions: sessions.secrets(),
            traces: None,
        }
    }
}

impl Shared {
    fn tracer(&self, service: &'static str) -> Option<Tracer> {
        let tracer = Tracer::new(service, self.traces.as_ref()?, Clock::System).unwrap();
        TaskTracker::new().spawn(tracer.clone().run());
        Some(tracer)
    }

    /// auth-server of the same process.
    pub(crate) fn authority(&self, app: auth_server::App) -> Arc<dyn Authority> {
        let is_away = Arc::clone(&self.authority_is_away);
        let jwks_fetches = Arc::clone(&self.jwks_fetches);
        Arc::new(InProcess { app, is_away, jwks_fetches })
    }
}

impl Tables {
    pub(crate) fn read(text: &str) -> Self {
        let mut tables: toml::Table = toml::from_str(text).unwrap();
        let raw: RawDeployment = table(&mut tables, "deployment").unwrap();
        let resources: Vec<RawResource> = table(&mut tables, "resource").unwrap();
        Self {
            auth: table(&mut tables, "auth").unwrap(),
            backends: table(&mut tables, "backend").unwrap_or_default(),
            clients: table(&mut tables, "client").unwrap_or_default(),
            deployment: Deployment::resolve(raw, resources).unwrap(),
            gateway: table(&mut tables, "gateway"),
            keys: table(&mut tables, "keys").unwrap_or_default(),
        }
    }
}

impl Running {
    /// Serves requests.
    pub(crate) fn serve(&self, listener: TcpListener, service: impl Answering) {
        let options = listener::ServeOptions::default();
        let (shutdown, tracker) = (self.shutdown.clone(), self.tracker.clone());
        self.tracker.spawn(listener::serve(vec![listener], service, options, shutdown, tracker));
    }

    /// Ends everything that was started.
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(crate) async fn auth_server(
        &self,
        listener: TcpListener,
        tables: &Tables,
        shared: &Shared,
    ) -> auth_server::App {
        let parts = Parts {
            auth: tables.auth.clone(),
            clients: tables.clients.clone(),
            deployment: tables.deployment.clone(),
            internal_credential: Some(Secret::new(INTERNAL.to_owned())),
            keys: tables.keys.clone(),
            trusted_proxies: trusted_proxies(),
        };
        let read = |name: &str| Ok(secret(name).to_owned());
        let config = auth_server::Config::resolve(parts, &read).unwrap();
        let (engine, clock) = (shared.engine.clone(), shared.clock.clone());
        let app = auth_server::App::open(config, engine, clock, &shared.key).await.unwrap();
        let app = app.traced(shared.tracer("vestibule-auth-server"));
        self.tracker.spawn(app.clone().keep_audit(self.shutdown.clone()));
        self.serve(listener, auth_server::Public::new(app.clone()));
        app
    }

    /// Serves the internal interface, and says where.
    pub(crate) async fn internal(&self, auth_server: auth_server::App) -> String {
        let listener = listen(0).await;
        let base = format!("http://{}", address(&listener));
        self.serve(listener, auth_server::internal_router(auth_server));
        base
    }

    /// The internal interface on a listener of its own, as a gateway of another process asks it.
    pub(crate) async fn remote_authority(
        &self,
        tables: &Tables,
        auth_server: auth_server::App,
    ) -> Arc<dyn Authority> {
        let base = self.internal(auth_server).await;
        let issuer = tables.deployment.issuer.clone();
        let credential = Secret::new(INTERNAL.to_owned());
        let tls = gateway::InternalTls::default();
        Arc::new(gateway::HttpAuthority::new(&base, credential, issuer, &tls).unwrap())
    }

    /// The gateway's configuration in a deployment.
    pub(crate) fn gateway_config(tables: &Tables) -> Result<gateway::Config, Vec<Problem>> {
        let raw = tables.gateway.clone().expect("a [gateway] table");
        gateway::Config::resolve(raw, tables.backends.clone(), &tables.deployment)
    }

    /// Starts the gateway of a deployment.
    pub(crate) fn gateway(
        &self,
        listener: TcpListener,
        tables: &Tables,
        shared: &Shared,
        authority: Arc<dyn Authority>,
    ) -> gateway::Gateway {
        let config = Self::gateway_config(tables).unwrap();
        let gateway = gateway::Gateway::new(AppParts {
            authority,
            clock: shared.clock.clone(),
            config,
            digest: String::new(),
            identity: Arc::new(ArcSwap::new(Arc::clone(&shared.identity))),
            proxies: trusted_proxies(),
            sessions: shared.sessions.clone(),
            shared_store: shared.gateway_redis.clone(),
            shutdown: self.shutdown.clone(),
            traces: shared.tracer("vestibule-gateway"),
            tracker: self.tracker.clone(),
        });
        self.serve(listener, gateway::router(gateway.clone()));
        gateway.start();
        gateway
    }

    /// Starts the reference CRM behind the gateway at this port.
    pub(crate) async fn crm(
        &self,
        listener: TcpListener,
        tables: &Tables,
        clock: Clock,
        gateway_port: u16,
    ) {
        let workspaces = tables.auth.workspace.iter();
        let config = crm::Config {
            allowed_hosts: vec![address(&listener).to_string()],
            audience: CRM_AUDIENCE.to_owned(),
            clock,
            data_file: None,
            issuer: tables.gateway.as_ref().and_then(|raw| raw.identity_issuer.clone()).unwrap(),
            jwks_url: format!("http://127.0.0.1:{gateway_port}/.well-known/jwks.json"),
            path: "/mcp".to_owned(),
            workspaces: workspaces
                .map(|raw| crm::Workspace { id: raw.id.clone(), name: raw.name.clone() })
                .collect(),
        };
        let router = crm::router(config, self.shutdown.clone()).await.unwrap();
        self.serve(listener, router);
    }
}

impl InProcess {
    fn reach(&self) -> Result<&auth_server::App, AuthorityError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(AuthorityError::Unavailable("cut off by a test".to_owned()));
        }
        Ok(&self.app)
    }
}

impl Authority for InProcess {
    fn events(&self, after: Option<Cursor>) -> Answer<'_, Events> {
        Box::pin(async move { self.reach()?.events(after.as_ref()).await.map_err(blind) })
    }

    fn jwks(&self) -> Answer<'_, Vec<u8>> {
        self.jwks_fetches.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(self.reach()?.jwks().into()) })
    }

    fn metadata(&self) -> Answer<'_, Vec<u8>> {
        Box::pin(async { Ok(self.reach()?.metadata().into()) })
    }

    fn principal(&self, query: PrincipalQuery) -> Answer<'_, Option<Principal>> {
        Box::pin(async move { self.reach()?.principal(&query).await.map_err(unavailable) })
    }

    fn report(&self, usage: Usage) -> Answer<'_, ()> {
        Box::pin(async move { self.reach()?.report(&usage).await.map_err(unavailable) })
    }
}

/// A listener on a free loopback port.
pub(crate) async fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).await.unwrap()
}

/// Where a listener listens.
pub(crate) fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where a closure would")]
fn blind(error: auth_server::StoreError) -> AuthorityError {
    AuthorityError::Blind(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where a closure would")]
fn unavailable(error: auth_server::StoreError) -> AuthorityError {
    AuthorityError::Unavailable(error.to_string())
}

/// Tests stand behind a proxy where they need another address.
fn trusted_proxies() -> TrustedProxies {
    TrustedProxies::parse(&["127.0.0.1"]).unwrap()
}

fn table<T: DeserializeOwned>(tables: &mut toml::Table, name: &str) -> Option<T> {
    let value = tables.remove(name)?;
    Some(value.try_into().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// The content of the files that a deployment names.
fn secret(name: &str) -> &'static str {
    match name {
        "next-secret" => crate::client::NEXT_SECRET,
        "partner-secret" => crate::client::PARTNER_SECRET,
        "resource-server-secret" => crate::client::RESOURCE_SERVER_SECRET,
        "password" => crate::browser::PASSWORD,
        name if name.ends_with("-password") => crate::browser::PASSWORD,
        "site-authority" => crate::site::authority(),
        other => panic!("the deployment names no file {other}"),
    }
}
