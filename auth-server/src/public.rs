//! The public paths as one service: documents that are in memory are answered at once, and
//! everything else by the router of the host that the request names.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, response::Response, routing::future::RouteFuture};
use futures_util::future::Either;
use tower::Service;

use crate::{
    App,
    entrance::Entrance,
    routes::{elsewhere, router},
};

/// What answers on the public listeners: for our own hosts alone, and at each of them what is
/// there. Cheap to clone, and always ready.
#[derive(Clone, Debug)]
pub struct Public(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Under a name that is not ours.
    elsewhere: Router,
    entrance: Arc<Entrance>,
    /// One for each host of the entrance, in its order.
    routers: Vec<Router>,
}

impl Public {
    /// The public paths of this server.
    pub fn new(app: App) -> Self {
        let entrance = Arc::new(Entrance::new(app.clone()));
        let of_host = |host: &String| router(app.clone(), Arc::clone(&entrance), host);
        let routers = entrance.hosts().iter().map(of_host).collect();
        let elsewhere = elsewhere(app, Arc::clone(&entrance));
        Self(Arc::new(Parts { elsewhere, entrance, routers }))
    }
}

impl Service<Request> for Public {
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;
    type Response = Response;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Parts { elsewhere, entrance, routers } = &*self.0;
        if let Some(document) = entrance.at_once(&request) {
            return Either::Left(ready(Ok(document)));
        }
        let named = entrance.named(&request).and_then(|at| routers.get(at));
        Either::Right(named.unwrap_or(elsewhere).clone().call(request))
    }
}
