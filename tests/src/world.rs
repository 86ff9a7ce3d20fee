//! A deployment on free loopback ports, with a clock that tests move by hand.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use auth_server::{AdminPeer, App, Engine, admin_router};
use axum::{body::Body, extract::Request};
use gateway::Applied;
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;
use shared::{internal::Event, problem::Problem, time::Clock};
use store::{Embedded, Redis, test_server::RedisServer};
use tower::ServiceExt as _;
use url::Url;
use web::traces::Settings;

use crate::{
    front::Front,
    http::{Http, Reply},
    services::{CRM_AUDIENCE, Running, Shared, Tables, address, listen},
};

const DEPLOYMENT: &str = include_str!("deployment.toml");
const DEMO: &str = include_str!("../../profiles/demo/deployment.toml");

/// The default resource of a world without a gateway.
pub const RESOURCE: &str = "http://localhost:7400/mcp";
/// A resource whose grants end at the first spent refresh token that comes back.
pub const RESOURCE_STRICT: &str = "http://localhost:7400/strict";

/// How long a world may take until it serves.
const START: Duration = Duration::from_secs(20);

/// Where a world keeps its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    #[default]
    Embedded,
    /// A `redis-server` of its own.
    Redis,
}

/// Both, for tests of what must hold in either.
pub const ENGINES: [Store; 2] = [Store::Embedded, Store::Redis];

/// What a test may change about its world.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What stands behind the gateway in place of the reference CRM.
    pub backend: Option<SocketAddr>,
    /// Changes the deployment file.
    pub edit: fn(String) -> String,
    /// Whether the gateway and the reference CRM run too, as the demo has them.
    pub gateway: bool,
    /// Whether the gateway asks auth-server over HTTP, as one of another process does.
    pub is_split: bool,
    /// Further tables of the deployment file.
    pub more: &'static str,
    /// The issuer's path, such as `/tenant`.
    pub issuer_path: &'static str,
    /// A deployment file with public hosts of its own, instead of the demo's.
    pub profile: &'static str,
    pub store: Store,
    /// What requests are traced with, if they are.
    pub traces: Option<&'static Settings>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: None,
            edit: |text| text,
            gateway: false,
            is_split: false,
            issuer_path: "",
            more: "",
            profile: "",
            store: Store::default(),
            traces: None,
        }
    }
}

/// A running deployment.
#[derive(Debug)]
pub struct World {
    /// auth-server, for what gateways ask it in process.
    pub app: App,
    pub clock: Clock,
    /// The gateway, if it runs.
    pub gateway: Option<gateway::Gateway>,
    pub http: Http,
    pub issuer: String,
    /// The Redis server, if that is the engine.
    pub redis: Option<RedisServer>,
    /// The default resource: the MCP URL, if the gateway runs.
    pub resource: String,
    deployment: String,
    has_crm: bool,
    /// The URL below which the issuer's pages are.
    pages: String,
    is_split: bool,
    ports: Ports,
    running: Running,
    shared: Shared,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    auth: u16,
    /// Of the gateway and of what stands behind it.
    gateway: Option<(u16, u16)>,
}

impl World {
    /// auth-server on the embedded engine, in memory.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// The demo: both services and the reference CRM, ready to serve.
    pub async fn demo() -> Self {
        Self::with(Options { gateway: true, ..Options::default() }).await
    }

    /// A world with these options.
    pub async fn with(options: Options) -> Self {
        let listener = listen(0).await;
        let mut ports = Ports { auth: address(&listener).port(), gateway: None };
        let mut behind = None;
        if options.gateway {
            let gateway = listen(0).await;
            let crm = if options.backend.is_none() { Some(listen(0).await) } else { None };
            let backend = options.backend.or_else(|| crm.as_ref().map(address)).unwrap();
            ports.gateway = Some((address(&gateway).port(), backend.port()));
            behind = Some((gateway, crm));
        }
        let issuer = format!("http://localhost:{}{}", ports.auth, options.issuer_path);
        let filled =
            ports.fill(if options.profile.is_empty() { DEMO } else { options.profile }, &issuer);
        let deployment = (options.edit)(filled) + options.more;
        let (engine, redis) = engine(options.store).await;
        let gateway_redis = match &redis {
            Some(server) => Some(Redis::connect(server.config("gateway:")).await.unwrap()),
            None => None,
        };
        let mut shared = Shared::new(engine, gateway_redis);
        shared.traces = options.traces.cloned();
        let running = Running::default();
        let tables = Tables::read(&deployment);
        let app = running.auth_server(listener, &tables, &shared).await;
        let public = (!options.profile.is_empty()).then_some(&tables.deployment);
        let http = Http::new();
        let mut world = Self {
            app,
            clock: shared.clock.clone(),
            gateway: None,
            has_crm: options.backend.is_none(),
            is_split: options.is_split,
            http: match (public, ports.gateway) {
                (Some(public), Some((gateway, _))) => {
                    http.behind(Front::new(public, ports.auth, gateway))
                }
                _ => http,
            },
            pages: public.map_or(issuer.clone(), |public| {
                let authorize = public.endpoints.authorize.as_str();
                authorize.rsplit_once('/').unwrap().0.to_owned()
            }),
            issuer: public.map_or(issuer, |public| public.issuer.as_str().to_owned()),
            redis,
            resource: match public {
                Some(public) => public.resources[0].indicator.as_str().to_owned(),
                None => ports.gateway.map_or(RESOURCE.to_owned(), |(port, _)| mcp_url(port)),
            },
            deployment,
            ports,
            running,
            shared,
        };
        if let Some((gateway, crm)) = behind {
            world.open_gateway(&tables, gateway, crm).await;
        }
        world
    }

    /// Ends the services and starts them again on the same state and ports, with the deployment
    /// file changed by `edit`. What the CRM held is gone.
    pub async fn restart(&mut self, edit: fn(String) -> String) {
        self.running.stop().await;
        self.running = Running::default();
        self.deployment = edit(self.deployment.clone());
        let tables = Tables::read(&self.deployment);
        let listener = listen(self.ports.auth).await;
        self.app = self.running.auth_server(listener, &tables, &self.shared).await;
        if let Some((gateway, crm)) = self.ports.gateway {
            let crm = if self.has_crm { Some(listen(crm).await) } else { None };
            let gateway = listen(gateway).await;
            self.open_gateway(&tables, gateway, crm).await;
        }
    }

    /// Changes the gateway to the deployment file changed by `edit`, while it runs.
    pub async fn reload(&mut self, edit: fn(String) -> String) -> Result<Applied, Vec<Problem>> {
        let text = edit(self.deployment.clone());
        let config = Running::gateway_config(&Tables::read(&text))?;
        let gateway = self.gateway.as_ref().expect("a gateway");
        let applied = gateway.reload(config, "of a test".to_owned()).await?;
        self.deployment = text;
        Ok(applied)
    }

    /// Lets time pass.
    pub fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// A second gateway before the same services, for the same URL; answers where it listens.
    pub async fn second_gateway(&self) -> (gateway::Gateway, String) {
        let listener = listen(0).await;
        let base = format!("http://{}", address(&listener));
        let authority = self.shared.authority(self.app.clone());
        let tables = Tables::read(&self.deployment);
        let app = self.running.gateway(listener, &tables, &self.shared, authority);
        let ready = format!("{base}/readyz");
        self.until("readiness", async || self.http.get(&ready).await.status == 200).await;
        (app, base)
    }

    /// Cuts the gateway off from auth-server, or joins them again.
    pub fn cut_authority(&self, is_away: bool) {
        self.shared.authority_is_away.store(is_away, Ordering::SeqCst);
    }

    /// How often the gateway has asked for the issuer's keys.
    pub fn jwks_fetches(&self) -> u64 {
        self.shared.jwks_fetches.load(Ordering::SeqCst)
    }

    /// Serves auth-server's internal interface, and says where.
    pub async fn internal(&self) -> String {
        self.running.internal(self.app.clone()).await
    }

    /// The URL of a path at the gateway's origin.
    pub fn gateway_url(&self, path: &str) -> String {
        format!("{}{path}", self.resource.trim_end_matches("/mcp"))
    }

    /// The URL of a path below the issuer.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// The origin of the issuer's pages, as browsers write it.
    pub fn origin(&self) -> String {
        Url::parse(&self.pages).unwrap().origin().ascii_serialization()
    }

    /// The URL of a page, beside the authorization endpoint.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.pages)
    }

    /// What gateways are told to refuse at this moment.
    pub async fn revocations(&self) -> Vec<Event> {
        self.app.events(None).await.unwrap().events
    }

    /// Asks the admin interface as an operator's command does, without a socket.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.admin_with(method, path, HeaderMap::new(), body).await
    }

    /// The same with these headers and this body.
    pub async fn admin_with(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: String,
    ) -> Reply {
        let url = Url::parse(&format!("http://localhost{path}")).unwrap();
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().unwrap();
        *request.headers_mut() = headers;
        request.extensions_mut().insert(AdminPeer { pid: Some(1), uid: 1000 });
        let answer = admin_router(self.app.clone()).oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        Reply { headers, status, text: String::from_utf8(text.to_vec()).unwrap(), url }
    }

    /// Asks until the answer is yes.
    pub async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !is_so().await {
            assert!(start.elapsed() < START, "{what} does not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn open_gateway(
        &mut self,
        tables: &Tables,
        gateway: tokio::net::TcpListener,
        crm: Option<tokio::net::TcpListener>,
    ) {
        let (port, clock) = (address(&gateway).port(), self.clock.clone());
        if let Some(crm) = crm {
            self.running.crm(crm, tables, clock, port).await;
        }
        let authority = if self.is_split {
            self.running.remote_authority(tables, self.app.clone()).await
        } else {
            self.shared.authority(self.app.clone())
        };
        let app = self.running.gateway(gateway, tables, &self.shared, authority);
        self.gateway = Some(app);
        let ready = format!("http://localhost:{port}/readyz");
        self.until("readiness", async || self.http.get(&ready).await.status == 200).await;
    }
}

impl Ports {
    /// The deployment file for these ports.
    fn fill(self, text: &str, issuer: &str) -> String {
        let Some((gateway, crm)) = self.gateway else {
            return DEPLOYMENT.replace("{issuer}", issuer);
        };
        let crm = format!("http://127.0.0.1:{crm}/mcp");
        text.replace("http://localhost:{auth_port}", issuer)
            .replace("{gateway_port}", &gateway.to_string())
            .replace("{crm_url}", &crm)
            .replace("http://127.0.0.1:7420/mcp", &crm)
            .replace("{crm_audience}", CRM_AUDIENCE)
            .replace("{password_file}", "password")
    }
}

fn mcp_url(port: u16) -> String {
    format!("http://localhost:{port}/mcp")
}

async fn engine(store: Store) -> (Engine, Option<RedisServer>) {
    match store {
        Store::Embedded => (Engine::Embedded(Embedded::memory().unwrap(), None), None),
        Store::Redis => {
            let server = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
            let redis = Redis::connect(server.config("auth:")).await.unwrap();
            let journal = server.folder().join("revocations.journal");
            (Engine::Redis(redis, journal), Some(server))
        }
    }
}
