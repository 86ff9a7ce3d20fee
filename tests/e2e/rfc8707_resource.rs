//! Resource indicators (RFC 8707 section 2): a token names exactly one resource.

use shared::deployment::{Deployment, RawDeployment};
use tests::{Browser, Choice, Client, Judge, Options, RESOURCE, RESOURCE_STRICT, Tokens, World};

use crate::cases::{Redirected, Refused, are_redirected, is_refused};

#[tokio::test]
async fn a_resource_that_is_not_here_is_refused() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let cases = [
        Redirected {
            requirement: "RFC 8707 section 2",
            deviation: |r| r.set("resource", "https://elsewhere.example/mcp"),
            error: "invalid_target",
        },
        Redirected {
            requirement: "RFC 8707 section 2",
            deviation: |r| r.set("resource", "/mcp"),
            error: "invalid_target",
        },
        Redirected {
            requirement: "RFC 8707 section 2",
            deviation: |r| r.set("resource", "http://localhost:7400/mcp#fragment"),
            error: "invalid_target",
        },
        Redirected {
            requirement: "RFC 8707 section 2",
            deviation: |r| r.set("resource", "http://user@localhost:7400/mcp"),
            error: "invalid_target",
        },
        Redirected {
            requirement: "RFC 8707 section 2",
            deviation: |r| r.set("resource", "http://localhost:7400/mcp/"),
            error: "invalid_target",
        },
        Redirected {
            requirement: "RFC 8707 section 2",
            deviation: |r| r.set("resource", "http://localhost:7400/MCP"),
            error: "invalid_target",
        },
        Redirected {
            requirement: "RFC 8707 section 2",
            // One that is here does not excuse one that is not.
            deviation: |r| r.add("resource", "https://elsewhere.example/mcp"),
            error: "invalid_target",
        },
    ];
    are_redirected(&world, &client, &cases).await;
}

#[tokio::test]
async fn without_a_resource_the_default_one_is_meant() {
    let world = World::start().await;
    let mut client = Client::public(&world).await;
    client.resource = None;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
}

#[tokio::test]
async fn without_a_default_a_resource_must_be_named() {
    let edit = |text: String| text.replace("default = true\n", "");
    let world = World::with(Options { edit, ..Options::default() }).await;
    let client = Client::public(&world).await;
    let cases = [Redirected {
        requirement: "RFC 8707 section 2",
        deviation: |r| r.remove("resource"),
        error: "invalid_target",
    }];
    are_redirected(&world, &client, &cases).await;
}

#[tokio::test]
async fn a_resource_is_known_by_its_url_however_its_host_is_written() {
    let world = World::start().await;
    let mut client = Client::public(&world).await;
    client.resource = Some("HTTP://LocalHost:7400/mcp".to_owned());
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    // The token names it as the deployment does.
    Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
}

#[tokio::test]
async fn a_token_for_one_resource_is_none_for_another() {
    let world = World::start().await;
    let mut client = Client::public(&world).await;
    client.resource = Some(RESOURCE_STRICT.to_owned());
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    assert_eq!(tokens.scope, "ledger:read");
    let judge = Judge::of(&world).await;
    judge.access_token(&world, &tokens.access, RESOURCE_STRICT);
    assert!(judge.claims(&tokens.access, RESOURCE).is_err());
}

#[tokio::test]
async fn the_exchange_stays_within_the_grant() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    let good = client.exchange(&code);
    for case in [
        Refused {
            requirement: "RFC 8707 section 2.2",
            deviation: |r| r.set("resource", RESOURCE_STRICT),
            status: 400,
            error: "invalid_target",
        },
        Refused {
            requirement: "RFC 8707 section 2.2",
            deviation: |r| r.set("resource", "https://elsewhere.example/mcp"),
            status: 400,
            error: "invalid_target",
        },
        Refused {
            requirement: "RFC 8707 section 2.2",
            deviation: |r| r.parameters.add("resource", RESOURCE_STRICT),
            status: 400,
            error: "invalid_target",
        },
    ] {
        is_refused(&good, &case).await;
    }
    let mut without = good;
    without.remove("resource");
    let tokens = Tokens::of(&without.send().await);
    Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
}

#[tokio::test]
async fn a_grant_for_several_resources_needs_one_named_unless_the_default_is_among_them() {
    let edit = |text: String| text.replace("default = true\n", "");
    for (options, good) in
        [(Options { edit, ..Options::default() }, false), (Options::default(), true)]
    {
        let world = World::with(options).await;
        let client = Client::public(&world).await;
        let mut request = client.authorization();
        request.parameters.add("resource", RESOURCE_STRICT);
        let code = client.code_of(&mut Browser::new(&world), request, Choice::default()).await;
        let mut post = client.exchange(&code);
        post.remove("resource");
        let reply = post.send().await;
        if good {
            let tokens = Tokens::of(&reply);
            Judge::of(&world).await.access_token(&world, &tokens.access, RESOURCE);
        } else {
            assert_eq!(reply.error(), "invalid_target", "RFC 8707 section 2.2");
            Tokens::of(&client.exchange(&code).send().await);
        }
    }
}

#[tokio::test]
async fn the_person_sees_every_resource_that_is_asked_for() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut request = client.authorization();
    request.parameters.add("resource", RESOURCE_STRICT);
    let page = Browser::new(&world).reach_consent(&request.url()).await;
    assert!(page.reply.text.contains("Northwind CRM, Northwind ledger"));
    assert_eq!(page.form().offered("scope"), ["contacts:read", "contacts:write", "ledger:read"]);
}

/// Tokens with the issuer as audience only sign people in, and no resource may take them.
#[test]
fn a_resource_is_neither_the_issuer_nor_owner_of_sign_in_scopes() {
    let issuer = "https://auth.example";
    for (url, scope, fits) in [
        ("https://auth.example/mcp", "contacts:read", true),
        ("https://auth.example", "contacts:read", false),
        ("https://auth.example/", "contacts:read", false),
        ("https://auth.example/mcp", "openid", false),
        ("https://auth.example/mcp", "email", false),
    ] {
        let resource = format!(
            "url = \"{url}\"\nname = \"CRM\"\ndefault_scopes = []\nprm_scopes = []\n\
             scope = [{{ name = \"{scope}\", description = \"See it\" }}]"
        );
        let raw = format!("name = \"CRM\"\nissuer = \"{issuer}\"");
        let raw: RawDeployment = toml::from_str(&raw).unwrap();
        let resource = toml::from_str(&resource).unwrap();
        let resolved = Deployment::resolve(raw, vec![resource]);
        assert_eq!(resolved.is_ok(), fits, "{url} {scope}: {resolved:?}");
    }
}
