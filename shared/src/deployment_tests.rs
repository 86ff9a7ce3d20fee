//! What the tables may say, and what they are told otherwise.

use super::*;

fn raw(issuer: &str) -> RawDeployment {
    toml::from_str(&format!("name = \"Test\"\nissuer = \"{issuer}\"")).unwrap()
}

fn resolve(lines: &str) -> Result<Deployment, Vec<Problem>> {
    let resource = format!(
        "url = \"https://mcp.example/mcp\"\nname = \"CRM\"\n{lines}\n\
         default_scopes = [\"a\"]\nprm_scopes = [\"a\"]\n\
         scope = [{{ name = \"a\", description = \"See it\" }}]"
    );
    let resource: RawResource = toml::from_str(&resource).unwrap();
    Deployment::resolve(raw("https://auth.example"), vec![resource])
}

#[test]
fn a_resource_without_settings_has_the_terms_that_sign_nobody_out() {
    let deployment = resolve("").unwrap();
    let resource = &deployment.resources[0];
    assert_eq!(resource.refresh, RefreshPolicy::Always);
    assert_eq!(resource.refresh_idle_by, IdleBy::Refresh);
    assert!(resource.reports_calls && !resource.strict);
    assert_eq!(resource.bare_token("eyJ"), Some("eyJ"));
}

#[test]
fn each_setting_that_cannot_be_is_named_with_its_remedy() {
    for (lines, key, remedy) in [
        ("access_token_seconds = 59", "access_token_seconds", "300"),
        ("refresh_idle_seconds = 299", "refresh_idle_seconds", "at least 600"),
        ("refresh_absolute_seconds = 86400", "refresh_idle_seconds", "at most 86400"),
        ("refresh_absolute_seconds = 999999999", "refresh_absolute_seconds", "7776000"),
        ("refresh_idle_by = \"call\"\nreports_calls = false", "refresh_idle_by", "report calls"),
        ("refresh_idle_by = \"call\"\nrefresh_idle_seconds = 599", "refresh_idle_seconds", "600"),
        ("access_token_prefix = \"a b\"", "access_token_prefix", "sd_oauth_"),
        ("access_token_prefix = \"eyJ\"", "access_token_prefix", "sd_oauth_"),
        ("access_token_prefix = \"rt_\"", "access_token_prefix", "sd_oauth_"),
    ] {
        let problems = resolve(lines).unwrap_err();
        assert_eq!(problems.len(), 1, "{lines}: {problems:?}");
        let text = problems[0].to_string();
        assert!(text.contains(&format!("resource[0].{key}")) && text.contains(remedy), "{text}");
    }
}

#[test]
fn a_prefix_is_taken_off_once_and_must_be_there() {
    let deployment = resolve("access_token_prefix = \"sd_oauth_\"").unwrap();
    let resource = &deployment.resources[0];
    assert_eq!(resource.bare_token("sd_oauth_eyJ"), Some("eyJ"));
    assert_eq!(resource.bare_token("sd_oauth_sd_oauth_eyJ"), Some("sd_oauth_eyJ"));
    assert_eq!(resource.bare_token("eyJ"), None);
    assert_eq!(deployment.bare_token("sd_oauth_eyJ"), "eyJ");
    assert_eq!(deployment.bare_token("eyJ"), "eyJ");
}

fn of_scopes(scopes: &str) -> Result<Deployment, Vec<Problem>> {
    let resource = format!(
        "url = \"https://mcp.example/mcp\"\nname = \"CRM\"\ndefault_scopes = []\n\
         prm_scopes = []\nscope = [{scopes}]"
    );
    let resource: RawResource = toml::from_str(&resource).unwrap();
    Deployment::resolve(raw("https://auth.example"), vec![resource])
}

#[test]
fn a_wildcard_deletes_unless_the_operator_says_otherwise() {
    let deployment = of_scopes(
        r#"{ name = "*", description = "All" },
        { name = "deals:*", description = "All of deals" },
        { name = "deals:write", description = "Change deals" },
        { name = "reports:*", description = "All reports", kind = "read" },
        { name = "reports:read", description = "See reports" }"#,
    );
    let resource = deployment.unwrap().resources.remove(0);
    for (name, expected) in [
        ("*", ScopeKind::Delete),
        ("deals:*", ScopeKind::Delete),
        ("deals:write", ScopeKind::Write),
        ("reports:*", ScopeKind::Read),
        ("reports:read", ScopeKind::Read),
    ] {
        assert_eq!(resource.kind_of(name), expected, "{name}");
    }
    let milder = resource.scopes_of(&[ScopeKind::Read, ScopeKind::Write]);
    assert_eq!(milder.to_string(), "deals:write reports:* reports:read");
}

#[test]
fn who_asks_for_nothing_is_offered_no_wildcard() {
    for (key, wildcard) in
        [("default", "*"), ("default", "deals:*"), ("prm", "*"), ("prm", "deals:*")]
    {
        let lists = "default_scopes = []\nprm_scopes = []\n"
            .replace(&format!("{key}_scopes = []"), &format!("{key}_scopes = [{wildcard:?}]"));
        let resource = format!(
            "url = \"https://mcp.example/mcp\"\nname = \"CRM\"\n{lists}\
             scope = [{{ name = {wildcard:?}, description = \"All\" }}]"
        );
        let issuer = "https://auth.example".to_owned();
        let endpoints = RawEndpoints::default();
        let raw = RawDeployment { endpoints, issuer, name: "Test".to_owned() };
        let problems = Deployment::resolve(raw, vec![toml::from_str(&resource).unwrap()]);
        let problems = problems.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let text = problems[0].to_string();
        assert!(text.starts_with(&format!("resource[0].{key}_scopes: holds {wildcard}")), "{text}");
        assert!(text.contains("one by one"), "{text}");
    }
}

#[test]
fn a_wildcard_is_not_said_to_be_milder_than_what_it_covers() {
    for (wildcard, kind, other) in
        [("deals:*", "write", "deals:delete"), ("*", "read", "deals:write"), ("*", "write", "x:*")]
    {
        let problems = of_scopes(&format!(
            "{{ name = \"{wildcard}\", description = \"All\", kind = \"{kind}\" }}, \
             {{ name = \"{other}\", description = \"Some\" }}"
        ));
        let text = problems.unwrap_err()[0].to_string();
        let what = format!("{wildcard} is of kind {kind} and covers {other}");
        assert!(text.contains("resource[0].scope") && text.contains(&what), "{text}");
    }
}
