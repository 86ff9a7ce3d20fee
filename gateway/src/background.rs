//! What runs beside the requests; every task ends with the shutdown and is waited for.

use std::time::Duration;

use crate::{feed, gateway::Gateway, state::App};

/// How often a gateway says that it shares budgets, and tries again where it could not.
const BEAT: Duration = Duration::from_secs(1);
/// How often the files of backends' credentials are read again.
const CREDENTIALS: Duration = Duration::from_secs(2);
/// How often the issuer's keys are fetched without cause.
const KEYS: Duration = Duration::from_mins(1);
/// How soon they are tried again while there are none.
const KEYS_MISSING: Duration = Duration::from_millis(250);
/// How often limits forget quiet keys.
const SWEEP: Duration = Duration::from_mins(1);

/// Starts every task.
pub(crate) fn start(gateway: &Gateway) {
    let app = gateway.current();
    app.tracker.spawn(feed::follow(gateway.clone()));
    app.tracker.spawn(feed::report(gateway.clone()));
    app.tracker.spawn(keep_issuers(gateway.clone()));
    app.tracker.spawn(keep_keys(gateway.clone()));
    app.tracker.spawn(read_credentials(gateway.clone()));
    app.tracker.spawn(sweep(gateway.clone()));
    if app.limits.bank().is_some() {
        app.tracker.spawn(share_limits(gateway.clone()));
    }
    app.tracker.spawn(write_audit(app.clone()));
    app.backends.start(gateway, &app.tracker);
}

async fn keep_keys(gateway: Gateway) {
    loop {
        let app = gateway.current();
        let loaded = app.keys.refresh(&*app.authority).await;
        let pause = if loaded { KEYS } else { KEYS_MISSING };
        if app.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

async fn write_audit(app: App) {
    if let Err(error) = app.audit.start() {
        tracing::error!(%error, "calls are not recorded: no thread can be started");
        return;
    }
    app.shutdown.cancelled().await;
    app.audit.close().await;
}

async fn read_credentials(gateway: Gateway) {
    let mut ticks = tokio::time::interval(CREDENTIALS);
    let shutdown = gateway.current().shutdown.clone();
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        gateway.current().backends.read_credentials();
    }
}

async fn keep_issuers(gateway: Gateway) {
    let mut ticks = tokio::time::interval(KEYS);
    let shutdown = gateway.current().shutdown.clone();
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        gateway.current().issuers.refresh().await;
    }
}

async fn share_limits(gateway: Gateway) {
    let mut ticks = tokio::time::interval(BEAT);
    let shutdown = gateway.current().shutdown.clone();
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Some(bank) = gateway.current().limits.bank() {
            bank.beat().await;
        }
    }
}

async fn sweep(gateway: Gateway) {
    let mut ticks = tokio::time::interval(SWEEP);
    let shutdown = gateway.current().shutdown.clone();
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        gateway.current().limits.sweep();
    }
}
