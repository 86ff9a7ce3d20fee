//! A Cluster: the library finds the node of each call on the shared connection; who owns which
//! slot is kept here for the connections that wait for the disk.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use redis::{
    Client, ConnectionInfo, RedisResult, Value,
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo, Slot},
};
use tokio::time::timeout;

use super::{RECONNECT_PAUSE, sentinel::at};
use crate::{
    StoreError,
    redis::{
        config::Tls,
        fault::{fault, silent},
    },
};

const SLOTS: u16 = 16384;

/// A node and the slots it owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) slots: Vec<(u16, u16)>,
}

/// How to reach a Cluster.
pub(super) struct Cluster {
    client: redis::cluster::ClusterClient,
    connect_timeout: Duration,
    owners: RwLock<Arc<HashMap<Slot, Arc<Node>>>>,
    /// How to speak to each node.
    seed: ConnectionInfo,
}

impl Cluster {
    pub(super) fn new(
        seeds: &[String],
        tls: &Tls,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let clients: Vec<Client> =
            seeds.iter().map(|url| tls.client(url)).collect::<Result<_, _>>()?;
        let infos = clients.iter().map(|client| client.get_connection_info().clone());
        let seed = infos.clone().next().ok_or_else(|| {
            StoreError::Invalid("no node of the Cluster is named; name at least one".to_owned())
        })?;
        let mut builder = ClusterClientBuilder::new(infos)
            .connection_timeout(connect_timeout)
            .response_timeout(response_timeout)
            .min_retry_wait(20)
            .max_retry_wait(u64::try_from(RECONNECT_PAUSE.as_millis()).unwrap_or(500))
            .retries(3);
        if tls.is_given() {
            builder = builder.certs(tls.certificates());
        }
        let client = builder.build().map_err(|error| fault(&error))?;
        Ok(Self { client, connect_timeout, owners: RwLock::default(), seed })
    }

    /// The connection that finds the node of each call.
    pub(super) async fn connect(&self) -> Result<ClusterConnection, StoreError> {
        timeout(self.connect_timeout, self.client.get_async_connection())
            .await
            .map_err(|_| silent(self.connect_timeout))?
            .map_err(|error| fault(&error))
    }

    /// Who owns a key's slot.
    pub(super) async fn owner(
        &self,
        key: &str,
        connection: &mut ClusterConnection,
    ) -> Result<Arc<Node>, StoreError> {
        let slot = Slot::for_key(key);
        if let Some(node) = self.known(slot) {
            return Ok(node);
        }
        let mut owners = HashMap::with_capacity(SLOTS.into());
        for node in self.nodes(connection).await? {
            let node = Arc::new(node);
            let ranges = node.slots.clone();
            let slots = ranges.into_iter().flat_map(|(first, last)| first..=last);
            owners.extend(slots.filter_map(Slot::new).map(|slot| (slot, Arc::clone(&node))));
        }
        let owner = owners.get(&slot).cloned();
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(owners);
        owner.ok_or_else(|| {
            StoreError::Unavailable("no node of the Cluster owns the slot".to_owned())
        })
    }

    /// Forgets who owns what, because somebody does not.
    pub(super) fn forget_owners(&self) {
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// How to speak to a node.
    pub(super) fn client_of(&self, node: &Node) -> Result<Client, StoreError> {
        let address = at(self.seed.addr(), node.host.clone(), node.port);
        Client::open(self.seed.clone().set_addr(address)).map_err(|error| fault(&error))
    }

    /// The owners of slots as a node tells them.
    pub(super) async fn nodes(
        &self,
        connection: &mut ClusterConnection,
    ) -> Result<Vec<Node>, StoreError> {
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
        let asked = timeout(self.connect_timeout, connection.route_command(question, route));
        let answer = asked.await.map_err(|_| silent(self.connect_timeout))?;
        let corrupt = || StoreError::Corrupt("the Cluster does not tell its slots".to_owned());
        let Value::Array(ranges) = answer.map_err(|error| fault(&error))? else {
            return Err(corrupt());
        };
        let mut nodes: Vec<Node> = Vec::new();
        for range in ranges {
            let Value::Array(range) = range else { return Err(corrupt()) };
            let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = range.as_slice()
            else {
                return Err(corrupt());
            };
            let [Value::BulkString(host), Value::Int(port), ..] = owner.as_slice() else {
                return Err(corrupt());
            };
            let number = |number: i64| u16::try_from(number).map_err(|_| corrupt());
            let (range, port) = ((number(*first)?, number(*last)?), number(*port)?);
            let host = String::from_utf8(host.clone()).map_err(|_| corrupt())?;
            match nodes.iter_mut().find(|node| node.host == host && node.port == port) {
                Some(node) => node.slots.push(range),
                None => nodes.push(Node { host, port, slots: vec![range] }),
            }
        }
        Ok(nodes)
    }

    /// Asks every owner of slots the same; answers by `host:port`.
    pub(super) async fn ask_all(
        connection: &mut ClusterConnection,
        question: redis::Cmd,
    ) -> RedisResult<HashMap<String, Value>> {
        let route = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answer = connection.route_command(question, route).await?;
        redis::from_redis_value(answer).map_err(Into::into)
    }

    fn known(&self, slot: Slot) -> Option<Arc<Node>> {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned()
    }
}

/// Text that shares a key's slot when it stands in braces.
pub(super) fn tag_of(key: &str) -> u32 {
    static TAGS: OnceLock<HashMap<Slot, u32>> = OnceLock::new();
    let tags = TAGS.get_or_init(|| {
        let mut tags = HashMap::with_capacity(SLOTS.into());
        let mut number = 0_u32;
        while tags.len() < SLOTS.into() {
            tags.entry(Slot::for_key(number.to_string())).or_insert(number);
            number += 1;
        }
        tags
    });
    tags.get(&Slot::for_key(key)).copied().unwrap_or_default()
}

/// Whether keys may be used by one call.
pub(in crate::redis) fn share_a_slot(keys: &[String]) -> bool {
    let mut slots = keys.iter().map(Slot::for_key);
    let first = slots.next();
    slots.all(|slot| Some(slot) == first)
}
