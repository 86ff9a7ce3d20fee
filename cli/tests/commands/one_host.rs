//! Issuer and resource under one host and port, as vendors publish them.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::deployment::{PROGRAM, Server, run, until};

const DEPLOYMENT: &str = r#"
[deployment]
name = "Example CRM"
issuer = "http://localhost:PORTISSUER"

[listen]
auth = ["127.0.0.1:PORT"]
gateway = ["127.0.0.1:PORT"]

[auth]

[[resource]]
url = "http://localhost:PORTRESOURCE"
name = "Example CRM"
default_scopes = ["crm:read"]
prm_scopes = ["crm:read"]
scope = [{ name = "crm:read", description = "See records" }]

[gateway]

[[gateway.route]]
resource = "http://localhost:PORTRESOURCE"
backends = ["crm"]

[[backend]]
name = "crm"
url = "http://127.0.0.1:1/mcp"
"#;

struct Site {
    folder: tempfile::TempDir,
    port: u16,
}

impl Site {
    fn new(issuer: &str, resource: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let text = DEPLOYMENT
            .replace("PORTISSUER", &format!("{port}{issuer}"))
            .replace("PORTRESOURCE", &format!("{port}{resource}"))
            .replace("PORT", &port.to_string());
        fs::write(folder.path().join("deployment.toml"), text).unwrap();
        Self { folder, port }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear();
        command.env("VESTIBULE_CONFIG", self.folder.path().join("deployment.toml"));
        command.env("VESTIBULE_DATA_DIR", self.folder.path().join("data"));
        command
    }

    fn serve(&self) -> Server {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let server = Server(self.program(&["serve"]).stderr(log).spawn().unwrap());
        until("the listener", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        server
    }

    /// The status and the whole answer.
    fn ask(&self, method: &str, path: &str, host: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n");
        let asked = format!("{head}connection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

#[test]
fn one_host_and_port_serves_the_issuer_and_its_resource() {
    for issuer in ["", "/auth"] {
        let site = Site::new(issuer, "/mcp");
        let checked = run(site.program(&["config", "check"]), "");
        assert!(String::from_utf8_lossy(&checked.stdout).contains("at the issuer's own origin"));
        let _server = site.serve();
        let host = format!("localhost:{}", site.port);
        let base = format!("http://{host}");
        let well_known = format!("/.well-known/oauth-authorization-server{issuer}");
        let (authorize, jwks) = (format!("{issuer}/authorize"), format!("{issuer}/jwks"));
        let of_issuer = format!("\"issuer\":\"{base}{issuer}\"");
        let metadata = format!("resource_metadata=\"{base}/.well-known/oauth-protected");
        for (method, path, status, part) in [
            ("GET", &*well_known, 200, &*of_issuer),
            ("GET", "/.well-known/oauth-protected-resource/mcp", 200, &format!("{base}/mcp")),
            ("GET", "/.well-known/oauth-protected-resource", 200, &format!("{base}/mcp")),
            ("POST", "/mcp", 401, &*metadata),
            ("GET", &*authorize, 400, "text/html"),
            ("GET", &*jwks, 200, "\"keys\""),
            ("GET", "/.well-known/jwks.json", 200, "\"keys\""),
            ("GET", "/healthz", 200, ""),
            ("GET", "/nothing", 404, "not_found"),
        ] {
            let (told, answer) = site.ask(method, path, &host);
            assert_eq!(told, status, "{path}: {answer}");
            assert!(answer.contains(part), "{path}: {answer}");
        }
        assert_eq!(site.ask("GET", &well_known, "other.example").0, 421);
        assert_eq!(site.ask("POST", "/mcp", "other.example").0, 421);
    }
}

#[test]
fn a_resource_does_not_take_the_path_of_an_endpoint_of_the_issuer() {
    for (issuer, resource) in [("", "/token"), ("/auth", "/auth/register/mcp")] {
        let site = Site::new(issuer, resource);
        let output = run(site.program(&["config", "check"]), "");
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("has a path that the issuer has on the same host"), "{told}");
    }
}
