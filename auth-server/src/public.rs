//! The public paths as one service: documents that are in memory are answered at once, and
//! everything else by the router.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, response::Response, routing::future::RouteFuture};
use futures_util::future::Either;
use tower::Service;

use crate::{App, entrance::Entrance, routes::router};

/// What answers on the public listeners: under the issuer's own path, and for its host alone.
/// Cheap to clone, and always ready.
#[derive(Clone, Debug)]
pub struct Public {
    entrance: Arc<Entrance>,
    router: Router,
}

impl Public {
    /// The public paths of this server.
    pub fn new(app: App) -> Self {
        let entrance = Arc::new(Entrance::new(app.clone()));
        Self { router: router(app, Arc::clone(&entrance)), entrance }
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
        match self.entrance.at_once(&request) {
            Some(document) => Either::Left(ready(Ok(document))),
            None => Either::Right(self.router.call(request)),
        }
    }
}
