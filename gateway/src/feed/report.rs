//! What the gateway reports to auth-server, at most once a second: receipts, last uses of API
//! keys, and which keys it would accept.

use std::{
    collections::HashSet,
    sync::PoisonError,
    time::{Duration, Instant},
};

use shared::{
    ids::KeyId,
    internal::{Receipt, Usage},
};

use crate::gateway::Gateway;

/// How often there may be a report.
const REPORT: Duration = Duration::from_secs(1);
/// How often there is one although nothing happened.
const STILL_HERE: Duration = Duration::from_secs(10);

/// Reports until the shutdown.
pub(crate) async fn report(gateway: Gateway) {
    let shutdown = gateway.current().shutdown.clone();
    let mut ticks = tokio::time::interval(REPORT);
    let mut told: Option<(u64, Vec<KeyId>, Instant)> = None;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let app = gateway.current();
        let receipts: HashSet<Receipt> =
            std::mem::take(&mut *app.feed.receipts.lock().unwrap_or_else(PoisonError::into_inner));
        let keys = app.api_keys.take_uses();
        let (key_set_version, kids) = (app.keys.version(), app.keys.ids());
        let is_told = told.as_ref().is_some_and(|(version, ids, at)| {
            *version == key_set_version && *ids == kids && at.elapsed() < STILL_HERE
        });
        if receipts.is_empty() && keys.is_empty() && is_told {
            continue;
        }
        let usage = Usage {
            receipts: receipts.iter().copied().collect(),
            keys: keys.clone(),
            key_set_version,
            kids: kids.clone(),
            verifier: app.name.clone(),
        };
        match app.authority.report(usage).await {
            Ok(()) => told = Some((key_set_version, kids, Instant::now())),
            Err(error) => {
                tracing::warn!(%error, "receipts wait for the next report");
                app.feed.receipts.lock().unwrap_or_else(PoisonError::into_inner).extend(receipts);
                app.api_keys.put_uses(keys);
            }
        }
    }
}
