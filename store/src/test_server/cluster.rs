//! A Cluster of three nodes with slots, and a replica for the first.

use super::{RedisServer, config, free_port, wait_until};
use crate::{RedisConfig, Topology};

/// The slots of each node.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// A Cluster.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes with slots, in their order.
    pub nodes: Vec<RedisServer>,
    /// The replica of the first.
    pub replica: RedisServer,
}

impl Cluster {
    /// Starts all, and waits until they agree.
    pub fn start() -> Self {
        let buses: Vec<String> = (0..4).map(|_| free_port().to_string()).collect();
        let mut servers: Vec<RedisServer> = buses.iter().map(|bus| node(bus)).collect();
        let everyone = servers.len().to_string();
        for (number, (server, bus)) in servers.iter().zip(&buses).enumerate() {
            let epoch = (number + 1).to_string();
            assert_eq!(server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]), "+OK");
            if let Some((first, last)) = SLOTS.get(number) {
                assert_eq!(server.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]), "+OK");
            }
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &server.port(), bus];
            let first = servers.first().expect("a node");
            assert_eq!(first.ask(&meet), "+OK");
        }
        let known = format!("cluster_known_nodes:{everyone}");
        for server in &servers {
            server.wait_for("the nodes know each other", &["CLUSTER", "INFO"], &known);
            server.wait_for("the nodes agree", &["CLUSTER", "INFO"], "cluster_state:ok");
        }
        let replica = servers.pop().expect("a replica");
        let id = servers.first().expect("a node").ask(&["CLUSTER", "MYID"]);
        wait_until("the replica may follow", || {
            replica.ask(&["CLUSTER", "REPLICATE", &id]) == "+OK"
        });
        let question = ["INFO", "replication"];
        replica.wait_for("the replica follows", &question, "master_link_status:up");
        for server in servers.iter().chain([&replica]) {
            server.wait_for("all know the replica", &["CLUSTER", "NODES"], "slave ");
        }
        Self { nodes: servers, replica }
    }

    /// How to connect to it.
    pub fn config(&self, prefix: &str) -> RedisConfig {
        let seeds = self.nodes.iter().map(RedisServer::url).collect();
        config(prefix, Topology::Cluster { seeds })
    }
}

fn node(bus: &str) -> RedisServer {
    RedisServer::with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--cluster-replica-validity-factor",
        "0",
        "--cluster-port",
        bus,
        "--repl-diskless-sync-delay",
        "0",
    ])
}
