//! Both services at one address: what the gateway has under a host is the gateway's, and
//! everything else under a host of the issuer's is auth-server's.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::Request,
    http::{header::HOST, uri::Authority},
    response::Response,
};
use gateway::Entrance;
use tower::Service;

use crate::live::Current;

/// The two behind one listener.
#[derive(Clone, Debug)]
pub(crate) struct OneListener {
    auth: Current,
    gateway: Entrance,
    /// The hosts of the issuer and its endpoints, as the `Host` header has them.
    issuer: Vec<String>,
}

impl OneListener {
    /// Auth-server under the hosts of its issuer, and the gateway.
    pub(crate) fn new(auth: Current, gateway: Entrance, issuer: Vec<String>) -> Self {
        Self { auth, gateway, issuer }
    }

    fn is_for_auth(&self, request: &Request) -> bool {
        let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
        let host = header.or_else(|| request.uri().authority().map(Authority::as_str));
        host.is_some_and(|host| self.issuer.iter().any(|own| host.eq_ignore_ascii_case(own)))
            && !self.gateway.owns(request)
    }
}

impl Service<Request<Body>> for OneListener {
    type Error = Infallible;
    type Future = <Entrance as Service<Request<Body>>>::Future;
    type Response = Response;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.is_for_auth(&request) {
            Box::pin(self.auth.call(request))
        } else {
            self.gateway.call(request)
        }
    }
}
