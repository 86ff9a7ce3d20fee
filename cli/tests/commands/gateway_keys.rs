//! The keys of a gateway, and new keys for a deployment whose key-encryption key is lost.

use std::{fs, process::Command};

use crate::{
    demo,
    deployment::{Deployment, PROGRAM, lines, run},
    json,
};

#[test]
fn a_gateways_keys_are_changed_while_it_runs_and_while_none_does() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = demo(folder.path());
    let keys = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("keys").args(arguments).arg("--gateway").env_clear();
        command.arg("--data-dir").arg(folder.path());
        run(command, "")
    };
    let said = |arguments: &[&str]| {
        let output = keys(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&String::from_utf8(output.stdout).unwrap())
    };
    let states = |lines: &[String]| -> Vec<String> {
        let state = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
        lines.iter().skip(1).map(state).collect()
    };
    let listed = said(&["list"]);
    assert!(listed[0].starts_with("PURPOSE STATE KEY ALG"), "{listed:?}");
    assert!(listed[1].starts_with("gateway-identity active "), "{listed:?}");
    assert_eq!(states(&listed), ["active", "pending"]);
    let early = keys(&["rotate"]);
    let why = String::from_utf8(early.stderr).unwrap();
    assert_eq!(early.status.code(), Some(1));
    assert!(why.contains("--emergency does it now"), "{why}");
    let done = said(&["rotate", "--emergency"]);
    assert!(done.iter().any(|line| line.starts_with("cost ")), "{done:?}");
    assert_eq!(states(&said(&["list"])), ["retiring", "active", "pending"]);
    for (arguments, why) in [
        (&["drill"][..], "no drill"),
        (&["rotate", "--purpose", "refresh-mac"][..], "leave it out"),
    ] {
        let refused = keys(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains(why), "{arguments:?}");
    }
    let audited = Command::new(PROGRAM)
        .args(["audit", "list", "--event", "keys_changed"])
        .arg("--data-dir")
        .arg(folder.path())
        .output();
    let audited = String::from_utf8(audited.unwrap().stdout).unwrap();
    assert!(
        audited.contains("act=activate") && audited.contains("purpose=gateway_identity"),
        "{audited}"
    );
    drop(server);
    assert_eq!(keys(&["list"]).status.code(), Some(2), "nobody to ask, and no file");
    let on = Deployment::embedded();
    assert_eq!(states(&lines(&on.done(&["keys", "list", "--gateway"]))), ["active", "pending"]);
    on.done(&["keys", "announce", "--gateway"]);
    assert_eq!(lines(&on.done(&["keys", "list", "--gateway"])).len(), 4);
    let _without_a_gateway = on.serve();
    assert_eq!(lines(&on.done(&["keys", "list", "--gateway"])).len(), 4);
}

#[test]
fn without_its_key_encryption_key_a_deployment_goes_on_with_new_keys() {
    let on = Deployment::embedded();
    let renew = ["keys", "renew", "--everybody-signs-in-again"];
    on.done(&["users", "add", "dana@example.com", "--name", "Dana"]);
    let (code, why) = on.refused(&renew);
    assert!(code == 1 && why.contains("open with the key"), "{why}");
    let path = on.path("data/key-encryption-key");
    let kept = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let (code, why) = on.refused(&["users", "list"]);
    assert!(code == 3 && why.contains("put the file back"), "{why}");
    assert!(!path.exists(), "a key that opens nothing is not left behind");
    let (code, why) = on.refused(&["keys", "renew"]);
    assert!(code == 2 && why.contains("required"), "{why}");
    assert!(on.done(&renew).contains("renewed"));
    assert_ne!(fs::read_to_string(&path).unwrap(), kept);
    assert!(on.done(&["users", "list"]).contains("dana@example.com"));
    let keys = on.done(&["keys", "list", "--json"]);
    assert_eq!(json(&keys)["keys"].as_array().unwrap().len(), 6, "{keys}");
    let _server = on.serve();
    assert!(on.done(&["users", "list"]).contains("dana@example.com"));
    let (code, why) = on.refused(&renew);
    assert!(code == 1 && why.contains("stop it first"), "{why}");
}
