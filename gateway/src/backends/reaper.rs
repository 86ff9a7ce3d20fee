//! The end of pooled sessions: told to the backend when nobody will use one again, and when the
//! principal it was opened for is shut out.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc::UnboundedReceiver, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{
    backends::{
        Backend,
        ask::{self, Terms},
        catalogue::own_identity,
        session::Session,
    },
    state::App,
};

/// How soon a session ends after its principal is shut out.
const SWEEP: Duration = Duration::from_secs(1);

/// Ends sessions until the shutdown.
pub(super) async fn reap(
    backend: Arc<Backend>,
    app: App,
    mut endings: UnboundedReceiver<Session>,
    shutdown: CancellationToken,
) {
    let mut sweeps = interval(SWEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = sweeps.tick() => backend.sessions.sweep(|caller| app.feed.has_revoked(caller)),
            session = endings.recv() => {
                let Some(session) = session else { return };
                end(&backend, &app, session).await;
            }
        }
    }
}

async fn end(backend: &Backend, app: &App, session: Session) {
    // The principal may have no identity any longer: what the gateway opened it ends as itself.
    let Ok(authorization) = own_identity(app, backend) else { return };
    let terms = Terms { authorization, session: session.id, version: session.version };
    ask::end(backend, &terms).await;
}
