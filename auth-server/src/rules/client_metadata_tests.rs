//! What may be registered, case by case, and what makes two registrations the same.

use proptest::prelude::*;

use super::*;

fn run(body: &Value) -> Result<Registration, RegistrationViolation> {
    check(body.as_object().unwrap(), &OutboundPolicy::default(), &Algorithm::SIGNING)
}

#[test]
fn the_smallest_registration_gets_the_defaults() {
    let registration =
        run(&serde_json::json!({"redirect_uris": ["https://a.example/cb"]})).unwrap();
    assert_eq!(registration.auth, AuthMethod::ClientSecretBasic);
    assert!(!registration.refresh);
}

#[test]
fn each_deviation_has_its_answer() {
    use RegistrationViolation as V;
    let good = "https://a.example/cb";
    let cases = [
        (serde_json::json!({}), V::Redirects),
        (serde_json::json!({"redirect_uris": []}), V::Redirects),
        (serde_json::json!({"redirect_uris": [1]}), V::Redirects),
        (serde_json::json!({"redirect_uris": vec![good; 33]}), V::Redirects),
        (
            serde_json::json!({"redirect_uris": [good], "token_endpoint_auth_method": "x"}),
            V::AuthMethod,
        ),
        (serde_json::json!({"redirect_uris": [good], "grant_types": ["implicit"]}), V::GrantTypes),
        (
            serde_json::json!({"redirect_uris": [good], "response_types": ["token"]}),
            V::ResponseTypes,
        ),
        (serde_json::json!({"redirect_uris": [good], "client_name": 5}), V::ClientName),
        (
            serde_json::json!({"redirect_uris": [good], "client_uri": "javascript:1"}),
            V::Uri("client_uri"),
        ),
        (serde_json::json!({"redirect_uris": [good], "contacts": "a@b"}), V::Contacts),
        (serde_json::json!({"redirect_uris": [good], "contacts": vec!["a"; 9]}), V::Contacts),
        (
            serde_json::json!({"redirect_uris": [good], "application_type": "tv"}),
            V::ApplicationType,
        ),
        (
            serde_json::json!({"redirect_uris": ["app://cb"], "application_type": "web"}),
            V::RedirectOfWeb("app://cb".to_owned()),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(run(&body).unwrap_err(), expected, "{body}");
    }
}

#[test]
fn identical_registrations_share_an_id_whatever_their_loopback_port() {
    let id = |port: u16, name: &str| {
        run(&serde_json::json!({
            "redirect_uris": [format!("http://localhost:{port}/cb")],
            "client_name": name, "token_endpoint_auth_method": "none", "software_id": port,
        }))
        .unwrap()
        .content_address()
    };
    assert_eq!(id(1, "a"), id(2, "a"));
    assert_ne!(id(1, "a"), id(1, "b"));
    assert!(id(1, "a").bytes().all(|b| b.is_ascii_alphanumeric()));
}

#[test]
fn a_name_cannot_hide_its_letters() {
    let body = serde_json::json!({
        "redirect_uris": ["https://a.example/cb"], "client_name": "Cl\u{202e}au\u{200b}de\u{0}",
    });
    assert_eq!(run(&body).unwrap().name, "Claude");
}

#[test]
fn pages_of_a_client_never_lead_inside() {
    for inside in [
        "http://169.254.169.254/",
        "http://10.0.0.1/x.png",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00::]/",
        "http://2130706433/",
        "http://metadata.google.internal./",
        "http://localhost:3000/logo.png",
        "http://printer/",
        "ftp://logo.example/",
    ] {
        for member in
            ["logo_uri", "policy_uri", "tos_uri", "sector_identifier_uri", "backchannel_logout_uri"]
        {
            let body = serde_json::json!({"redirect_uris": ["https://a.example/"], member: inside});
            assert!(
                matches!(
                    run(&body),
                    Err(RegistrationViolation::Uri(_) | RegistrationViolation::UriInside(_))
                ),
                "{member} {inside}"
            );
        }
    }
    let body = serde_json::json!({
        "redirect_uris": ["https://a.example/"], "logo_uri": "https://a.example/logo.png",
        "client_uri": "http://localhost:3000",
    });
    assert_eq!(run(&body).unwrap().about.logo_uri.as_deref(), Some("https://a.example/logo.png"));
}

proptest! {
    #[test]
    fn the_content_address_is_of_what_counts_and_of_nothing_else(
        ports in prop::collection::vec(1_u16.., 3),
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        unknown in "[a-z]{1,12}_[0-9]{1,3}",
        text in ".{0,40}",
        name in "[A-Za-z ]{1,20}",
    ) {
        let uris = |ports: &[u16], order: &[usize]| {
            let all = [
                format!("http://127.0.0.1:{}/cb", ports[0]),
                format!("http://localhost:{}/cb", ports[1]),
                format!("http://[::1]:{}/cb", ports[2]),
                "https://app.example/cb".to_owned(),
            ];
            order.iter().map(|at| all[*at].clone()).collect::<Vec<_>>()
        };
        let plain = serde_json::json!({
            "client_name": name, "token_endpoint_auth_method": "none",
            "redirect_uris": uris(&[1, 2, 3], &[0, 1, 2, 3]),
        });
        // The same members in another order, with another port each and a member nobody knows.
        let bent = format!(
            "{{\"redirect_uris\": {}, {}: {}, \"token_endpoint_auth_method\": \"none\", \"client_name\": {}}}",
            serde_json::json!(uris(&ports, &order)),
            serde_json::json!(unknown),
            serde_json::json!(text),
            serde_json::json!(name),
        );
        let bent: Value = serde_json::from_str(&bent).unwrap();
        let id = run(&plain).unwrap().content_address();
        prop_assert_eq!(&run(&bent).unwrap().content_address(), &id);
        prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        // Each member that is stored, shown or enforced makes another client.
        for (member, value) in [
            ("client_name", serde_json::json!(format!("{name}x"))),
            ("client_uri", serde_json::json!("https://app.example/")),
            ("contacts", serde_json::json!(["a@app.example"])),
            ("logo_uri", serde_json::json!("https://app.example/logo.png")),
            ("scope", serde_json::json!("a")),
            ("application_type", serde_json::json!("native")),
            ("grant_types", serde_json::json!(["authorization_code", "refresh_token"])),
            ("redirect_uris", serde_json::json!(["http://127.0.0.1/cb"])),
        ] {
            let mut other = plain.clone();
            other[member] = value;
            prop_assert_ne!(&run(&other).unwrap().content_address(), &id, "{}", member);
        }
    }
}
