//! What may stand in the `[telemetry]` table about traces.

use std::path::PathBuf;

use super::*;

fn read(table: &str) -> Result<Option<Settings>, Vec<String>> {
    let raw: RawTelemetry = toml::from_str(table).unwrap();
    settings(&raw).map_err(|problems| problems.into_iter().map(|one| one.place).collect())
}

fn endpoint_of(url: &str) -> String {
    let found = read(&format!("traces = \"{url}\"")).unwrap().unwrap();
    found.endpoint.to_string()
}

fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("headers");
    secret_file::write_private(&path, text).unwrap();
    path
}

#[test]
fn without_a_receiver_nothing_is_traced() {
    assert!(read("").unwrap().is_none());
    let table = "trace_ratio = 0.5\ntrace_parents = \"nobody\"\ntrace_ca_file = \"a\"\n\
                 trace_headers_file = \"b\"";
    let expected = ["trace_ca_file", "trace_headers_file", "trace_parents", "trace_ratio"];
    assert_eq!(read(table).unwrap_err(), expected.map(|name| format!("telemetry.{name}")));
}

#[test]
fn traces_go_to_the_path_of_the_receiver() {
    for (url, expected) in [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://traces.example/otlp", "https://traces.example/otlp/v1/traces"),
        ("https://traces.example/otlp/v1/traces", "https://traces.example/otlp/v1/traces"),
    ] {
        assert_eq!(endpoint_of(url), expected, "{url}");
    }
    for bad in
        ["127.0.0.1:4318", "grpc://a:1", "http://u:p@a", "https://a/?token=b", "https://a/#b", ""]
    {
        let told = read(&format!("traces = \"{bad}\"")).unwrap_err();
        assert_eq!(told, ["telemetry.traces"], "{bad}");
    }
}

#[test]
fn each_wrong_value_is_named() {
    for (table, place) in [
        ("trace_ratio = 1.01", "telemetry.trace_ratio"),
        ("trace_ratio = -0.1", "telemetry.trace_ratio"),
        ("trace_ratio = nan", "telemetry.trace_ratio"),
        ("trace_ca_file = \"/nonexistent\"", "telemetry.trace_ca_file"),
        ("trace_headers_file = \"/nonexistent\"", "telemetry.trace_headers_file"),
    ] {
        let told = read(&format!("traces = \"https://a.example\"\n{table}")).unwrap_err();
        assert_eq!(told, [place], "{table}");
    }
    let both = read("traces = \"x\"\ntrace_ratio = 2.0").unwrap_err();
    assert_eq!(both, ["telemetry.traces", "telemetry.trace_ratio"]);
    assert!(toml::from_str::<RawTelemetry>("trace_parents = \"everybody\"").is_err());
}

#[test]
fn headers_are_read_from_a_file_and_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let with = |text: &str, receiver: &str| {
        let path = file(&folder, text);
        let table = format!("traces = \"{receiver}\"\ntrace_headers_file = \"{}\"", path.display());
        settings(&toml::from_str(&table).unwrap())
    };
    let good = "authorization: Bearer s3cret\n\nx-scope:  team-1 \n";
    let found = with(good, "https://a.example").unwrap().unwrap();
    assert_eq!(found.headers["authorization"], "Bearer s3cret");
    assert_eq!(found.headers["x-scope"], "team-1");
    assert!(!format!("{found:?} {:?}", found.headers).contains("s3cret"));
    assert!(with(good, "http://127.0.0.1:4318").is_ok());
    for (text, receiver) in [
        (good, "http://collector:4318"),
        ("s3cret", "https://a.example"),
        ("a b: s3cret", "https://a.example"),
        ("authorization:", "https://a.example"),
        ("content-type: s3cret", "https://a.example"),
        ("authorization: s3cret\u{7f}", "https://a.example"),
    ] {
        let problems = with(text, receiver).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("telemetry.trace_headers_file"), "{told:?}");
        assert!(!told[0].contains("s3cret"), "{told:?}");
    }
}
