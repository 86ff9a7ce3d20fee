//! Reaching the server: the one shared connection, and connections of one's own. What differs
//! between a single server, Sentinel, Cluster and TLS stays in this folder.

mod cluster;
mod sentinel;
mod shared;
mod single;

use std::{
    fmt::{self, Debug},
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{Client, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::timeout};

pub(super) use self::cluster::share_a_slot;
use self::{
    cluster::{Cluster, tag_of},
    sentinel::Sentinels,
    shared::Shared,
};
use super::{
    RedisConfig,
    config::Topology,
    fault::{blames_connection, fault, silent},
    identity::ServerIdentity,
};
use crate::StoreError;

/// How many commands may wait for the shared connection.
const PIPELINE: usize = 512;
/// The longest pause between two attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// The servers, and the connection all share.
pub(super) struct Server {
    connect_timeout: Duration,
    /// How often the shared connection failed.
    faults: AtomicU64,
    /// When the shared connection last answered, in milliseconds after `started`.
    heard: AtomicU64,
    /// One caller makes the shared connection anew, the others do not wait for it.
    renewing: Mutex<()>,
    response_timeout: Duration,
    shared: RwLock<(Shared, Instant)>,
    started: Instant,
    topology: Reached,
}

enum Reached {
    Cluster(Box<Cluster>),
    Sentinel(Sentinels),
    Single(Client),
}

/// Where a durable call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The node of a Cluster that owns the slot.
    node: Option<Arc<cluster::Node>>,
    /// Stands before a key to put it into the same slot.
    pub(super) tag: String,
}

impl Place {
    /// Which server it is, as a name for its connections.
    pub(super) fn name(&self) -> String {
        self.node.as_ref().map(|node| format!("{}:{}", node.host, node.port)).unwrap_or_default()
    }
}

impl Server {
    /// Finds the servers. A single one is connected by the first use.
    pub(super) async fn open(config: &RedisConfig) -> Result<Self, StoreError> {
        let (connect, tls) = (config.connect_timeout, &config.tls);
        let topology = match &config.topology {
            Topology::Cluster { seeds } => Reached::Cluster(Box::new(Cluster::new(
                seeds,
                tls,
                connect,
                config.response_timeout,
            )?)),
            Topology::Sentinel { primary, sentinels } => {
                Reached::Sentinel(Sentinels::new(primary, sentinels, tls, connect)?)
            }
            Topology::Single { url } => Reached::Single(tls.client(url)?),
        };
        let started = Instant::now();
        let shared = topology.connect(connect).await?;
        Ok(Self {
            connect_timeout: connect,
            faults: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            renewing: Mutex::new(()),
            response_timeout: config.response_timeout,
            shared: RwLock::new((shared, started)),
            started,
            topology,
        })
    }

    /// The connection all share, for commands that do not block.
    pub(super) fn shared(&self) -> Shared {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// How often the shared connection failed: as long as this stays, it leads where it led.
    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    /// How long one answer may take.
    pub(super) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Whether one server has every key.
    pub(super) fn is_one(&self) -> bool {
        !matches!(self.topology, Reached::Cluster(_))
    }

    /// Where a key's durable calls go.
    pub(super) async fn place(&self, key: Option<&str>) -> Result<Place, StoreError> {
        let (Reached::Cluster(cluster), Shared::Cluster(mut connection), Some(key)) =
            (&self.topology, self.shared(), key)
        else {
            return Ok(Place { node: None, tag: String::new() });
        };
        let found = cluster.owner(key, &mut connection).await;
        let node = Some(found?);
        Ok(Place { node, tag: format!("{{{}}}:", tag_of(key)) })
    }

    /// Where durable calls may go.
    pub(super) async fn places(&self) -> Result<Vec<Place>, StoreError> {
        let (Reached::Cluster(cluster), Shared::Cluster(mut connection)) =
            (&self.topology, self.shared())
        else {
            return Ok(vec![self.place(None).await?]);
        };
        let nodes = cluster.nodes(&mut connection).await?;
        let place = |node| Place { node: Some(Arc::new(node)), tag: String::new() };
        Ok(nodes.into_iter().map(place).collect())
    }

    /// Somebody does not own what we thought, or does not answer.
    pub(super) fn forget_places(&self) {
        if let Reached::Cluster(cluster) = &self.topology {
            cluster.forget_owners();
        }
    }

    /// A new connection for one user, who may block it.
    pub(super) async fn own(&self, place: &Place) -> Result<MultiplexedConnection, StoreError> {
        let connect = self.connect_timeout;
        match (&self.topology, &place.node) {
            (Reached::Cluster(cluster), Some(node)) => {
                single::open(&cluster.client_of(node)?, connect).await
            }
            (Reached::Cluster(_), None) => Err(StoreError::Invalid(
                "a durable call to a Cluster names the key it is about".to_owned(),
            )),
            (Reached::Sentinel(sentinels), _) => sentinels.open().await,
            (Reached::Single(client), _) => single::open(client, connect).await,
        }
    }

    /// Who answers: every owner of slots, in the order of the slots.
    pub(super) async fn identities(&self) -> Result<Vec<ServerIdentity>, StoreError> {
        match (&self.topology, self.shared()) {
            (Reached::Cluster(cluster), Shared::Cluster(mut connection)) => {
                let nodes = cluster.nodes(&mut connection).await?;
                let info = Cluster::ask_all(&mut connection, redis::cmd("INFO"));
                let info = self.answer(info).await?;
                let mut number = redis::cmd("CLIENT");
                number.arg("ID");
                let numbers = self.answer(Cluster::ask_all(&mut connection, number)).await?;
                let unheard =
                    || StoreError::Unavailable("not every node of the Cluster answers".to_owned());
                let mut identities = Vec::with_capacity(nodes.len());
                for node in nodes {
                    let name = format!("{}:{}", node.host, node.port);
                    let (Some(Value::BulkString(info)), Some(Value::Int(number))) =
                        (info.get(&name), numbers.get(&name))
                    else {
                        // The library may still think of nodes that are gone.
                        self.renew().await;
                        return Err(unheard());
                    };
                    let info = String::from_utf8_lossy(info);
                    identities.push(ServerIdentity::read(&info, *number, node.slots)?);
                }
                identities.sort_by(|one, other| one.slots.cmp(&other.slots));
                Ok(identities)
            }
            (_, mut connection) => {
                let question = ServerIdentity::question();
                let asked = question.query_async::<(String, String, i64)>(&mut connection);
                let (server, replication, number) = self.answer(asked).await?;
                let info = [server, replication].join("\n");
                Ok(vec![ServerIdentity::read(&info, number, Vec::new())?])
            }
        }
    }

    /// Waits for an answer on the shared connection, which also may have to be made again: a
    /// caller is held no longer than the response timeout, and once in a while as long as
    /// connecting takes.
    pub(super) async fn answer<T>(
        &self,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match timeout(self.response_timeout, asked).await {
            Ok(Ok(value)) => {
                self.heard.store(self.elapsed(), Ordering::Relaxed);
                Ok(value)
            }
            Ok(Err(error)) => {
                // A single server is looked for by the library, the nodes of a Cluster too; the
                // primary of Sentinel may be elsewhere now.
                let lost = error.is_io_error() || error.is_unrecoverable_error();
                if lost || blames_connection(&error) || error.is_cluster_error() {
                    self.faults.fetch_add(1, Ordering::SeqCst);
                }
                if blames_connection(&error)
                    || (lost && matches!(self.topology, Reached::Sentinel(_)))
                {
                    self.renew().await;
                } else if lost {
                    self.renew_if_dead().await;
                }
                Err(fault(&error))
            }
            Err(_) => {
                self.faults.fetch_add(1, Ordering::SeqCst);
                self.renew_if_dead().await;
                Err(silent(self.response_timeout))
            }
        }
    }

    /// A peer that vanished without closing the connection is only noticed by its silence.
    async fn renew_if_dead(&self) {
        let heard = self.heard.load(Ordering::Relaxed);
        let patience = u64::try_from(self.response_timeout.as_millis()).unwrap_or(u64::MAX);
        if self.elapsed().saturating_sub(heard) >= patience {
            self.renew().await;
        }
    }

    /// Makes the shared connection anew, at most once per pause. The library reconnects by
    /// itself only when the old connection broke; it keeps one that leads to the wrong server,
    /// and for ever repeats a refusal it met while connecting.
    async fn renew(&self) {
        let Ok(_alone) = self.renewing.try_lock() else { return };
        let since = self.shared.read().unwrap_or_else(PoisonError::into_inner).1;
        if since.elapsed() < RECONNECT_PAUSE {
            return;
        }
        let connected = self.topology.connect(self.connect_timeout).await;
        self.forget_places();
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        shared.1 = Instant::now();
        match connected {
            Ok(connection) => {
                tracing::warn!("the shared connection to Redis is made anew");
                shared.0 = connection;
                self.faults.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => tracing::error!(%error, "no new connection to Redis"),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Reached {
    /// A new shared connection.
    async fn connect(&self, limit: Duration) -> Result<Shared, StoreError> {
        Ok(match self {
            Self::Cluster(cluster) => Shared::Cluster(cluster.connect().await?),
            Self::Sentinel(sentinels) => Shared::Primary(
                // Several sentinels and a server may be asked.
                timeout(limit * 3, sentinels.open()).await.map_err(|_| silent(limit * 3))??,
            ),
            Self::Single(client) => Shared::Single(single::manager(client, limit)?),
        })
    }
}

impl Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the credentials.
        f.debug_struct("Server").finish_non_exhaustive()
    }
}
