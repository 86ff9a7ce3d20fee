//! Answers that wait until what was written cannot be lost: on the server's disk, and on as many
//! replicas as configured. The waiting commands block a connection, so each use has its own; where
//! nothing has to be waited for, the connection that all share will do.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    ErrorKind, RedisResult, ScriptInvocation, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    RedisConfig,
    fault::{fault, silent},
    server::{Place, Server},
};
use crate::StoreError;

/// How many durable writes may be under way at once.
const CONNECTIONS: usize = 8;
/// No number of faults.
const NEVER: u64 = u64::MAX;
/// A connection that worked so lately is not asked whether it still works, unless the one that
/// all share has failed since.
const FRESH: Duration = Duration::from_millis(500);

/// The connections for durable writes.
pub(super) struct Durable {
    /// How often the shared connection had failed when it was found to lead to a server that puts
    /// every write on its disk before it answers.
    always: AtomicU64,
    /// By the server they lead to.
    idle: Mutex<HashMap<String, Vec<Line>>>,
    permits: Semaphore,
    prefix: String,
    replicas: u32,
    response_timeout: Duration,
}

/// A connection, and how its server puts writes on its disk.
struct Line {
    connection: MultiplexedConnection,
    disk: Disk,
    /// How often the connection that all share had failed when this one was used.
    faults: u64,
    used: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// Before every answer (`appendfsync always`).
    Always,
    /// Sometime: `WAITAOF` tells when.
    WaitFor,
}

impl Durable {
    pub(super) fn new(config: &RedisConfig) -> Self {
        Self {
            always: AtomicU64::new(NEVER),
            idle: Mutex::default(),
            permits: Semaphore::new(CONNECTIONS),
            prefix: config.prefix.clone(),
            replicas: config.replicas,
            response_timeout: config.response_timeout,
        }
    }

    /// Makes sure that the servers can promise what is asked of them.
    pub(super) async fn check(&self, server: &Server) -> Result<(), StoreError> {
        for place in server.places().await? {
            let line = self.open(server, &place).await?;
            self.put_back(server, &place, line);
        }
        Ok(())
    }

    /// Runs a script and waits for the disk and the replicas.
    pub(super) async fn run(
        &self,
        server: &Server,
        key: Option<&str>,
        call: &ScriptInvocation<'_>,
    ) -> Result<Value, StoreError> {
        if self.always.load(Ordering::SeqCst) == server.faults() {
            return server.answer(call.invoke_async(&mut server.shared())).await;
        }
        let permit = timeout(self.response_timeout, self.permits.acquire()).await;
        let _permit = permit
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Unavailable("the store is being closed".to_owned()))?;
        match self.run_at(&server.place(key).await?, server, call).await {
            // It did not run: somebody else owns the slot now.
            Err(Failure { error, moved: true }) => {
                server.forget_places();
                let place = server.place(key).await.map_err(|_| error)?;
                self.run_at(&place, server, call).await.map_err(|failure| failure.error)
            }
            other => other.map_err(|failure| failure.error),
        }
    }

    async fn run_at(
        &self,
        place: &Place,
        server: &Server,
        call: &ScriptInvocation<'_>,
    ) -> Result<Value, Failure> {
        // A line is put back only after everything went well: one that was left in the middle of
        // an answer must not be used again.
        let taken = self.take(server, place).await;
        let done = match taken {
            Ok(mut line) => match self.run_on(&mut line, place, call).await {
                Ok(value) => {
                    self.consider_shared(server, line.disk).await;
                    self.put_back(server, place, line);
                    return Ok(value);
                }
                Err(failure) => failure,
            },
            Err(error) => error.into(),
        };
        if matches!(done.error, StoreError::Unavailable(_)) {
            // The others lead to the same server, which may be another one's replica by now.
            self.forget(place);
            server.forget_places();
        }
        Err(done)
    }

    async fn run_on(
        &self,
        line: &mut Line,
        place: &Place,
        call: &ScriptInvocation<'_>,
    ) -> Result<Value, Failure> {
        let value = timeout(self.response_timeout, call.invoke_async(&mut line.connection))
            .await
            .map_err(|_| silent(self.response_timeout))?
            .map_err(|error| Failure {
                moved: error.kind() == ErrorKind::Server(ServerErrorKind::Moved),
                error: fault(&error),
            })?;
        timeout(self.response_timeout, self.settle(line, place))
            .await
            .map_err(|_| unacknowledged("no answer in time"))?
            .map_err(|error| unacknowledged(&error.to_string()))?
            .map_err(|why| unacknowledged(&why))?;
        Ok(value)
    }

    /// Waits until nothing that was written so far can be lost; the inner error tells what is
    /// missing.
    async fn settle(&self, line: &mut Line, place: &Place) -> RedisResult<Result<(), String>> {
        if line.disk == Disk::Always && self.replicas == 0 {
            return Ok(Ok(()));
        }
        // The waiting commands wait for the last write of their connection. Without a write of
        // our own, a repeated call that finds its work done would be answered before the first
        // one's writes are safe.
        let mark = [&self.prefix, &place.tag, "durable"].concat();
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(mark).arg("1").ignore();
        let limit = self.response_timeout.as_millis().max(1).to_string();
        pipeline.cmd("WAIT").arg(self.replicas).arg(&limit);
        let (replicas,): (u32,) = pipeline.query_async(&mut line.connection).await?;
        if replicas < self.replicas {
            return Ok(Err(format!("{replicas} of {} replicas have it", self.replicas)));
        }
        if line.disk == Disk::WaitFor {
            // Not in the same pipeline: asked after the write was answered, a server that syncs
            // every write answers at once instead of at its next tick.
            let mut question = redis::cmd("WAITAOF");
            question.arg(1).arg(0).arg(&limit);
            let (local, _): (u32, u32) = question.query_async(&mut line.connection).await?;
            if local < 1 {
                return Ok(Err("the server does not have it on its disk".to_owned()));
            }
        }
        Ok(Ok(()))
    }

    /// Finds out whether the next calls may take the connection that all share.
    async fn consider_shared(&self, server: &Server, disk: Disk) {
        let faults = server.faults();
        if disk == Disk::Always
            && self.replicas == 0
            && server.is_one()
            && self.always.load(Ordering::SeqCst) != faults
            // It may lead to another server.
            && self.check_always(&mut server.shared()).await.is_ok()
        {
            self.always.store(faults, Ordering::SeqCst);
        }
    }

    /// An idle connection that still works, or a new one.
    async fn take(&self, server: &Server, place: &Place) -> Result<Line, StoreError> {
        let idle = self.idle().get_mut(&place.name()).and_then(Vec::pop);
        if let Some(mut line) = idle {
            if line.used.elapsed() < FRESH && line.faults == server.faults() {
                return Ok(line);
            }
            let ping = redis::cmd("PING");
            if self.answer(ping.query_async::<Value>(&mut line.connection)).await.is_ok() {
                return Ok(line);
            }
            self.forget(place);
        }
        self.open(server, place).await
    }

    async fn open(&self, server: &Server, place: &Place) -> Result<Line, StoreError> {
        let mut connection = server.own(place).await?;
        let disk = self.disk(&mut connection).await?;
        Ok(Line { connection, disk, faults: server.faults(), used: Instant::now() })
    }

    /// How the server writes to its disk; asked on every new connection, for the server may be
    /// another one.
    async fn disk(&self, connection: &mut MultiplexedConnection) -> Result<Disk, StoreError> {
        let mut probe = redis::cmd("WAITAOF");
        probe.arg(1).arg(0).arg(1);
        let asked: RedisResult<Value> =
            timeout(self.response_timeout, probe.query_async(connection))
                .await
                .map_err(|_| silent(self.response_timeout))?;
        let Err(error) = asked else { return Ok(Disk::WaitFor) };
        let said = error.to_string();
        if said.contains("appendonly is disabled") {
            let remedy = "the server writes nothing to its disk; set `appendonly yes`";
            return Err(StoreError::Invalid(remedy.to_owned()));
        }
        if said.contains("replica instances") {
            return Err(StoreError::Unavailable("the server is a replica".to_owned()));
        }
        if !said.contains("unknown command") {
            return Err(fault(&error));
        }
        self.check_always(connection).await?;
        Ok(Disk::Always)
    }

    async fn check_always(&self, connection: &mut impl ConnectionLike) -> Result<(), StoreError> {
        let settings =
            [("appendonly", "yes"), ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "no")];
        for (name, wanted) in settings {
            let mut question = redis::cmd("CONFIG");
            question.arg("GET").arg(name);
            let found: Vec<String> = self.answer(question.query_async(connection)).await?;
            if found.get(1).is_none_or(|found| found != wanted) {
                return Err(StoreError::Invalid(format!(
                    "the server may lose writes it has answered; set `{name} {wanted}`, or use \
                     Redis 7.2 or later with `appendonly yes`"
                )));
            }
        }
        Ok(())
    }

    async fn answer<T>(
        &self,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        timeout(self.response_timeout, asked)
            .await
            .map_err(|_| silent(self.response_timeout))?
            .map_err(|error| fault(&error))
    }

    fn put_back(&self, server: &Server, place: &Place, line: Line) {
        let line = Line { faults: server.faults(), used: Instant::now(), ..line };
        self.idle().entry(place.name()).or_default().push(line);
    }

    fn forget(&self, place: &Place) {
        self.idle().remove(&place.name());
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<String, Vec<Line>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a durable call failed.
struct Failure {
    error: StoreError,
    /// Nothing ran, because another node owns the slot.
    moved: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, moved: false }
    }
}

impl Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

fn unacknowledged(why: &str) -> StoreError {
    StoreError::Unavailable(format!("the write was not acknowledged: {why}"))
}
