//! Tables of deviations: one good request, one thing wrong with it, one answer.

use tests::{Browser, Client, Parameters, Post, Reply, World};

/// A deviation of an authorization request that is answered by redirect.
pub(crate) struct Redirected {
    pub(crate) requirement: &'static str,
    pub(crate) deviation: fn(&mut Parameters),
    pub(crate) error: &'static str,
}

/// A deviation of an authorization request that is answered by a page, and never by redirect.
pub(crate) struct Shown {
    pub(crate) requirement: &'static str,
    pub(crate) deviation: fn(&mut Parameters),
    pub(crate) error: &'static str,
}

/// A deviation of a request to the token or revocation endpoint.
pub(crate) struct Refused {
    pub(crate) requirement: &'static str,
    pub(crate) deviation: fn(&mut Post),
    pub(crate) status: u16,
    pub(crate) error: &'static str,
}

/// Asks in each deviating way; the client is told by redirect, with its state and our issuer.
pub(crate) async fn are_redirected(world: &World, client: &Client, cases: &[Redirected]) {
    let mut browser = Browser::new(world);
    for Redirected { requirement, deviation, error } in cases {
        let mut request = client.authorization();
        let good = browser.visit(&request.url()).await;
        assert!(good.asks_to_sign_in(), "{requirement}: the good request is not good");
        deviation(&mut request.parameters);
        let reply = browser.open(&request.url()).await.reply;
        let told = tests::Callback::of(&reply);
        assert!(told.url.as_str().starts_with(&client.redirect_uri), "{requirement}");
        assert_eq!(told.value("error"), *error, "{requirement}");
        assert_eq!(told.value("state"), "a state of the client", "{requirement}");
        assert_eq!(told.value("iss"), world.issuer, "{requirement}");
        assert!(told.value("error_description").contains(requirement), "{told:?}");
        assert!(!told.parameters.contains_key("code"), "{requirement}");
    }
}

/// Asks in each deviating way; the person sees a page, and the browser is sent nowhere.
pub(crate) async fn are_shown(world: &World, client: &Client, cases: &[Shown]) {
    let mut browser = Browser::new(world);
    for Shown { requirement, deviation, error } in cases {
        let mut request = client.authorization();
        let good = browser.visit(&request.url()).await;
        assert!(good.asks_to_sign_in(), "{requirement}: the good request is not good");
        deviation(&mut request.parameters);
        let reply = browser.open(&request.url()).await.reply;
        is_error_page(&reply, requirement);
        assert!(reply.text.contains(error), "{requirement}: {}", reply.text);
        assert!(reply.text.contains(requirement), "{requirement}: {}", reply.text);
        assert!(!reply.text.contains("<a "), "{requirement}: the page leads somewhere");
    }
}

/// A page with status 400 that sends the browser nowhere.
pub(crate) fn is_error_page(reply: &Reply, about: &str) {
    assert_eq!(reply.status, 400, "{about}: {}", reply.text);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{about}");
    assert_eq!(reply.header("location"), "", "{about}");
}

/// Sends the request with the deviation and reads the refusal.
pub(crate) async fn is_refused(good: &Post, case: &Refused) {
    let mut post = good.clone();
    (case.deviation)(&mut post);
    let reply = post.send().await;
    is_problem(&reply, case.status, case.error, case.requirement);
    assert!(reply.text.contains(case.requirement), "{}: {}", case.requirement, reply.text);
}

/// An error body as RFC 6749 section 5.2 has it, which no cache keeps.
pub(crate) fn is_problem(reply: &Reply, status: u16, error: &str, about: &str) {
    assert_eq!((reply.status, &*reply.error()), (status, error), "{about}: {}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json", "{about}");
    assert_eq!(reply.header("cache-control"), "no-store", "{about}");
}
