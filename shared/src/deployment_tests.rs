//! What the tables may say, and what they are told otherwise.

use super::*;

fn resolve(lines: &str) -> Result<Deployment, Vec<Problem>> {
    let resource = format!(
        "url = \"https://mcp.example/mcp\"\nname = \"CRM\"\n{lines}\n\
         default_scopes = [\"a\"]\nprm_scopes = [\"a\"]\n\
         scope = [{{ name = \"a\", description = \"See it\" }}]"
    );
    let resource: RawResource = toml::from_str(&resource).unwrap();
    let issuer = "https://auth.example".to_owned();
    Deployment::resolve(RawDeployment { name: "Test".to_owned(), issuer }, vec![resource])
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
        ("refresh_idle_by = \"call\"\nrefresh_idle_seconds = 3599", "refresh_idle_seconds", "3600"),
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
