//! Real Redis servers for one test, on free loopback ports and in folders of their own: one, one
//! with TLS, a primary with replica and sentinels, or a Cluster. Only with the feature
//! `test-server`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test without its server must fail")]

mod cluster;
mod sentinel;
mod tls;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::{cluster::Cluster, sentinel::Sentinels, tls::TlsServer};
use crate::{RedisConfig, Tls, Topology};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    arguments: Vec<String>,
    child: Option<Child>,
    folder: TempDir,
    port: u16,
}

impl RedisServer {
    /// A server that has every write on its disk before it answers.
    pub fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server with these arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { arguments, child: None, folder, port: 0 };
        // Somebody else may take a free port before the server does.
        for _ in 0..5 {
            server.port = free_port();
            if server.run() {
                return server;
            }
            server.stop();
        }
        panic!("redis-server did not start");
    }

    /// Starts it again after [`Self::stop`], with what it had on its disk.
    pub fn restart(&mut self) {
        assert!(self.run(), "redis-server did not start again");
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server can be killed");
            child.wait().expect("the server has ended");
        }
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("a running server").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    /// Its port.
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// Its folder, which goes when it goes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// How to connect to it, with this prefix before every key.
    pub fn config(&self, prefix: &str) -> RedisConfig {
        config(prefix, Topology::Single { url: self.url() })
    }

    /// Asks it something, on a connection of its own and without the code under test. The answer
    /// is as on the wire; of a string it is the text.
    pub fn ask(&self, words: &[&str]) -> String {
        self.try_ask(words).expect("an answer")
    }

    fn try_ask(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        if let Some(password) = self.password() {
            stream.write_all(request(&["AUTH", password]).as_bytes())?;
            reader.read_line(&mut line)?;
            line.clear();
        }
        stream.write_all(request(words).as_bytes())?;
        reader.read_line(&mut line)?;
        if let Some(length) = line.strip_prefix('$').and_then(|rest| rest.trim().parse().ok()) {
            let mut text = vec![0; length];
            reader.read_exact(&mut text)?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(line.trim().to_owned())
    }

    fn password(&self) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == "--requirepass")?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    fn wait_for(&self, what: &str, words: &[&str], part: &str) {
        wait_until(what, || self.try_ask(words).is_ok_and(|said| said.contains(part)));
    }

    fn run(&mut self) -> bool {
        // A file of settings stands before every other argument.
        let is_file = |argument: &&String| !argument.starts_with("--");
        let file = self.arguments.first().filter(is_file);
        let started = Command::new("redis-server")
            .args(file)
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .arg("--port")
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(self.folder.path())
            .args(self.arguments.iter().skip(usize::from(file.is_some())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(started.expect(
            "these tests need `redis-server` on the PATH (Debian: apt-get install redis-server)",
        ));
        let limit = Instant::now() + START;
        while Instant::now() < limit {
            let child = self.child.as_ref().expect("a child");
            let ours = format!("process_id:{}\r", child.id());
            // Another server may have taken the port.
            // While it reads its file it answers this and nothing else.
            let says = |section: &str, what: &str| {
                self.try_ask(&["INFO", section]).is_ok_and(|said| said.contains(what))
            };
            if says("server", &ours) && !says("persistence", "loading:1") {
                return true;
            }
            let child = self.child.as_mut().expect("a child");
            if child.try_wait().expect("its state").is_some() {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

/// Waits for a condition, but not for ever.
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let limit = Instant::now() + START;
    while !done() {
        assert!(Instant::now() < limit, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn request(words: &[&str]) -> String {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        let length = word.len().to_string();
        request.extend(["$", &length, "\r\n", word, "\r\n"]);
    }
    request
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn config(prefix: &str, topology: Topology) -> RedisConfig {
    RedisConfig {
        connect_timeout: Duration::from_secs(2),
        prefix: prefix.to_owned(),
        replicas: 0,
        response_timeout: Duration::from_secs(5),
        tls: Tls::default(),
        topology,
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
