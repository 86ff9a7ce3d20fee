//! auth-server as a process runs it: what it serves under the configuration in use, and the
//! change to another one.
//!
//! Invariant: a request is answered under one configuration, the one in use when it came.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use auth_server::{App, Public};
use axum::{Router, extract::Request};
use shared::problem::chain;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

/// How often what has expired is forgotten.
const SWEEP: Duration = Duration::from_mins(1);

/// auth-server at work; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AuthServer(Arc<ArcSwap<Served>>);

/// What is served under one configuration.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) admin: Router,
    pub(crate) app: App,
    pub(crate) internal: Router,
    pub(crate) public: Public,
}

impl AuthServer {
    /// Begins with this one.
    pub(crate) fn new(app: App) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Served::of(app))))
    }

    /// auth-server under the configuration in use.
    pub(crate) fn current(&self) -> App {
        self.0.load().app.clone()
    }

    /// Requests that come from now on are answered by this one.
    pub(crate) fn replace(&self, app: App) {
        self.0.store(Arc::new(Served::of(app)));
    }

    /// Forgets what has expired, now and then, until the shutdown.
    pub(crate) async fn keep_swept(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
            if let Err(error) = self.current().sweep().await {
                tracing::warn!(error = %chain(&error), "sweeping failed");
            }
        }
    }

    /// The public paths, as they are at each request.
    pub(crate) fn public(&self) -> Current {
        Current(Arc::clone(&self.0))
    }

    /// One of the routers, as it is at each request.
    pub(crate) fn router(&self, which: fn(&Served) -> &Router) -> Router {
        let held = Arc::clone(&self.0);
        Router::new().fallback(move |request: Request| {
            let router = which(&held.load()).clone();
            async move {
                let Ok(response) = router.oneshot(request).await;
                response
            }
        })
    }
}

/// The public paths under the configuration in use.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<ArcSwap<Served>>);

impl Service<Request> for Current {
    type Error = <Public as Service<Request>>::Error;
    type Future = <Public as Service<Request>>::Future;
    type Response = <Public as Service<Request>>::Response;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.load().public.clone().call(request)
    }
}

impl Served {
    fn of(app: App) -> Self {
        Self {
            admin: auth_server::admin_router(app.clone()),
            internal: auth_server::internal_router(app.clone()),
            public: Public::new(app.clone()),
            app,
        }
    }
}
