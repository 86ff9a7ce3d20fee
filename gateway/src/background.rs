//! What runs beside the requests; every task ends with the shutdown and is waited for.

use std::time::Duration;

use crate::{backends::Backends, feed, state::App};

/// How often a gateway says that it shares budgets, and tries again where it could not.
const BEAT: Duration = Duration::from_secs(1);
/// How often the issuer's keys are fetched without cause.
const KEYS: Duration = Duration::from_mins(1);
/// How soon they are tried again while there are none.
const KEYS_MISSING: Duration = Duration::from_millis(250);
/// How often limits forget quiet keys.
const SWEEP: Duration = Duration::from_mins(1);

/// Starts every task.
pub(crate) fn start(app: &App) {
    app.tracker.spawn(feed::follow(app.clone()));
    app.tracker.spawn(feed::report(app.clone()));
    app.tracker.spawn(keep_keys(app.clone()));
    app.tracker.spawn(sweep(app.clone()));
    if app.limits.bank().is_some() {
        app.tracker.spawn(share_limits(app.clone()));
    }
    app.tracker.spawn(write_audit(app.clone()));
    Backends::start(app, &app.tracker, &app.shutdown);
}

async fn keep_keys(app: App) {
    loop {
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

async fn share_limits(app: App) {
    let mut ticks = tokio::time::interval(BEAT);
    while app.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Some(bank) = app.limits.bank() {
            bank.beat().await;
        }
    }
}

async fn sweep(app: App) {
    let mut ticks = tokio::time::interval(SWEEP);
    while app.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        app.limits.sweep();
    }
}
