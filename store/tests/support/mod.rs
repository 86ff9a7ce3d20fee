//! A real Redis server for one test, on a free loopback port and in a folder of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// A running server; it is killed when this is dropped.
pub(crate) struct RedisServer {
    arguments: Vec<String>,
    child: Option<Child>,
    folder: TempDir,
    port: u16,
}

impl RedisServer {
    /// A server that has every write on its disk before it answers.
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server with these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { arguments, child: None, folder, port: 0 };
        // Somebody else may take a free port before the server does.
        for _ in 0..5 {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
            server.port = listener.local_addr().expect("its address").port();
            drop(listener);
            if server.run() {
                return server;
            }
            server.stop();
        }
        panic!("redis-server did not start");
    }

    /// Starts it again after [`Self::stop`], with what it had on its disk.
    pub(crate) fn restart(&mut self) {
        assert!(self.run(), "redis-server did not start again");
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server can be killed");
            child.wait().expect("the server has ended");
        }
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("a running server").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Asks it something, on a connection of its own and without the code under test. The answer
    /// is as on the wire; of a string it is the text.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        self.try_ask(words).expect("an answer")
    }

    fn try_ask(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            let length = word.len().to_string();
            request.extend(["$", &length, "\r\n", word, "\r\n"]);
        }
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(length) = line.strip_prefix('$').and_then(|rest| rest.trim().parse().ok()) {
            let mut text = vec![0; length];
            reader.read_exact(&mut text)?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(line.trim().to_owned())
    }

    fn run(&mut self) -> bool {
        let started = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .arg("--port")
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.arguments)
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
            // Another server may have taken the port. With a password ours answers by refusing.
            let said = self.try_ask(&["INFO", "server"]).unwrap_or_default();
            if said.contains(&ours) || said.starts_with("-NOAUTH") {
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

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
