//! The way in: what programs post to a resource's endpoint goes straight to its phases, and
//! everything else by the router, which finds the same endpoints and answers the same.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, response::Response};
use foldhash::HashMap;
use http::{
    Method, Request,
    header::{HOST, ORIGIN},
};
use tower::Service;
use web::cors::Origins;

use crate::{config::Route, endpoints::mcp, gateway::Gateway, routes, state::App};

/// The gateway as a service; cheap to clone.
#[derive(Clone, Debug)]
pub struct Entrance {
    gateway: Gateway,
    router: Router,
}

/// The gateway's answers to every request.
pub fn router(gateway: Gateway) -> Entrance {
    Entrance { router: routes::router(gateway.clone()), gateway }
}

impl Service<Request<Body>> for Entrance {
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;
    type Response = Response;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.endpoint(&request) {
            Some((app, route)) => {
                Box::pin(async move { Ok(mcp::post(&app, &route, request).await) })
            }
            None => Box::pin(self.router.call(request)),
        }
    }
}

impl Entrance {
    /// Whether the request is for a path that the gateway has under the host it names. Where both
    /// services listen at one address, everything else may be auth-server's.
    pub fn owns(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        if OWN.contains(&path) {
            return true;
        }
        let several = request.headers().get_all(HOST).iter().count() > 1;
        let Some(host) = routes::named_host(request).filter(|_| !several) else {
            return true;
        };
        let generation = self.gateway.generation();
        generation.hosts.get(&host).is_some_and(|held| held.paths.contains(path))
    }

    /// The endpoint under the configuration that is in use now.
    fn endpoint(&self, request: &Request<Body>) -> Option<(App, Arc<Route>)> {
        let generation = self.gateway.generation();
        let route = generation.endpoints.find(request)?;
        Some((generation.app.clone(), Arc::clone(route)))
    }
}

/// Endpoints by host and path.
#[derive(Debug)]
pub(crate) struct Endpoints(HashMap<String, HashMap<String, Arc<Route>>>);

/// Paths that are the gateway's own under every host.
const OWN: [&str; 3] = ["/healthz", "/readyz", "/.well-known/jwks.json"];

impl Endpoints {
    /// Those of a configuration that need nothing of the router.
    pub(crate) fn of(routes: &[Arc<Route>]) -> Self {
        let mut endpoints: HashMap<String, HashMap<String, Arc<Route>>> = HashMap::default();
        for route in routes {
            // Answers that everybody's scripts may read say so, which is the router's to do.
            let is_plain = route.origins != Origins::Any && !route.path.contains(['{', '}', '*']);
            if is_plain && !OWN.contains(&route.path.as_str()) {
                let paths = endpoints.entry(route.host.clone()).or_default();
                paths.insert(route.path.clone(), Arc::clone(route));
            }
        }
        Self(endpoints)
    }

    /// The endpoint that a program's call is for, if it says so in the one common way.
    fn find(&self, request: &Request<Body>) -> Option<&Arc<Route>> {
        let headers = request.headers();
        let is_plain = request.method() == Method::POST
            && request.uri().authority().is_none()
            && !headers.contains_key(ORIGIN);
        let mut hosts = headers.get_all(HOST).iter().filter(|_| is_plain);
        let (host, None) = (hosts.next()?, hosts.next()) else { return None };
        self.0.get(host.to_str().ok()?)?.get(request.uri().path())
    }
}
