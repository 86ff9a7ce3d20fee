//! PKCE (RFC 7636): S256 for every client, always.

use tests::{Browser, Choice, Client, ENGINES, Options, Tokens, World, challenge_of, new_verifier};

use crate::cases::{Redirected, Refused, are_redirected, is_problem, is_refused};

#[tokio::test]
async fn a_request_without_a_good_challenge_is_refused() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let cases = [
        Redirected {
            requirement: "RFC 7636 section 4.4.1",
            deviation: |r| r.remove("code_challenge"),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.3",
            deviation: |r| r.set("code_challenge_method", "plain"),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.3",
            // A request without a method means `plain`.
            deviation: |r| r.remove("code_challenge_method"),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.3",
            deviation: |r| r.set("code_challenge_method", "s256"),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.2",
            deviation: |r| r.set("code_challenge", &"A".repeat(42)),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.2",
            deviation: |r| r.set("code_challenge", &"A".repeat(44)),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.2",
            deviation: |r| r.set("code_challenge", &"A".repeat(128)),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.2",
            deviation: |r| r.set("code_challenge", &"+".repeat(43)),
            error: "invalid_request",
        },
        Redirected {
            requirement: "RFC 7636 section 4.2",
            deviation: |r| r.set("code_challenge", &format!("{}=", "A".repeat(43))),
            error: "invalid_request",
        },
    ];
    are_redirected(&world, &client, &cases).await;
}

#[tokio::test]
async fn clients_with_a_secret_need_a_challenge_too() {
    let world = World::start().await;
    let client = Client::partner(&world).await;
    let cases = [Redirected {
        requirement: "RFC 7636 section 4.4.1",
        deviation: |r| r.remove("code_challenge"),
        error: "invalid_request",
    }];
    are_redirected(&world, &client, &cases).await;
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let cases = [
        Refused {
            requirement: "RFC 7636 section 4.5",
            deviation: |r| r.remove("code_verifier"),
            status: 400,
            error: "invalid_grant",
        },
        Refused {
            requirement: "RFC 7636 section 4.6",
            deviation: |r| r.set("code_verifier", &new_verifier()),
            status: 400,
            error: "invalid_grant",
        },
        Refused {
            requirement: "RFC 7636 section 4.6",
            // The challenge itself, as `plain` would have it.
            deviation: |r| {
                let verifier = r.parameters.value("code_verifier").unwrap().to_owned();
                r.set("code_verifier", &challenge_of(&verifier));
            },
            status: 400,
            error: "invalid_grant",
        },
        Refused {
            requirement: "RFC 7636 section 4.1",
            deviation: |r| r.set("code_verifier", &"v".repeat(42)),
            status: 400,
            error: "invalid_grant",
        },
        Refused {
            requirement: "RFC 7636 section 4.1",
            deviation: |r| r.set("code_verifier", &"v".repeat(129)),
            status: 400,
            error: "invalid_grant",
        },
        Refused {
            requirement: "RFC 7636 section 4.1",
            deviation: |r| r.set("code_verifier", &"v+".repeat(30)),
            status: 400,
            error: "invalid_grant",
        },
    ];
    for case in &cases {
        let code = client.code(&mut browser).await;
        let good = client.exchange(&code);
        is_refused(&good, case).await;
        // A failed exchange spends nothing.
        Tokens::of(&good.send().await);
    }
}

#[tokio::test]
async fn a_verifier_of_128_characters_is_as_good_as_one_of_43() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    for verifier in ["-._~".repeat(32), "a".repeat(43)] {
        let mut request = client.authorization().with("code_challenge", &challenge_of(&verifier));
        request.verifier = verifier;
        let code = client.code_of(&mut browser, request, Choice::default()).await;
        Tokens::of(&client.exchange(&code).send().await);
    }
}

#[tokio::test]
async fn three_wrong_verifiers_burn_the_code() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let mut browser = Browser::new(&world);
        for (wrong, survives) in [(2, true), (3, false)] {
            let code = client.code(&mut browser).await;
            let good = client.exchange(&code);
            let mut bad = good.clone();
            bad.set("code_verifier", &new_verifier());
            for _ in 0..wrong {
                is_problem(&bad.send().await, 400, "invalid_grant", "RFC 7636 section 4.6");
            }
            let reply = good.send().await;
            if survives {
                Tokens::of(&reply);
            } else {
                is_problem(&reply, 400, "invalid_grant", "RFC 6749 section 4.1.2");
            }
        }
    }
}

#[tokio::test]
async fn only_the_clients_own_guesses_count() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let kiosk = Client::kiosk(&world).await;
    let code = client.code(&mut Browser::new(&world)).await;
    for _ in 0..5 {
        let mut post = kiosk.exchange(&code);
        post.set("code_verifier", &new_verifier());
        is_problem(&post.send().await, 400, "invalid_grant", "RFC 6749 section 4.1.3");
        // A client that forgot its verifier has guessed nothing.
        let mut post = client.exchange(&code);
        post.remove("code_verifier");
        is_problem(&post.send().await, 400, "invalid_grant", "RFC 7636 section 4.5");
    }
    Tokens::of(&client.exchange(&code).send().await);
}

#[tokio::test]
async fn a_code_never_works_with_the_verifier_of_another_code() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let mut browser = Browser::new(&world);
    let (one, other) = (client.code(&mut browser).await, client.code(&mut browser).await);
    let mut swapped = client.exchange(&one);
    swapped.set("code_verifier", &other.verifier);
    is_problem(&swapped.send().await, 400, "invalid_grant", "RFC 7636 section 4.6");
}
