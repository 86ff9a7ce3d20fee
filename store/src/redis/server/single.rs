//! One server, always at the same address.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
use tokio::time::timeout;

use super::{PIPELINE, RECONNECT_PAUSE};
use crate::{
    StoreError,
    redis::fault::{fault, silent},
};

/// The shared connection to a server; the first use makes it, and the library makes it again.
pub(super) fn manager(
    client: &Client,
    connect_timeout: Duration,
) -> Result<ConnectionManager, StoreError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_max_delay(RECONNECT_PAUSE)
        .set_pipeline_buffer_size(PIPELINE)
        // Every use has a time limit of its own, which also covers the reconnecting.
        .set_response_timeout(None);
    ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(|error| fault(&error))
}

/// A new connection to a server.
pub(super) async fn open(
    client: &Client,
    connect_timeout: Duration,
) -> Result<MultiplexedConnection, StoreError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_timeout))
        .set_pipeline_buffer_size(PIPELINE)
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    timeout(connect_timeout, connecting)
        .await
        .map_err(|_| silent(connect_timeout))?
        .map_err(|error| fault(&error))
}
