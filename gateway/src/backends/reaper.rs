//! The end of pooled sessions: told to the backend when nobody will use one again, and when the
//! principal it was opened for is shut out.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::mpsc::Receiver,
    time::{interval, timeout},
};

use crate::{
    backends::{
        Backend,
        ask::{self, Terms},
        authorization,
        session::Ending,
    },
    gateway::Gateway,
    state::App,
};

/// How soon a session ends after its principal is shut out.
const SWEEP: Duration = Duration::from_secs(1);
/// How many sessions are ended at the same time, and how long one may take.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends sessions until the shutdown, or until the backend has retired.
pub(super) async fn reap(backend: Arc<Backend>, gateway: Gateway, endings: Receiver<Ending>) {
    let sweep = async {
        let mut sweeps = interval(SWEEP);
        loop {
            sweeps.tick().await;
            let app = gateway.current();
            backend.sessions.sweep(|caller| app.feed.has_revoked(caller));
        }
    };
    let endings = stream::unfold(endings, async |mut endings| {
        endings.recv().await.map(|ending| (ending, endings))
    });
    let end = endings.for_each_concurrent(AT_ONCE, async |ending| {
        if timeout(PATIENCE, end(&backend, &gateway.current(), ending)).await.is_err() {
            tracing::debug!(backend = %backend.config.name, "a session's end is not answered");
        }
    });
    tokio::select! {
        () = backend.stop.cancelled() => {}
        () = sweep => {}
        () = end => {}
    }
}

/// Ends a session as the principal it was opened for. One that is shut out, or whose credential
/// has ended, is spoken for no longer: there the gateway ends as itself what it opened.
async fn end(backend: &Backend, app: &App, Ending { caller, session }: Ending) {
    let lives = caller.expires > app.clock.now() && !app.feed.has_revoked(&caller);
    let own = if lives { authorization::afresh(app, &caller, backend).await.ok() } else { None };
    let authorization = match own {
        Some(own) => own,
        None => match authorization::own(app, backend).await {
            Ok(gateways) => gateways,
            Err(_) => return,
        },
    };
    let terms = Terms { authorization, session: session.id, version: session.version };
    ask::end(backend, &terms).await;
}
