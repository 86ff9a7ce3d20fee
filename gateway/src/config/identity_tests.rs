//! What a backend is shown, right and wrong.

use super::*;
use crate::config::{Backend, tests::resolve};

const PLAIN: &str = r#"
    [gateway]
    [[gateway.route]]
    resource = "http://localhost:7400/mcp"
    backends = ["crm"]
    [[gateway.route]]
    resource = "http://127.0.0.1:7400/mcp"
    backends = ["crm"]
    [[backend]]
    name = "crm"
    url = "http://127.0.0.1:7420/mcp"
"#;

fn backend(more: &str) -> Result<Backend, Vec<Problem>> {
    resolve(&format!("{PLAIN}{more}")).map(|config| config.backends[0].clone())
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_cannot_be_is_refused_with_its_place_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        write(&path, text, mode);
        format!("{path:?}")
    };
    let (good, open) = (file("good", "s3cret", 0o600), file("open", "s3cret", 0o644));
    let (empty, split) = (file("empty", "\n", 0o600), file("split", "a\nb", 0o600));
    let credential = |file: &str, header: &str| {
        format!("[backend.credential]\nheader = \"{header}\"\nfile = {file}\n")
    };
    let exchange = |line: &str| format!("[backend.identity.exchange]\nclient_id = \"g\"\n{line}\n");
    let endpoint = "token_endpoint = \"https://login.example/token\"";
    for (more, place) in [
        ("forward_headers = [\"Authorization\"]".to_owned(), "forward_headers"),
        ("forward_headers = [\"cookie\"]".to_owned(), "forward_headers"),
        ("forward_headers = [\"Mcp-Session-Id\"]".to_owned(), "forward_headers"),
        ("forward_headers = [\"X-Forwarded-User\"]".to_owned(), "forward_headers"),
        ("forward_headers = [\"X-HTTP-Method-Override\"]".to_owned(), "forward_headers"),
        ("forward_headers = [\"Content-Length\"]".to_owned(), "forward_headers"),
        ("forward_headers = [\"a b\"]".to_owned(), "forward_headers"),
        (
            "forward_headers = [\"x-caller\"]\n[backend.identity]\nheader = \"X-Caller\""
                .to_owned(),
            "forward_headers",
        ),
        ("[backend.identity]\nheader = \"Host\"".to_owned(), "identity.header"),
        (credential(&good, "Authorization"), "credential.header"),
        (credential(&good, "Cookie"), "credential.header"),
        (credential(&open, "X-Api-Key"), "credential.file"),
        (credential(&empty, "X-Api-Key"), "credential.file"),
        (credential(&split, "X-Api-Key"), "credential.file"),
        (credential("\"/nowhere\"", "X-Api-Key"), "credential.file"),
        (
            exchange("token_endpoint = \"http://login.example/token\""),
            "identity.exchange.token_endpoint",
        ),
        (
            exchange("token_endpoint = \"https://login.example/token?a=b\""),
            "identity.exchange.token_endpoint",
        ),
        (
            exchange(&format!("{endpoint}\nclient_secret_file = {open}")),
            "identity.exchange.client_secret_file",
        ),
        (
            format!("[backend.identity]\nmode = \"per_call\"\n{}", exchange(endpoint)),
            "identity.mode",
        ),
    ] {
        let problems = backend(&more).unwrap_err();
        let place = format!("backend[0].{place}");
        assert!(problems.iter().any(|problem| problem.place == place), "{more}: {problems:?}");
        assert!(!format!("{problems:?}").contains("s3cret"), "{more}");
    }
}

#[test]
fn a_header_of_a_resources_api_keys_never_passes() {
    let taken = [HeaderName::from_static("x-crm-key")];
    let mut raw: RawBackend = toml::from_str("name = \"crm\"\nurl = \"http://crm/\"").unwrap();
    raw.forward_headers = vec!["X-Crm-Key".to_owned(), "X-Request-Id".to_owned()];
    let mut problems = Vec::new();
    let passed = forwarded(&raw, 0, ((&AUTHORIZATION, None), &taken), &mut problems);
    assert_eq!(passed, [HeaderName::from_static("x-request-id")]);
    assert_eq!(problems.len(), 1);
}

#[test]
fn an_identity_is_reused_and_goes_into_authorization_unless_said_otherwise() {
    let plain = backend("").unwrap();
    assert!(matches!(plain.identity.mode, IdentityMode::Reused));
    assert_eq!(plain.identity.header, AUTHORIZATION);
    assert!(plain.credential.is_none() && plain.forwarded.is_empty());
    let exchanged = backend(
        "[backend.identity.exchange]\ntoken_endpoint = \"https://login.example/token\"\n\
         client_id = \"gateway\"\nresource = \"https://crm.example\"\n",
    );
    let IdentityMode::Exchanged(exchange) = exchanged.unwrap().identity.mode else { panic!() };
    assert_eq!(exchange.subject_audience, "https://login.example/token");
    assert_eq!(exchange.target, [("resource", "https://crm.example".to_owned())]);
}

#[test]
fn a_credential_follows_its_file_and_stays_where_that_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    write(&path, "first\n", 0o600);
    let more = format!(
        "[backend.credential]\nheader = \"X-Api-Key\"\nprefix = \"Key \"\nfile = {path:?}\n"
    );
    let credential = backend(&more).unwrap().credential.unwrap();
    assert_eq!(credential.value(), "Key first");
    for (text, mode, expected) in [
        ("second", 0o600, "Key second"),
        ("", 0o600, "Key second"),
        ("third", 0o644, "Key second"),
        ("third", 0o600, "Key third"),
    ] {
        write(&path, text, mode);
        credential.refresh("crm");
        assert_eq!(credential.value(), expected, "{text:?}");
        assert!(credential.value().is_sensitive());
    }
}
