//! What an operator may write into the deployment file, in every form that `fuzz` can think of.

use crate::deployment_file::File;

const DEMO: &str = include_str!("../../profiles/demo/deployment.toml");
const ONE_MACHINE: &str = include_str!("../../docs/examples/one-machine.toml");
const SHORT: &str = "[deployment]\nname = \"A\"\nissuer = \"http://localhost:1\"\n\
                     [[resource]]\nurl = \"http://localhost:2/mcp\"\nname = \"B\"\nscope = []\n\
                     [listen]\ntrusted_proxies = [\"10.0.0.0/8\"]\n";

#[test]
fn a_deployment_file_is_read_as_toml_has_it_or_says_where_it_is_wrong() {
    let demo = DEMO.replace("{auth_port}", "7410").replace("{gateway_port}", "7400");
    let seeds = [demo.as_bytes(), ONE_MACHINE.as_bytes(), SHORT.as_bytes()];
    fuzz::run("deployment-file", &seeds, |input| {
        let text = String::from_utf8_lossy(input);
        let file = match File::parse(&text) {
            Ok(file) => file,
            Err(problem) => {
                // What is nested too deep has no place of its own.
                let says_where = ["at line ", "  line ", "recursion limit"];
                let says_where = says_where.iter().any(|words| problem.contains(words));
                assert!(says_where, "it does not say where: {problem}");
                return format!("{:?}", problem.lines().last());
            }
        };
        // What no table claims is an error, so every key that passed is one that was read.
        let table: toml::Table = toml::from_str(&text).unwrap();
        let known = [
            "auth",
            "backend",
            "client",
            "deployment",
            "gateway",
            "keys",
            "listen",
            "resource",
            "store",
            "telemetry",
        ];
        let mut names = table.keys().map(String::as_str);
        assert_eq!(names.find(|name| !known.contains(name)), None);
        let deployment = file.deployment();
        if let Ok(deployment) = &deployment {
            let issuer = deployment.issuer.as_str();
            assert_eq!(table["deployment"]["issuer"].as_str(), Some(issuer));
            let mut urls: Vec<&str> =
                deployment.resources.iter().map(|one| one.indicator.as_str()).collect();
            urls.sort_unstable();
            urls.dedup();
            assert_eq!(urls.len(), deployment.resources.len(), "a resource stands twice");
        }
        format!("{:?} {}", deployment.is_ok(), file.trusted_proxies().is_ok())
    });
}
