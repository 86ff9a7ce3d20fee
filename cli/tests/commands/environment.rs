//! Settings and secrets that stand in environment variables, as containers have them.

use std::{fs, process::Command};

use crate::deployment::{Deployment, PASSWORD, Server, run, until};

/// A deployment whose URLs and secrets are in the environment, the store being this.
fn of_environment(store: &str) -> Deployment {
    let on = Deployment::embedded();
    let path = on.path("deployment.toml");
    let password = on.path("password");
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("http://localhost:7410", "${ISSUER:-http://localhost:7410}")
        .replace("https://mcp.example/mcp", "${MCP_ORIGIN}/mcp")
        .replace(password.to_str().unwrap(), "env:ADA_PASSWORD")
        .replace("engine = \"embedded\"", store);
    fs::write(path, text + "\n[keys]\nkey_encryption_key_file = \"env:KEY_ENCRYPTION_KEY\"\n")
        .unwrap();
    fs::remove_file(password).unwrap();
    on
}

fn with(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.envs(variables.iter().copied());
    command
}

/// The exit code and what was said, on either way.
fn checked(on: &Deployment, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = run(with(on.program(&["config", "check"]), variables), "");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_check_reads_the_environment_and_tells_all_that_is_not_there() {
    let on = of_environment("engine = \"redis\"\nauth_redis_url_file = \"env:AUTH_REDIS\"");
    let (code, said) = checked(&on, &[]);
    assert_eq!(code, Some(2), "{said}");
    let told = "resource[0].url: ${MCP_ORIGIN} names a variable that the environment has not";
    let line = said.lines().find(|line| line.contains(told)).unwrap_or_else(|| panic!("{said}"));
    let text = fs::read_to_string(on.path("deployment.toml")).unwrap();
    let at = text.lines().position(|line| line.contains("MCP_ORIGIN")).unwrap() + 1;
    assert!(line.trim().starts_with(&format!("line {at}: ")), "{line}");

    let urls = [("MCP_ORIGIN", "https://mcp.example"), ("ADA_PASSWORD", "")];
    let (code, said) = checked(&on, &urls);
    assert_eq!(code, Some(2), "{said}");
    for told in [
        "auth.user[0].password_file: the environment has no variable ADA_PASSWORD",
        "keys.key_encryption_key_file: the environment has no variable KEY_ENCRYPTION_KEY; set it",
        "store.auth_redis_url_file: the environment has no variable AUTH_REDIS; set it",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(!said.contains(PASSWORD), "{said}");
}

#[test]
fn a_server_runs_by_what_the_environment_holds() {
    let on = of_environment("engine = \"embedded\"");
    let key = keys::KeyEncryptionKey::generate().1;
    let variables = [
        ("ADA_PASSWORD", PASSWORD),
        ("ISSUER", "http://localhost:7999"),
        ("KEY_ENCRYPTION_KEY", key.as_str()),
        ("MCP_ORIGIN", "https://crm.example"),
    ];
    let (code, said) = checked(&on, &variables);
    assert_eq!(code, Some(0), "{said}");
    for told in ["http://localhost:7999", "https://crm.example/mcp"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let mut command = with(on.program(&["auth-server"]), &variables);
    let log = fs::File::create(on.path("log")).unwrap();
    let _server = Server(command.stderr(log).spawn().unwrap());
    until("the socket", || {
        std::os::unix::net::UnixStream::connect(on.path("data/auth-server.sock")).is_ok()
    });
    let listed = run(with(on.program(&["users", "list"]), &variables), "");
    assert!(String::from_utf8(listed.stdout).unwrap().contains("ada@example.com"));
    assert!(!on.path("data/key-encryption-key").exists(), "the key is kept in no file");
    let log = fs::read_to_string(on.path("log")).unwrap();
    assert!(!log.contains(PASSWORD) && !log.contains(&key), "{log}");
}
