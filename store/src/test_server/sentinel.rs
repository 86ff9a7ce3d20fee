//! A primary, a replica, and three sentinels that watch them.

use std::fs;

use tempfile::TempDir;

use super::{RedisServer, config};
use crate::{RedisConfig, Topology};

/// The name the sentinels know the primary by.
const NAME: &str = "vestibule";
/// The password the sentinels ask for; the servers ask for another.
const SENTINEL_PASSWORD: &str = "watch";
const PASSWORD: &str = "serve";

/// A primary that a replica replaces when it is gone.
#[derive(Debug)]
pub struct Sentinels {
    /// The first primary.
    pub primary: RedisServer,
    /// Its replica.
    pub replica: RedisServer,
    /// Those that watch.
    pub sentinels: Vec<RedisServer>,
    _folder: TempDir,
}

impl Sentinels {
    /// Starts all, and waits until a failover would work.
    pub fn start() -> Self {
        let common = ["--appendonly", "yes", "--appendfsync", "always"];
        let passwords = ["--requirepass", PASSWORD, "--masterauth", PASSWORD];
        let mut arguments = [common.as_slice(), &passwords].concat();
        arguments.extend(["--repl-diskless-sync-delay", "0"]);
        let primary = RedisServer::with(&arguments);
        let port = primary.port();
        arguments.extend(["--replicaof", "127.0.0.1", &port]);
        let replica = RedisServer::with(&arguments);
        primary.wait_for("the replica follows", &["INFO", "replication"], "state=online");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sentinels: Vec<_> = (0..3)
            .map(|number| {
                let path = folder.path().join(format!("sentinel-{number}.conf"));
                let lines = [
                    format!("sentinel monitor {NAME} 127.0.0.1 {port} 2"),
                    format!("sentinel auth-pass {NAME} {PASSWORD}"),
                    format!("sentinel down-after-milliseconds {NAME} 500"),
                    format!("sentinel failover-timeout {NAME} 3000"),
                    format!("sentinel sentinel-pass {SENTINEL_PASSWORD}"),
                ];
                fs::write(&path, lines.join("\n")).expect("a file of settings");
                let path = path.to_str().expect("a path in UTF-8");
                RedisServer::with(&[path, "--sentinel", "--requirepass", SENTINEL_PASSWORD])
            })
            .collect();
        for sentinel in &sentinels {
            sentinel.wait_for("the sentinels agree", &["SENTINEL", "CKQUORUM", NAME], "OK 3");
            let question = ["INFO", "sentinel"];
            sentinel.wait_for("the sentinels know the replica", &question, "slaves=1,sentinels=3");
        }
        Self { primary, replica, sentinels, _folder: folder }
    }

    /// How to connect to whoever is the primary.
    pub fn config(&self, prefix: &str) -> RedisConfig {
        let url = |sentinel: &RedisServer| {
            format!("redis://:{SENTINEL_PASSWORD}@127.0.0.1:{}/", sentinel.port())
        };
        let sentinels = self.sentinels.iter().map(url).collect();
        let primary = format!("redis://:{PASSWORD}@{NAME}/0");
        config(prefix, Topology::Sentinel { primary, sentinels })
    }
}
