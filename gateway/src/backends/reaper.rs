//! The end of pooled sessions: told to the backend when nobody will use one again, and when the
//! principal it was opened for is shut out.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::mpsc::Receiver,
    time::{interval, timeout},
};
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
/// How many sessions are ended at the same time, and how long one may take.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends sessions until the shutdown.
pub(super) async fn reap(
    backend: Arc<Backend>,
    app: App,
    endings: Receiver<Session>,
    shutdown: CancellationToken,
) {
    let sweep = async {
        let mut sweeps = interval(SWEEP);
        loop {
            sweeps.tick().await;
            backend.sessions.sweep(|caller| app.feed.has_revoked(caller));
        }
    };
    let endings = stream::unfold(endings, async |mut endings| {
        endings.recv().await.map(|session| (session, endings))
    });
    let end = endings.for_each_concurrent(AT_ONCE, async |session| {
        if timeout(PATIENCE, end(&backend, &app, session)).await.is_err() {
            tracing::debug!(backend = %backend.config.name, "a session's end is not answered");
        }
    });
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = sweep => {}
        () = end => {}
    }
}

async fn end(backend: &Backend, app: &App, session: Session) {
    // The principal may have no identity any longer: what the gateway opened it ends as itself.
    let Ok(authorization) = own_identity(app, backend) else { return };
    let terms = Terms { authorization, session: session.id, version: session.version };
    ask::end(backend, &terms).await;
}
