//! Which server answers. After a failover or a restart, writes that were answered may be missing.

use redis::Pipeline;

use crate::StoreError;

/// What a server is in its replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows another server and takes none.
    Replica,
}

/// Which server answers, and on which connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The server's number for our shared connection: another one after every reconnect.
    pub connection: i64,
    /// Names the history of writes: another one after a failover.
    pub replication_id: String,
    /// Whether it takes writes.
    pub role: Role,
    /// Names the process: another one after every start.
    pub run_id: String,
    /// The slots of a Cluster that it owns, first and last.
    pub slots: Vec<(u16, u16)>,
}

impl ServerIdentity {
    pub(super) fn question() -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("server").cmd("INFO").arg("replication");
        pipeline.cmd("CLIENT").arg("ID");
        pipeline
    }

    pub(super) fn read(
        info: &str,
        connection: i64,
        slots: Vec<(u16, u16)>,
    ) -> Result<Self, StoreError> {
        let role = match field(info, "role")? {
            "master" => Role::Primary,
            _ => Role::Replica,
        };
        Ok(Self {
            connection,
            replication_id: field(info, "master_replid")?.to_owned(),
            role,
            run_id: field(info, "run_id")?.to_owned(),
            slots,
        })
    }
}

/// The value of `name:value` on a line of its own.
fn field<'a>(info: &'a str, name: &str) -> Result<&'a str, StoreError> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .ok_or_else(|| StoreError::Corrupt(format!("the server does not tell its {name}")))
}
