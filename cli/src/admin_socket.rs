//! The admin interfaces' Unix sockets: DATA/auth-server.sock, and DATA/gateway.sock of a gateway
//! alone, for this user alone.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
};

use auth_server::AdminPeer;
use axum::{
    Router,
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::{self, Next},
    serve::IncomingStream,
};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// auth-server's socket in the data folder.
pub(crate) const AUTH_SERVER: &str = "auth-server.sock";
/// The socket of a gateway that runs alone.
pub(crate) const GATEWAY: &str = "gateway.sock";

/// The open socket; its file is removed at the end.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// What the operating system says of a connection's other end.
#[derive(Clone, Copy, Debug)]
struct Peer(Option<AdminPeer>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let peer = stream.io().peer_cred().ok();
        Self(peer.map(|peer| AdminPeer { pid: peer.pid(), uid: peer.uid() }))
    }
}

impl AdminSocket {
    /// Opens the socket. Nothing if another server answers there already: on Redis it does the
    /// same.
    pub(crate) fn open(data_dir: &Path, name: &str) -> Result<Option<Self>, String> {
        let path = data_dir.join(name);
        let problem = |error: std::io::Error| {
            format!(
                "cannot listen on {}: {error}; choose a data folder with a short path",
                path.display()
            )
        };
        if UnixStream::connect(&path).is_ok() {
            tracing::warn!(path = %path.display(), "another server answers operators here");
            return Ok(None);
        }
        if path.exists() {
            fs::remove_file(&path).map_err(problem)?;
        }
        let listener = UnixListener::bind(&path).map_err(problem)?;
        // Whoever connects before this is asked for their user id all the same.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(problem)?;
        Ok(Some(Self { listener, path }))
    }

    /// Answers until the shutdown.
    pub(crate) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { listener, path } = self;
        let router = router.layer(middleware::from_fn(identify));
        let service = router.into_make_service_with_connect_info::<Peer>();
        let serve = axum::serve(listener, service);
        if let Some(Err(error)) = shutdown.run_until_cancelled(serve.into_future()).await {
            tracing::warn!(%error, "operators are no longer answered");
        }
        let _gone_already = fs::remove_file(path);
    }
}

/// Where auth-server's socket is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(AUTH_SERVER)
}

/// Lets in this user and root, and says who it is.
async fn identify(mut request: Request, next: Next) -> axum::response::Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().and_then(|info| info.0.0);
    let own = rustix::process::getuid().as_raw();
    if let Some(peer) = peer.filter(|peer| peer.uid == own || peer.uid == 0) {
        request.extensions_mut().insert(peer);
    }
    next.run(request).await
}
