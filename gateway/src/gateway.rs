//! The gateway as a process runs it: the configuration in use, and the change to another one.
//!
//! Invariant: a request sees the configuration that was in use when it came, from its start to its
//! end; a change drops neither calls nor streams.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use shared::{problem::Problem, time::Timestamp};
use tokio::time::sleep;

use crate::{
    background,
    config::Config,
    entrance::Endpoints,
    routes::{self, Host},
    state::{App, AppParts},
};

/// How long a change waits for the catalogues of backends that are new.
const CATALOGUES: Duration = Duration::from_secs(5);
/// How often it looks whether they are known.
const STEP: Duration = Duration::from_millis(10);

/// The gateway at work; cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    current: ArcSwap<Generation>,
    last: ArcSwapOption<LastReload>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
    version: AtomicU64,
}

/// One configuration, with what was made of it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) app: App,
    pub(crate) digest: String,
    pub(crate) endpoints: Endpoints,
    pub(crate) hosts: HashMap<String, Host>,
    pub(crate) version: u64,
}

/// How the last change of the configuration went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastReload {
    pub(crate) at: Timestamp,
    pub(crate) is_applied: bool,
}

/// A configuration that came into use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Backends that did not answer yet; what they offer appears when they do.
    pub unread: Vec<String>,
    /// How many configurations there were since the start, this one included.
    pub version: u64,
}

impl Gateway {
    /// Puts the gateway together; nothing runs yet.
    pub fn new(parts: AppParts) -> Self {
        let digest = parts.digest.clone();
        let generation = Generation::of(App::new(parts), digest, 1);
        Self(Arc::new(Inner {
            current: ArcSwap::from_pointee(generation),
            last: ArcSwapOption::empty(),
            turn: tokio::sync::Mutex::new(()),
            version: AtomicU64::new(1),
        }))
    }

    /// Starts what runs in the background: the feed, the keys, the catalogues, the sweep.
    pub fn start(&self) {
        background::start(self);
    }

    /// What cannot be changed from the configuration in use to this one while the gateway runs.
    pub fn needs_restart(&self, config: &Config) -> Vec<Problem> {
        self.current().config.needs_restart(config)
    }

    /// Changes to another configuration, whose text is known by `digest`: requests that come
    /// afterwards see it. Nothing is changed where something of it needs a restart.
    pub async fn reload(&self, config: Config, digest: String) -> Result<Applied, Vec<Problem>> {
        let _turn = self.0.turn.lock().await;
        let held = self.current();
        let problems = held.config.needs_restart(&config);
        if !problems.is_empty() {
            return Err(problems);
        }
        let app = held.renewed(config);
        app.backends.start(self, &app.tracker);
        let read = async {
            while !app.backends.unread().is_empty() {
                sleep(STEP).await;
            }
        };
        // A backend that is away must not keep an operator from changing anything.
        let _in_time = tokio::time::timeout(CATALOGUES, read).await;
        let unread = app.backends.unread().into_iter().map(str::to_owned).collect();
        for gone in held.backends.without(&app.backends) {
            app.tracker.spawn(gone.retire());
        }
        let version = self.0.version.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.note(true, &app);
        self.0.current.store(Arc::new(Generation::of(app, digest, version)));
        Ok(Applied { unread, version })
    }

    /// Takes note of a configuration that was refused.
    pub fn note_refused(&self) {
        self.note(false, &self.current());
    }

    /// The gateway under the configuration in use.
    pub(crate) fn current(&self) -> App {
        self.0.current.load().app.clone()
    }

    /// The configuration in use, with what was made of it.
    pub(crate) fn generation(&self) -> arc_swap::Guard<Arc<Generation>> {
        self.0.current.load()
    }

    /// How the last change went, if there was one.
    pub(crate) fn last_reload(&self) -> Option<LastReload> {
        self.0.last.load().as_deref().copied()
    }

    fn note(&self, is_applied: bool, app: &App) {
        app.metrics.reloaded(is_applied);
        self.0.last.store(Some(Arc::new(LastReload { at: app.clock.now(), is_applied })));
    }
}

impl Generation {
    fn of(app: App, digest: String, version: u64) -> Self {
        let endpoints = Endpoints::of(&app.config.routes);
        Self { endpoints, hosts: routes::hosts(&app), app, digest, version }
    }
}
