//! Reaching the server: the one shared connection, and connections of one's own. What differs
//! between a single server, Sentinel, Cluster and TLS stays in this file.

use std::{
    fmt::{self, Debug},
    future::Future,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
use tokio::time::timeout;

use super::{
    RedisConfig,
    fault::{blames_connection, fault, silent},
};
use crate::StoreError;

/// How many commands may wait for the shared connection.
const PIPELINE: usize = 512;
/// The longest pause between two attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// A server, and the connection all share.
pub(super) struct Server {
    client: Client,
    connect_timeout: Duration,
    /// When the shared connection last answered, in milliseconds after `started`.
    heard: AtomicU64,
    response_timeout: Duration,
    shared: RwLock<Shared>,
    started: Instant,
}

struct Shared {
    manager: ConnectionManager,
    since: Instant,
}

impl Server {
    /// Connects nothing yet: the first use does.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, StoreError> {
        let client = Client::open(config.url.as_str()).map_err(|error| fault(&error))?;
        let started = Instant::now();
        let manager = manager(&client, config.connect_timeout)?;
        Ok(Self {
            client,
            connect_timeout: config.connect_timeout,
            heard: AtomicU64::new(0),
            response_timeout: config.response_timeout,
            shared: RwLock::new(Shared { manager, since: started }),
            started,
        })
    }

    /// The connection all share, for commands that do not block.
    pub(super) fn shared(&self) -> ConnectionManager {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).manager.clone()
    }

    /// A new connection for one user, who may block it.
    pub(super) async fn own(&self) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| silent(self.connect_timeout))?
            .map_err(|error| fault(&error))
    }

    /// Waits for an answer on the shared connection, which also may have to be made again: a
    /// caller is held no longer than the response timeout.
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
                if blames_connection(&error) {
                    self.renew();
                }
                Err(fault(&error))
            }
            Err(_) => {
                self.renew_if_dead();
                Err(silent(self.response_timeout))
            }
        }
    }

    /// A peer that vanished without closing the connection is only noticed by its silence.
    fn renew_if_dead(&self) {
        let heard = self.heard.load(Ordering::Relaxed);
        let patience = u64::try_from(self.response_timeout.as_millis()).unwrap_or(u64::MAX);
        if self.elapsed().saturating_sub(heard) >= patience {
            self.renew();
        }
    }

    /// Makes the shared connection anew, at most once per pause. The library reconnects by
    /// itself only when the old connection broke; it keeps one that leads to the wrong server,
    /// and for ever repeats a refusal it met while connecting.
    fn renew(&self) {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        if shared.since.elapsed() < RECONNECT_PAUSE {
            return;
        }
        match manager(&self.client, self.connect_timeout) {
            Ok(manager) => {
                tracing::warn!("the shared connection to Redis is made anew");
                *shared = Shared { manager, since: Instant::now() };
            }
            Err(error) => tracing::error!(%error, "no new connection to Redis"),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds the credentials.
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

fn manager(client: &Client, connect_timeout: Duration) -> Result<ConnectionManager, StoreError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_max_delay(RECONNECT_PAUSE)
        .set_pipeline_buffer_size(PIPELINE)
        // Every use has a time limit of its own, which also covers the reconnecting.
        .set_response_timeout(None);
    ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(|error| fault(&error))
}
