//! The Redis engine: one script per verb, on one shared connection, or on a connection of its own
//! where the answer must wait until the writes cannot be lost.

mod durability;
mod fault;
mod identity;
mod reply;
mod script;
mod server;

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use self::{durability::Durable, server::Server};
pub use self::{
    identity::{Role, ServerIdentity},
    reply::Reply,
    script::Script,
};
use crate::StoreError;

/// How to reach and use a Redis server.
#[derive(Clone)]
pub struct RedisConfig {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Stands before every key.
    pub prefix: String,
    /// How many replicas must have a durable write before it is answered.
    pub replicas: u32,
    /// How long one answer may take, reconnecting included.
    pub response_timeout: Duration,
    /// Where the server is, and its credentials.
    pub url: String,
}

impl Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RedisConfig")
            .field("connect_timeout", &self.connect_timeout)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

/// A Redis server. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    durable: Durable,
    prefix: String,
    server: Server,
}

impl Redis {
    /// Connects, and makes sure that the server can keep what it promised: with `WAITAOF` where
    /// it has it, otherwise with `appendfsync always`.
    pub async fn connect(config: RedisConfig) -> Result<Self, StoreError> {
        if config.prefix.contains(['{', '}']) {
            return Err(StoreError::Invalid(
                "the prefix of the keys may not contain braces: they mark what shares a slot"
                    .to_owned(),
            ));
        }
        let server = Server::new(&config)?;
        let durable = Durable::new(&config);
        durable.check(&server).await?;
        let redis = Self(Arc::new(Inner { durable, prefix: config.prefix, server }));
        redis.identity().await?;
        Ok(redis)
    }

    /// Runs a script, all at once and on one slot, and answers without waiting for the disk.
    ///
    /// [`StoreError::Unavailable`] leaves open whether it ran: a verb must be safe to repeat.
    pub async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Reply, StoreError> {
        let (server, mut connection) = (&self.0.server, self.0.server.shared());
        let call = script.call(&self.0.prefix, keys, arguments);
        Reply::from_value(server.answer(call.invoke_async(&mut connection)).await?)
    }

    /// Runs a script and answers when its writes are on the server's disk and on as many
    /// replicas as configured.
    ///
    /// [`StoreError::Unavailable`] leaves open whether it ran, and whether it will last. A
    /// repeated call that finds nothing left to write still waits for the earlier writes.
    pub async fn run_durable(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Reply, StoreError> {
        let call = script.call(&self.0.prefix, keys, arguments);
        Reply::from_value(self.0.durable.run(&self.0.server, &call).await?)
    }

    /// The server's clock, in milliseconds since 1970.
    pub async fn server_time_ms(&self) -> Result<u64, StoreError> {
        let (server, mut connection) = (&self.0.server, self.0.server.shared());
        let question = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) =
            server.answer(question.query_async(&mut connection)).await?;
        Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
    }

    /// Which server answers, and on which connection. Any difference to an earlier answer means
    /// that writes may have been lost in between.
    pub async fn identity(&self) -> Result<ServerIdentity, StoreError> {
        let (server, mut connection) = (&self.0.server, self.0.server.shared());
        let question = ServerIdentity::question();
        let answer = server.answer(question.query_async(&mut connection)).await?;
        ServerIdentity::read(&answer)
    }
}
