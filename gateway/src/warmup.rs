//! The first moments after a start: a request waits until keys, revocations and catalogues are
//! known once, so that a restart between two calls of a client is not noticed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{config::Route, rules::silence::Standing, state::App, surface};

/// How often it is looked again.
const STEP: Duration = Duration::from_millis(10);
/// How many times at most: three seconds.
const STEPS: usize = 300;

/// Whether everything was known once. What is lost later is answered at once.
#[derive(Debug, Default)]
pub(crate) struct Warmup(AtomicBool);

/// Waits for the first readiness, but not for ever.
pub(crate) async fn wait(app: &App, route: &Route) {
    for _ in 0..STEPS {
        if app.warmup.0.load(Ordering::Relaxed) {
            return;
        }
        let surface = surface::current(app, route).is_some();
        if surface && app.keys.is_loaded() && app.feed.standing() == Standing::Current {
            app.warmup.0.store(true, Ordering::Relaxed);
            return;
        }
        tokio::time::sleep(STEP).await;
    }
    app.warmup.0.store(true, Ordering::Relaxed);
}
