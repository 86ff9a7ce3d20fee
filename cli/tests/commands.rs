//! The operator's commands as the built program runs them: on a running server, on a stopped one,
//! and on both engines.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test whose harness fails must fail"
)]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use store::test_server::RedisServer;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");
const PASSWORD: &str = "correct horse battery staple";
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
default_scopes = ["crm:read"]
prm_scopes = ["crm:read"]
scope = [{ name = "crm:read", description = "See records" }]
"#;

/// A deployment in a folder of its own.
struct Deployment {
    folder: TempDir,
    /// Ends with the deployment.
    #[expect(dead_code, reason = "it is held, not used")]
    redis: Option<RedisServer>,
}

/// A running server; it is killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Deployment {
    fn embedded() -> Self {
        Self::with("engine = \"embedded\"", None)
    }

    /// One on each engine.
    fn on_both_engines() -> [Self; 2] {
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The program with the deployment's file and folder.
    fn program(&self, arguments: &[&str]) -> Command {
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
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {problem}");
        assert_eq!(problem, "", "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and the reason of a command that does not.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs the server until this is dropped.
    fn serve(&self) -> Server {
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
fn run(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may have ended before.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < WAIT, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The words of each line, without the spaces that align them.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// An operator's way, which must be the same whether or not a server runs.
fn an_operator_works(on: &Deployment) {
    let made = on.done(&["users", "add", "dana@example.com", "--name", "Dana", "--json"]);
    assert!(made.contains("\"username\": \"dana@example.com\""), "{made}");
    assert!(!made.contains("argon2") && !made.contains(PASSWORD), "{made}");
    on.done(&["workspaces", "add", "support", "--name", "Support"]);
    let given =
        on.done(&["workspaces", "member", "add", "support", "dana@example.com", "--role", "agent"]);
    assert_eq!(given, "dana@example.com is a member of support as agent\n");
    let listed = lines(&on.done(&["users", "list"]));
    assert_eq!(listed[0], "USER ID NAME ACTIVE FROM WORKSPACES");
    assert_eq!(listed[1], "ada@example.com usr_ada Ada yes file sales (owner)");
    assert!(listed[2].starts_with("dana@example.com usr_"), "{listed:?}");
    assert!(listed[2].ends_with("Dana yes store support (agent)"), "{listed:?}");
    on.done(&["workspaces", "plan", "support", "--resource", "https://mcp.example/mcp"]);
    let listed = lines(&on.done(&["workspaces", "list"]));
    assert_eq!(
        listed[1..],
        ["sales Sales file all", "support Support store https://mcp.example/mcp"]
    );
    on.done(&["users", "disable", "dana@example.com"]);
    assert!(on.done(&["users", "show", "dana@example.com"]).contains("active          no"));
    on.done(&["users", "enable", "dana@example.com"]);
    on.done(&["users", "passwd", "dana@example.com", "--sign-out"]);
    let clients = lines(&on.done(&["clients", "list"]));
    assert_eq!(clients[1], "kiosk Kiosk file none -");
    assert_eq!(on.done(&["grants", "list", "--user", "dana@example.com"]), "none\n");
    let events = on.done(&["audit", "list", "--event", "account_disabled"]);
    assert!(events.contains("actor=olga("), "{events}");
    on.done(&["users", "remove", "dana@example.com"]);
    on.done(&["workspaces", "remove", "support"]);
    assert_eq!(on.refused(&["users", "show", "dana@example.com"]).0, 1);
}

#[test]
fn commands_do_the_same_on_a_stopped_and_on_a_running_server() {
    for deployment in Deployment::on_both_engines() {
        an_operator_works(&deployment);
        let server = deployment.serve();
        let socket = fs::metadata(deployment.path("data/auth-server.sock")).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        an_operator_works(&deployment);
        drop(server);
        // The socket's file outlives a kill; the commands and the next server see through it.
        assert!(deployment.path("data/auth-server.sock").exists());
        an_operator_works(&deployment);
        let _server = deployment.serve();
        an_operator_works(&deployment);
    }
}

#[test]
fn a_running_server_needs_no_deployment_file_to_be_asked() {
    let deployment = Deployment::embedded();
    let ask = |arguments: &[&str]| {
        let mut command = deployment.program(arguments);
        run(
            {
                command.env_remove("VESTIBULE_CONFIG");
                command
            },
            "",
        )
    };
    let output = ask(&["users", "list"]);
    assert_eq!(output.status.code(), Some(2));
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(problem.contains("no server runs on") && problem.contains("--config"), "{problem}");
    let _server = deployment.serve();
    assert!(ask(&["users", "list"]).status.success());
}

#[test]
fn a_command_that_is_refused_says_why_and_by_its_exit_code_what_to_do() {
    let deployment = Deployment::embedded();
    for (code, text, arguments) in [
        (1, "there is no person nobody", &["users", "disable", "nobody"][..]),
        (1, "the deployment file names usr_ada", &["users", "remove", "usr_ada"]),
        (1, "there is no workspace no", &["users", "add", "a", "--name", "A", "--member", "no=x"]),
        (1, "is not a moment", &["audit", "list", "--since", "yesterday"]),
        (1, "name a person or a client", &["grants", "list"]),
        (2, "write WORKSPACE=ROLE", &["users", "add", "a", "--name", "A", "--member", "sales"]),
        (2, "--help", &["users", "add", "a", "--name", "A", "--password", PASSWORD]),
        (2, "--help", &["workspaces", "plan", "sales"]),
        (2, "none.toml", &["users", "list", "--config", "none.toml"]),
    ] {
        let (exit, problem) = deployment.refused(arguments);
        assert_eq!(exit, code, "{arguments:?}: {problem}");
        assert!(problem.contains(text), "{arguments:?}: {problem}");
        assert!(problem.starts_with("vestibule: "), "{problem}");
    }
    let output = run(deployment.program(&["users", "add", "a", "--name", "A"]), "too short");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("at least 12 characters"));
}

#[test]
fn a_password_comes_from_a_private_file_or_a_pipe() {
    let deployment = Deployment::embedded();
    let file = deployment.path("dana").display().to_string();
    let add =
        |name| ["users", "add", name, "--name", "D", "--password-file", &file].map(str::to_owned);
    deployment.secret("dana", "another good password\n");
    let one = add("one");
    deployment.done(&one.each_ref().map(String::as_str));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let two = add("two");
    let (code, problem) = deployment.refused(&two.each_ref().map(String::as_str));
    assert_eq!(code, 2);
    assert!(problem.contains("chmod 600"), "{problem}");
    let shown =
        deployment.done(&["users", "add", "three", "--name", "D", "--no-password", "--json"]);
    assert!(shown.contains("\"has_password\": false"), "{shown}");
}

#[test]
fn what_a_stranger_is_called_cannot_steer_the_terminal() {
    let deployment = Deployment::embedded();
    let name = "D\u{9b}31mana";
    let (code, _) = deployment.refused(&["users", "add", "dana", "--name", name]);
    assert_eq!(code, 1);
    let add = ["users", "add", "d\u{e4}na", "--name", "D\u{e4}na", "--no-password"];
    assert!(deployment.done(&add).contains("D\u{e4}na"));
}

#[test]
fn the_deployment_file_is_checked_without_starting_anything() {
    let deployment = Deployment::embedded();
    let right = deployment.done(&["config", "check"]);
    assert!(right.contains("issuer      http://localhost:7410"), "{right}");
    assert!(right.contains("people      1 in the file"), "{right}");
    assert!(!deployment.path("data").exists());
    let file = deployment.path("deployment.toml");
    let broken = fs::read_to_string(&file).unwrap().replace("usr_ada", "ada");
    fs::write(&file, broken).unwrap();
    let (code, problem) = deployment.refused(&["config", "check"]);
    assert_eq!(code, 2);
    assert!(problem.contains("auth.user[0].id"), "{problem}");
}

#[test]
fn every_command_teaches_its_use() {
    for noun in ["audit", "clients", "grants", "users", "workspaces"] {
        let output = Command::new(PROGRAM).args([noun, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for part in ["Examples:", "Exit codes: 0 done", "--data-dir", "--json"] {
            assert!(help.contains(part), "{noun} does not show {part}: {help}");
        }
    }
}

/// The pages show what the program prints.
#[test]
fn the_pages_name_every_command() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate");
    let text = fs::read_to_string(pages.join("commands.md")).unwrap();
    for noun in ["audit", "clients", "grants", "users", "workspaces"] {
        let output = Command::new(PROGRAM).args([noun, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        for line in commands.lines() {
            let verb = line.split_whitespace().next().unwrap();
            let named = text.contains(&format!("vestibule {noun} {verb}"));
            assert!(verb == "help" || named, "commands.md does not show {noun} {verb}");
        }
    }
}
