//! A deployment in a folder of its own, and the built program acting on it.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use store::test_server::RedisServer;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const WAIT: Duration = Duration::from_secs(30);

const DEPLOYMENT: &str = r#"
[deployment]
name = "Example CRM"
issuer = "http://localhost:7410"

[listen]
auth = ["127.0.0.1:0"]

[store]
STORE

[[auth.workspace]]
id = "sales"
name = "Sales"

[[auth.user]]
id = "usr_ada"
username = "ada@example.com"
name = "Ada"
password_file = "FOLDER/password"
membership = [{ workspace = "sales", role = "owner" }]

[[client]]
id = "kiosk"
name = "Kiosk"
redirect_uris = ["https://kiosk.example/callback"]

[[resource]]
url = "https://mcp.example/mcp"
name = "Example CRM"
default = true
api_keys = { prefix = "crm_key_" }
default_scopes = ["crm:read"]
prm_scopes = ["crm:read"]
scope = [{ name = "crm:read", description = "See records" }]
"#;

/// A deployment in a folder of its own.
pub(crate) struct Deployment {
    folder: TempDir,
    /// Ends with the deployment.
    #[expect(dead_code, reason = "it is held, not used")]
    redis: Option<RedisServer>,
}

/// A running server; it is killed when this is dropped.
pub(crate) struct Server(pub(crate) Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Deployment {
    pub(crate) fn embedded() -> Self {
        Self::with("engine = \"embedded\"", None)
    }

    /// One on each engine.
    pub(crate) fn on_both_engines() -> [Self; 2] {
        let redis = RedisServer::start();
        let url = redis.url();
        let store = "engine = \"redis\"\nauth_redis_url_file = \"FOLDER/redis-url\"";
        let on_redis = Self::with(store, Some(redis));
        on_redis.secret("redis-url", &url);
        [Self::embedded(), on_redis]
    }

    fn with(store: &str, redis: Option<RedisServer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let text = DEPLOYMENT.replace("STORE", store).replace("FOLDER", &path);
        fs::write(folder.path().join("deployment.toml"), text).unwrap();
        let deployment = Self { folder, redis };
        deployment.secret("password", PASSWORD);
        deployment
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The program with the deployment's file and folder.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("USER", "olga");
        command.env("VESTIBULE_CONFIG", self.path("deployment.toml"));
        command.env("VESTIBULE_DATA_DIR", self.path("data"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.program(arguments), PASSWORD)
    }

    /// The answer of a command that does what it is told.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {problem}");
        assert_eq!(problem, "", "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and the reason of a command that does not.
    pub(crate) fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs the server until this is dropped.
    pub(crate) fn serve(&self) -> Server {
        let mut command = self.program(&["auth-server"]);
        let log = fs::File::create(self.path("log")).unwrap();
        let server = Server(command.stderr(log).spawn().unwrap());
        until("the socket", || {
            std::os::unix::net::UnixStream::connect(self.path("data/auth-server.sock")).is_ok()
        });
        server
    }
}

/// Runs a command with this on its standard input.
pub(crate) fn run(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may have ended before.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < WAIT, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The words of each line, without the spaces that align them.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
