//! Where gateways share their budgets: Redis, one script a charge, and what is known of it while
//! it is away.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use store::{Redis, Script, StoreError};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use web::limits::Budget;

/// How long a call waits for a charge before its gateway goes by its own share.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a heartbeat may take.
const BEAT: Duration = Duration::from_secs(2);
/// How long a gateway counts after its last heartbeat.
const LIVES: Duration = Duration::from_secs(5);

static CHARGE: Script = Script::new("charge", include_str!("charge.lua"));
static LIVE: Script = Script::new("beat", include_str!("beat.lua"));

/// The shared budgets.
#[derive(Debug)]
pub(crate) struct Bank {
    away: AtomicBool,
    charges: AtomicU64,
    gateways: AtomicU32,
    /// What this process is called.
    name: String,
    redis: Redis,
    pub(super) tasks: TaskTracker,
}

/// What a charge brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    pub(super) left: u32,
    pub(super) taken: u32,
    /// Until there is one more, if none is left.
    pub(super) wait: Duration,
}

impl Bank {
    pub(crate) fn new(redis: Redis, name: String, tasks: TaskTracker) -> Self {
        Self {
            away: AtomicBool::new(false),
            charges: AtomicU64::new(0),
            gateways: AtomicU32::new(1),
            name,
            redis,
            tasks,
        }
    }

    /// Whether this gateway goes by its own share.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// How many gateways share the budgets, this one included, as far as is known.
    pub(crate) fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed).max(1)
    }

    /// How often Redis was charged.
    pub(crate) fn charges(&self) -> u64 {
        self.charges.load(Ordering::Relaxed)
    }

    /// Says that this gateway lives, and learns how many others do.
    pub(crate) async fn beat(&self) {
        let lives = LIVES.as_micros().to_string();
        let arguments = [self.name.as_bytes(), lives.as_bytes()];
        let beat = self.redis.run(&LIVE, &["limits/gateways"], &arguments);
        let outcome = match timeout(BEAT, beat).await {
            Ok(reply) => reply.and_then(|reply| reply.as_int()),
            Err(_) => Err(StoreError::Unavailable("it does not answer in time".to_owned())),
        };
        match outcome {
            Ok(count) => {
                self.gateways.store(u32::try_from(count).unwrap_or(1), Ordering::Relaxed);
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("budgets are shared with the other gateways again");
                }
            }
            Err(error) => self.lose(&error),
        }
    }

    /// Takes up to so many requests from a key's budget. `None`: Redis is away.
    pub(super) async fn charge(&self, key: &str, budget: Budget, wanted: u32) -> Option<Charged> {
        self.charges.fetch_add(1, Ordering::Relaxed);
        let step = (60_000_000.0 / f64::from(budget.per_minute.max(1))).to_string();
        let (burst, wanted) = (budget.burst.max(1).to_string(), wanted.to_string());
        let arguments = [step.as_bytes(), burst.as_bytes(), wanted.as_bytes()];
        let outcome = match timeout(PATIENCE, self.redis.run(&CHARGE, &[key], &arguments)).await {
            Ok(reply) => reply.and_then(|reply| {
                let numbers = reply.into_array()?;
                let number = |at: usize| {
                    let number = numbers.get(at).map_or(Ok(0), store::Reply::as_int)?;
                    Ok::<_, StoreError>(u64::try_from(number).unwrap_or_default())
                };
                let small =
                    |at| Ok::<_, StoreError>(u32::try_from(number(at)?).unwrap_or(u32::MAX));
                let wait = Duration::from_micros(number(2)?);
                Ok(Charged { left: small(1)?, taken: small(0)?, wait })
            }),
            Err(_) => Err(StoreError::Unavailable("it does not answer in time".to_owned())),
        };
        outcome.map_err(|error| self.lose(&error)).ok()
    }

    fn lose(&self, error: &StoreError) {
        if !self.away.swap(true, Ordering::Relaxed) {
            let gateways = self.gateways();
            tracing::warn!(%error, gateways, "budgets are not shared; this gateway goes by its part");
        }
    }
}
