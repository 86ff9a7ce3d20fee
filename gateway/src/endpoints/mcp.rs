//! A resource: Streamable HTTP in and out (MCP transports). The work is in `phases.rs`.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use http::header::ACCESS_CONTROL_EXPOSE_HEADERS;

use crate::{
    config::Route,
    phases::{self, Incoming},
    state::App,
};

/// Any method on a resource's path.
pub(crate) async fn any(
    State((app, route)): State<(App, Arc<Route>)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let address = peer.map(|peer| app.proxies.client_address(peer, &parts.headers));
    phases::answer(&app, &route, Incoming { address, body, parts }).await
}

/// Lets scripts read the version header too.
pub(crate) async fn expose_version(mut response: Response) -> Response {
    let Some(exposed) = response.headers().get(ACCESS_CONTROL_EXPOSE_HEADERS) else {
        return response;
    };
    let mut list = exposed.as_bytes().to_vec();
    list.extend_from_slice(b", MCP-Protocol-Version");
    if let Ok(value) = list.try_into() {
        response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, value);
    }
    response
}
