//! Answers that wait until what was written cannot be lost: on the server's disk, and on as many
//! replicas as configured. The waiting commands block a connection, so each use has its own.

use std::{
    fmt::{self, Debug},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{RedisResult, ScriptInvocation, Value, aio::MultiplexedConnection};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    RedisConfig,
    fault::{fault, silent},
    server::Server,
};
use crate::StoreError;

/// How many durable writes may be under way at once.
const CONNECTIONS: usize = 8;

/// The connections for durable writes.
pub(super) struct Durable {
    idle: Mutex<Vec<Line>>,
    mark: String,
    permits: Semaphore,
    replicas: u32,
    response_timeout: Duration,
}

/// A connection, and how its server puts writes on its disk.
struct Line {
    connection: MultiplexedConnection,
    disk: Disk,
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
            idle: Mutex::default(),
            mark: [&config.prefix, "durable"].concat(),
            permits: Semaphore::new(CONNECTIONS),
            replicas: config.replicas,
            response_timeout: config.response_timeout,
        }
    }

    /// Makes sure that the server can promise what is asked of it.
    pub(super) async fn check(&self, server: &Server) -> Result<(), StoreError> {
        let line = self.open(server).await?;
        self.put_back(line);
        Ok(())
    }

    /// Runs a script and waits for the disk and the replicas.
    pub(super) async fn run(
        &self,
        server: &Server,
        call: &ScriptInvocation<'_>,
    ) -> Result<Value, StoreError> {
        let permit = timeout(self.response_timeout, self.permits.acquire()).await;
        let _permit = permit
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Unavailable("the store is being closed".to_owned()))?;
        // A line is put back only after everything went well: one that was left in the middle of
        // an answer must not be used again.
        let mut line = self.take(server).await?;
        let done = self.run_on(&mut line, call).await;
        match &done {
            Ok(_) => self.put_back(line),
            // The others lead to the same server.
            Err(StoreError::Unavailable(_)) => self.idle().clear(),
            Err(_) => {}
        }
        done
    }

    async fn run_on(
        &self,
        line: &mut Line,
        call: &ScriptInvocation<'_>,
    ) -> Result<Value, StoreError> {
        let value = self.answer(call.invoke_async(&mut line.connection)).await?;
        timeout(self.response_timeout, self.settle(line))
            .await
            .map_err(|_| unacknowledged("no answer in time"))?
            .map_err(|error| unacknowledged(&error.to_string()))?
            .map_err(|why| unacknowledged(&why))?;
        Ok(value)
    }

    /// Waits until nothing that was written so far can be lost; the inner error tells what is
    /// missing.
    async fn settle(&self, line: &mut Line) -> RedisResult<Result<(), String>> {
        if line.disk == Disk::Always && self.replicas == 0 {
            return Ok(Ok(()));
        }
        // The waiting commands wait for the last write of their connection. Without a write of
        // our own, a repeated call that finds its work done would be answered before the first
        // one's writes are safe.
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(&self.mark).arg("1").ignore();
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

    /// An idle connection that still works, or a new one.
    async fn take(&self, server: &Server) -> Result<Line, StoreError> {
        let idle = self.idle().pop();
        if let Some(mut line) = idle {
            let ping = redis::cmd("PING");
            if self.answer(ping.query_async::<Value>(&mut line.connection)).await.is_ok() {
                return Ok(line);
            }
            self.idle().clear();
        }
        self.open(server).await
    }

    async fn open(&self, server: &Server) -> Result<Line, StoreError> {
        let mut connection = server.own().await?;
        let disk = self.disk(&mut connection).await?;
        Ok(Line { connection, disk })
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

    async fn check_always(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
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

    fn put_back(&self, line: Line) {
        self.idle().push(line);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
