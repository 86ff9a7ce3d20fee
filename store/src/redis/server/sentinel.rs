//! The server that sentinels name as primary. They are asked for every new connection, and the
//! server must say so itself before it is used.

use std::time::Duration;

use redis::{Client, ConnectionAddr, RedisResult, Value, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::single::open;
use crate::{
    StoreError,
    redis::{
        config::Tls,
        fault::{fault, silent},
    },
};

/// How to find the primary.
pub(super) struct Sentinels {
    connect_timeout: Duration,
    name: String,
    /// How to speak to the primary, wherever it is.
    primary: Client,
    watchers: Vec<Client>,
}

impl Sentinels {
    pub(super) fn new(
        primary: &str,
        sentinels: &[String],
        tls: &Tls,
        connect_timeout: Duration,
    ) -> Result<Self, StoreError> {
        if sentinels.is_empty() {
            return Err(StoreError::Invalid("no sentinel is named; name at least one".to_owned()));
        }
        let primary = tls.client(primary)?;
        let (ConnectionAddr::Tcp(name, _) | ConnectionAddr::TcpTls { host: name, .. }) =
            primary.get_connection_info().addr()
        else {
            return Err(StoreError::Invalid(
                "with Sentinel the URL names the primary in place of a host: \
                 redis://user:password@NAME/0"
                    .to_owned(),
            ));
        };
        Ok(Self {
            connect_timeout,
            name: name.clone(),
            watchers: sentinels.iter().map(|url| tls.client(url)).collect::<Result<_, _>>()?,
            primary,
        })
    }

    /// A connection to the primary of now.
    pub(super) async fn open(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut last = None;
        for sentinel in &self.watchers {
            let found = match self.locate(sentinel).await {
                Ok(address) => self.reach(address).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(connection) => return Ok(connection),
                // A sentinel may be behind the others, or gone.
                Err(error) => last = Some(worse(last, error)),
            }
        }
        Err(last.unwrap_or_else(|| StoreError::Unavailable("no sentinel answered".to_owned())))
    }

    async fn locate(&self, sentinel: &Client) -> Result<(String, u16), StoreError> {
        let mut connection =
            open(sentinel, self.connect_timeout).await.map_err(|error| match error {
                StoreError::Denied(said) => StoreError::Denied(format!("a sentinel says: {said}")),
                other => other,
            })?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.name);
        let address: Option<(String, u16)> =
            self.answer(question.query_async(&mut connection)).await?;
        address.ok_or_else(|| {
            StoreError::Invalid(format!(
                "the sentinels know no primary named {:?}; the URL must name it as \
                 `sentinel monitor` does",
                self.name
            ))
        })
    }

    async fn reach(
        &self,
        (host, port): (String, u16),
    ) -> Result<MultiplexedConnection, StoreError> {
        let info = self.primary.get_connection_info().clone();
        let address = at(info.addr(), host, port);
        let client = Client::open(info.set_addr(address)).map_err(|error| fault(&error))?;
        let mut connection = open(&client, self.connect_timeout).await?;
        let role: Vec<Value> = self.answer(redis::cmd("ROLE").query_async(&mut connection)).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
            _ => Err(StoreError::Unavailable(
                "the server that the sentinels name is not a primary".to_owned(),
            )),
        }
    }

    async fn answer<T>(
        &self,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        timeout(self.connect_timeout, asked)
            .await
            .map_err(|_| silent(self.connect_timeout))?
            .map_err(|error| fault(&error))
    }
}

/// The same kind of address at another place.
pub(super) fn at(like: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match like {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// A mistake that somebody must mend says more than a silence.
fn worse(earlier: Option<StoreError>, later: StoreError) -> StoreError {
    earlier.filter(|earlier| !earlier.is_transient()).unwrap_or(later)
}
