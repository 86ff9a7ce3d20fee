//! The operator's commands as the built program runs them: on a running server, on a stopped one,
//! and on both engines.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test whose harness fails must fail"
)]

mod deployment;
mod environment;
mod gateway_keys;
mod one_host;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use deployment::{Deployment, PASSWORD, PROGRAM, Server, lines, run, until};

/// An operator's way, which must be the same whether or not a server runs.
fn an_operator_works_with_people(on: &Deployment, and_with_credentials: bool) {
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
    // Ids of keys and grants may begin like an option.
    for command in [&["keys", "revoke", "-Zunheard"][..], &["keys", "retire", "-hunheard"]] {
        let (code, why) = on.refused(command);
        assert_eq!(code, 1, "{command:?}: {why}");
        assert!(!why.contains("argument"), "{command:?}: {why}");
    }
    let events = on.done(&["audit", "list", "--event", "account_disabled"]);
    assert!(events.contains("actor=olga("), "{events}");
    if and_with_credentials {
        keys_are_made_and_taken_back(on);
        clients_are_added_and_removed(on);
        others_are_let_in_to_register(on);
    }
    on.done(&["users", "remove", "dana@example.com"]);
    on.done(&["workspaces", "remove", "support"]);
    assert_eq!(on.refused(&["users", "show", "dana@example.com"]).0, 1);
}

/// What a command made, as JSON.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn keys_are_made_and_taken_back(on: &Deployment) {
    let list = || lines(&on.done(&["tokens", "list", "dana@example.com"]));
    assert_eq!(list(), ["none"]);
    let create = ["tokens", "create", "dana@example.com", "--name", "Nightly"];
    let made = on.done(&[&create[..], &["--workspace", "support", "--json"]].concat());
    let made = json(&made);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("crm_key_"), "{made}");
    assert_eq!(made["scope"], "crm:read");
    let listed = list();
    assert_eq!(listed[0], "KEY BEGINS NAME WORKSPACES LAST USED EXPIRES SCOPE");
    assert!(listed[1].starts_with(id) && !listed[1].contains(key), "{listed:?}");
    assert!(listed[1].contains("Nightly support - 20"), "{listed:?}");
    let (code, why) = on.refused(&[&create[..], &["--workspace", "sales"]].concat());
    assert_eq!(code, 1);
    assert!(why.contains("not a member"), "{why}");
    let rotated = json(&on.done(&["tokens", "rotate", "dana@example.com", id, "--json"]));
    let second = rotated["key"].as_str().unwrap();
    assert!(second.starts_with("crm_key_") && second != key, "{rotated}");
    assert_eq!((&rotated["id"], &rotated["scope"]), (&made["id"], &made["scope"]));
    let listed = list();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed[1].contains(&second[..12]) && !listed[1].contains(second), "{listed:?}");
    let shown = on.done(&["tokens", "rotate", "dana@example.com", id, "--overlap"]);
    assert!(shown.contains("not shown again"), "{shown}");
    let (code, why) = on.refused(&["tokens", "rotate", "usr_ada", id]);
    assert_eq!(code, 1, "{why}");
    let (code, why) = on.refused(&["tokens", "revoke", "usr_ada", id]);
    assert_eq!(code, 1, "{why}");
    on.done(&["tokens", "revoke", "dana@example.com", id]);
    assert_eq!(list(), ["none"]);
    let (code, why) = on.refused(&["tokens", "rotate", "dana@example.com", id]);
    assert_eq!(code, 1, "{why}");
}

fn clients_are_added_and_removed(on: &Deployment) {
    let shown =
        on.done(&["clients", "add", "--id", "export", "--name", "Export", "--scope", "crm:read"]);
    assert!(shown.contains("client secret   ") && shown.contains("not shown again"), "{shown}");
    let again =
        on.refused(&["clients", "add", "--id", "export", "--name", "E", "--scope", "crm:read"]);
    assert_eq!(again.0, 1);
    let approve = ["clients", "approve", "export", "--scope", "crm:read", "--workspace", "sales"];
    let approved = json(&on.done(&[&approve[..], &["--json"]].concat()));
    assert_eq!(approved["service"]["workspaces"][0], "sales");
    assert!(approved.get("client_secret").is_none());
    let rotate = ["clients", "rotate-secret", "export", "--overlap-hours", "0", "--json"];
    let (first, second) = (json(&on.done(&rotate)), json(&on.done(&rotate)));
    assert_ne!(first["client_secret"], second["client_secret"]);
    let listed = lines(&on.done(&["clients", "list"]));
    assert!(listed[2].starts_with("export Export operator client_secret"), "{listed:?}");
    on.done(&["clients", "remove", "export"]);
    assert_eq!(on.refused(&["clients", "show", "export"]).0, 1);
    for (wrong, why) in [
        (&["clients", "remove", "kiosk"][..], "deployment file"),
        (&["clients", "rotate-secret", "nobody"], "no such client"),
        (&["clients", "add", "--name", "X"], "redirect_uris"),
        (&["clients", "add", "--name", "X", "--scope", "none"], "scopes"),
        (&["clients", "add", "--name", "X", "--redirect-uri", "javascript:1"], "redirect_uris"),
    ] {
        let (code, said) = on.refused(wrong);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(why), "{said}");
    }
}

fn others_are_let_in_to_register(on: &Deployment) {
    assert_eq!(on.done(&["initial-access", "list"]), "none\n");
    let issued =
        on.done(&["initial-access", "issue", "--note", "Partner", "--uses", "2", "--json"]);
    let issued = json(&issued);
    assert!(issued["token"].as_str().unwrap().starts_with("iat_"), "{issued}");
    let id = issued["id"].as_str().unwrap();
    let listed = lines(&on.done(&["initial-access", "list"]));
    assert_eq!(listed[0], "ID USES LEFT CREATED EXPIRES NOTE");
    assert!(listed[1].starts_with(&format!("{id} 2 ")) && listed[1].ends_with("Partner"));
    on.done(&["initial-access", "revoke", id]);
    assert_eq!(on.refused(&["initial-access", "revoke", id]).0, 1);
    assert_eq!(on.done(&["initial-access", "list"]), "none\n");
}

#[test]
fn commands_do_the_same_on_a_stopped_and_on_a_running_server() {
    for deployment in Deployment::on_both_engines() {
        an_operator_works_with_people(&deployment, true);
        let server = deployment.serve();
        let socket = fs::metadata(deployment.path("data/auth-server.sock")).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        an_operator_works_with_people(&deployment, true);
        drop(server);
        // The socket's file outlives a kill; the commands and the next server see through it.
        assert!(deployment.path("data/auth-server.sock").exists());
        an_operator_works_with_people(&deployment, false);
        let _server = deployment.serve();
        an_operator_works_with_people(&deployment, false);
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
    for noun in ["audit", "clients", "grants", "initial-access", "tokens", "users", "workspaces"] {
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
    for noun in ["audit", "clients", "grants", "initial-access", "tokens", "users", "workspaces"] {
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

/// The demo, and its MCP URL.
fn demo(folder: &Path) -> (Server, String) {
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--auth-listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(folder);
    let path = folder.join("welcome");
    let stdout = fs::File::create(&path).unwrap();
    let server = Server(command.stdout(stdout).stderr(Stdio::null()).spawn().unwrap());
    let url = || {
        let welcome = fs::read_to_string(&path).unwrap();
        let line = welcome.lines().find_map(|line| line.trim().strip_prefix("MCP URL"));
        line.map(|url| url.trim().to_owned())
    };
    until("the demo's welcome", || url().is_some());
    (server, url().unwrap())
}

#[test]
fn the_doctor_finds_the_demo_well_and_says_by_its_exit_code_when_something_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = demo(folder.path());
    let walk = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).arg("doctor").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    until("a good report", || walk(&[&url]).0 == Some(0));
    let (code, text) = walk(&[&url, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["good"]), (Some(0), &true.into()), "{text}");
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().all(|one| one["verdict"] == "ok"), "{text}");
    let (code, text) = walk(&[&format!("{url}/")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("to fix it:"), "{text}");
    assert_eq!(walk(&["nonsense"]).0, Some(2));
}

#[test]
fn a_running_server_reads_its_deployment_file_again() {
    let on = Deployment::embedded();
    let (code, why) = on.refused(&["config", "reload"]);
    assert_eq!(code, 3);
    assert!(why.contains("no server runs") && why.contains("--data-dir"), "{why}");
    let server = on.serve();
    let path = on.path("deployment.toml");
    let first = fs::read_to_string(&path).unwrap();
    let client = "\n[[client]]\nid = \"desk\"\nname = \"Desk\"\n\
                  redirect_uris = [\"https://desk.example/callback\"]\n";
    fs::write(&path, format!("{first}{client}")).unwrap();
    assert!(!on.done(&["clients", "list"]).contains("Desk"), "it was not told to");
    let said = on.done(&["config", "reload"]);
    assert!(said.starts_with("auth-server.sock: the configuration "), "{said}");
    let clients = on.done(&["clients", "list"]);
    assert!(clients.contains("Desk") && clients.contains("Kiosk"), "{clients}");
    // Two things are wrong, and a third needs a restart: all are told, each with its line.
    let broken = first
        .replace("https://kiosk.example/callback", "http://kiosk.example/callback")
        .replace("audit_days", "")
        .replace("default_scopes = [\"crm:read\"]", "default_scopes = [\"crm:write\"]");
    fs::write(&path, &broken).unwrap();
    let (code, why) = on.refused(&["config", "reload"]);
    assert_eq!(code, 1);
    let line = broken.lines().position(|line| line.starts_with("default_scopes")).unwrap() + 1;
    assert!(why.contains(&format!("line {line}: resource[0].default_scopes")), "{why}");
    assert!(on.done(&["clients", "list"]).contains("Desk"), "nothing changed");
    let moved = first.replace("http://localhost:7410", "http://localhost:7411");
    fs::write(&path, moved).unwrap();
    let (_, why) = on.refused(&["config", "reload"]);
    assert!(why.contains("line 4: deployment.issuer") && why.contains("needs a restart"), "{why}");
    // A signal does the same as the command.
    fs::write(&path, &first).unwrap();
    let pid = server.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    until("the reload", || !on.done(&["clients", "list"]).contains("Desk"));
    let events = on.done(&["audit", "list", "--event", "configuration_reloaded"]);
    let told: Vec<bool> =
        events.lines().skip(1).map(|line| line.contains("is_applied=yes")).collect();
    assert_eq!(told, [true, false, false, true], "{events}");
    assert!(events.contains("actor=olga(") && events.contains("actor=signal"), "{events}");
}
