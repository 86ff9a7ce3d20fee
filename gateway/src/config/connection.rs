//! How a backend is reached: how many connections, how long they may take, and what happens when it
//! fails.

use std::time::Duration;

use serde::Deserialize;
use shared::problem::Problem;

use crate::backends::{BreakerLimits, PoolLimits};

/// The longest times that an operator may choose.
const LONGEST_PAUSE: u64 = 300;
const MOST_RETRIES: u32 = 3;

/// A `[backend.connection]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConnection {
    /// After how many failures in a row nothing is sent to it for a while. 0: never.
    pub breaker_failures: u32,
    /// For how long, in seconds; twice as long each time that one request finds it still failing.
    pub breaker_seconds: u64,
    /// How long an unused connection is kept, in seconds.
    pub idle_seconds: u64,
    /// How many calls may be under way, each on a connection of its own.
    pub most_calls: usize,
    /// How many unused connections are kept.
    pub most_idle: usize,
    /// How often a call is sent again that may be repeated, or of which nothing was sent.
    pub retries: u32,
    /// How long a whole answer may take, in milliseconds, streams included. Default: as long as
    /// it goes on.
    pub whole_timeout_ms: Option<u64>,
}

impl Default for RawConnection {
    fn default() -> Self {
        Self {
            breaker_failures: 5,
            breaker_seconds: 5,
            idle_seconds: 30,
            most_calls: 2048,
            most_idle: 256,
            retries: 1,
            whole_timeout_ms: None,
        }
    }
}

/// How a backend is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) breaker: BreakerLimits,
    pub(crate) pool: PoolLimits,
    pub(crate) retries: u32,
    /// How long a whole answer may take.
    pub(crate) whole: Option<Duration>,
}

/// The table of the backend at this place, with how long a connection may take to open.
pub(super) fn connection(
    raw: &RawConnection,
    connect: Duration,
    at: usize,
    problems: &mut Vec<Problem>,
) -> Connection {
    let mut problem = |key: &str, what: &str, remedy: &str| {
        problems.push(Problem::new(format!("backend[{at}].connection.{key}"), what, remedy));
    };
    if !(1..=LONGEST_PAUSE).contains(&raw.breaker_seconds) {
        let what = "is no pause after which anybody would ask again";
        problem("breaker_seconds", what, "write seconds up to five minutes");
    }
    if raw.most_calls == 0 || raw.most_calls > 1 << 20 {
        problem("most_calls", "lets no call through, or any number", "write a number such as 2048");
    }
    if raw.retries > MOST_RETRIES {
        problem("retries", "would be a flood of its own", "write 0 to 3");
    }
    if raw.whole_timeout_ms == Some(0) {
        problem("whole_timeout_ms", "leaves no time at all", "write milliseconds, or nothing");
    }
    Connection {
        breaker: BreakerLimits {
            failures: raw.breaker_failures,
            pause: Duration::from_secs(raw.breaker_seconds),
        },
        pool: PoolLimits {
            connect,
            idle: Duration::from_secs(raw.idle_seconds),
            most: raw.most_calls.max(1),
            most_idle: raw.most_idle,
        },
        retries: raw.retries,
        whole: raw.whole_timeout_ms.map(Duration::from_millis),
    }
}
