//! The Redis engine: one script per verb, on one shared connection, or on a connection of its own
//! where the answer must wait until the writes cannot be lost.

mod config;
mod durability;
mod fault;
mod identity;
mod reply;
mod scan;
mod script;
mod server;

use std::{sync::Arc, time::Instant};

pub use self::{
    config::{RedisConfig, Tls, Topology},
    identity::{Role, ServerIdentity},
    reply::Reply,
    script::Script,
};
use self::{
    durability::Durable,
    server::{Server, share_a_slot},
};
use crate::{Observer, StoreError, observer::Observed};

/// A Redis server. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    durable: Durable,
    observed: Observed,
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
        Self::reach(config).await.map_err(remedy)
    }

    async fn reach(config: RedisConfig) -> Result<Self, StoreError> {
        let server = Server::open(&config).await?;
        let durable = Durable::new(&config);
        durable.check(&server).await?;
        let redis = Self(Arc::new(Inner {
            durable,
            observed: Observed::default(),
            prefix: config.prefix,
            server,
        }));
        redis.identities().await?;
        Ok(redis)
    }

    /// Tells of every script from now on: its name, how long it took, whether it answered.
    pub fn observe(&self, observer: Observer) {
        self.0.observed.by(observer);
    }

    /// A string as it is stored, or [`Reply::Nil`].
    pub async fn get(&self, key: &str) -> Result<Reply, StoreError> {
        self.ask("get", "GET", &[key]).await
    }

    /// Several strings in one answer, each as [`get`](Self::get) has it. Where one server has them
    /// all ([`is_one_server`](Self::is_one_server)).
    pub async fn get_all(&self, keys: &[&str]) -> Result<Vec<Reply>, StoreError> {
        self.ask("get_all", "MGET", keys).await?.into_array()
    }

    /// How many members a sorted set has.
    pub async fn count(&self, key: &str) -> Result<Reply, StoreError> {
        self.ask("count", "ZCARD", &[key]).await
    }

    /// Whether one server holds every key, so that one script may reach any of them.
    pub fn is_one_server(&self) -> bool {
        self.0.server.is_one()
    }

    /// Asks something that needs no script.
    async fn ask(
        &self,
        name: &'static str,
        command: &str,
        keys: &[&str],
    ) -> Result<Reply, StoreError> {
        let (server, mut connection) = (&self.0.server, self.0.server.shared());
        let mut question = redis::cmd(command);
        for key in keys {
            question.arg([self.0.prefix.as_str(), key].concat());
        }
        let began = Instant::now();
        let answer = server.answer(question.query_async(&mut connection)).await;
        self.0.observed.tell(name, began, answer.is_ok());
        Reply::from_value(answer?)
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
        let keys = self.keys(script, keys)?;
        let call = script.call(&keys, arguments);
        let began = Instant::now();
        let answer = server.answer(call.invoke_async(&mut connection)).await;
        self.0.observed.tell(script.name(), began, answer.is_ok());
        Reply::from_value(answer?)
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
        let keys = self.keys(script, keys)?;
        let call = script.call(&keys, arguments);
        let first = keys.first().map(String::as_str);
        let began = Instant::now();
        let answer = self.0.durable.run(&self.0.server, first, &call).await;
        self.0.observed.tell(script.name(), began, answer.is_ok());
        Reply::from_value(answer?)
    }

    /// The server's clock, in milliseconds since 1970.
    pub async fn server_time_ms(&self) -> Result<u64, StoreError> {
        let (server, mut connection) = (&self.0.server, self.0.server.shared());
        let question = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) =
            server.answer(question.query_async(&mut connection)).await?;
        Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
    }

    /// Which servers answer, and on which connections: one, or in a Cluster every owner of slots.
    /// Any difference to an earlier answer means that writes may have been lost in between.
    pub async fn identities(&self) -> Result<Vec<ServerIdentity>, StoreError> {
        self.0.server.identities().await
    }

    /// How often the shared connection failed. While it stays, the connection leads to where it
    /// led; the nodes of a Cluster may change without it.
    pub fn faults(&self) -> u64 {
        self.0.server.faults()
    }

    /// The keys as they are stored. All of one call share a slot, on every topology, so that what
    /// works on one server works in a Cluster; scripts across slots have a twin that does.
    fn keys(&self, script: &Script, keys: &[&str]) -> Result<Vec<String>, StoreError> {
        let keys: Vec<String> =
            keys.iter().map(|key| [self.0.prefix.as_str(), key].concat()).collect();
        let may_differ = script.is_across_slots() && self.is_one_server();
        if keys.len() > 1 && !may_differ && !share_a_slot(&keys) {
            let name = script.name();
            return Err(StoreError::Invalid(format!("the keys of {name} are in several slots")));
        }
        Ok(keys)
    }
}

/// What to do about a refusal at the start.
fn remedy(error: StoreError) -> StoreError {
    match error {
        StoreError::Denied(said) if said.contains("NOPERM") || said.contains("permissions") => {
            StoreError::Denied(format!("{said}; allow it to the user with ACL SETUSER"))
        }
        StoreError::Denied(said) => StoreError::Denied(format!(
            "{said}; write the user and password that Redis expects into the URL, \
             redis://user:password@host:port/0"
        )),
        other => other,
    }
}
