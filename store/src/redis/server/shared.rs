//! The shared connection, whatever it leads to.

use redis::{
    Cmd, Pipeline, RedisFuture, Value,
    aio::{ConnectionLike, ConnectionManager, MultiplexedConnection},
    cluster_async::ClusterConnection,
};

/// A connection that many use at once. Clones are the same connection.
#[derive(Clone)]
pub(crate) enum Shared {
    /// To every node of a Cluster.
    Cluster(ClusterConnection),
    /// To the primary that sentinels named. It is not made again by itself, for by then another
    /// server may be the primary.
    Primary(MultiplexedConnection),
    /// To a server, made again by itself.
    Single(ConnectionManager),
}

impl ConnectionLike for Shared {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Cluster(connection) => connection.req_packed_command(command),
            Self::Primary(connection) => connection.req_packed_command(command),
            Self::Single(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Primary(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Cluster(connection) => connection.get_db(),
            Self::Primary(connection) => connection.get_db(),
            Self::Single(connection) => connection.get_db(),
        }
    }
}
