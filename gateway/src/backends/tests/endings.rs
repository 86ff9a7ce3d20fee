//! The end of pooled sessions.

use super::*;

#[tokio::test]
async fn a_session_whose_call_was_given_up_is_ended_and_not_lent_again() {
    let opened = Mutex::new(0);
    let double = Double::start(move |seen| match (&seen.method, seen.rpc_method()) {
        (&HttpMethod::DELETE, _) => respond(200, "text/plain", ""),
        (_, "initialize") => {
            let mut opened = opened.lock().unwrap();
            *opened += 1;
            let mut response = both_eras(seen);
            let id = HeaderValue::from_str(&format!("s{opened}")).unwrap();
            response.headers_mut().insert("mcp-session-id", id);
            response
        }
        (_, "tools/call") => {
            let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(": at work\n\n"))]);
            respond(200, "text/event-stream", Body::from_stream(begun.chain(stream::pending())))
        }
        (_, "server/discover") => respond(404, "text/plain", ""),
        _ => both_eras(seen),
    })
    .await;
    let gateway = Gateway::start(&double, "session = \"pooled\"").await;
    let sessions = || {
        let seen = double.seen().into_iter();
        let calls = seen.filter(|seen| seen.rpc_method() == "tools/call");
        calls.map(|seen| seen.headers["mcp-session-id"].clone()).collect::<Vec<_>>()
    };
    drop(gateway.send(&tools_call()).await.unwrap());
    drop(gateway.send(&tools_call()).await.unwrap());
    assert_eq!(sessions(), ["s2", "s3"]);
    let ended = async {
        loop {
            let ended = double.seen().into_iter().find(|seen| {
                seen.method == HttpMethod::DELETE && seen.headers["mcp-session-id"] == "s2"
            });
            match ended {
                Some(ended) => return ended,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap();
    let claims = claims_of(&ended);
    let calls = double.seen().into_iter().find(|seen| seen.rpc_method() == "tools/call").unwrap();
    assert_eq!((&claims["kind"], &claims["sub"]), (&"person".into(), &claims_of(&calls)["sub"]));
    // Nobody is spoken for whose credential has ended.
    gateway.app.clock.advance(Duration::from_hours(2));
    drop(gateway.send(&tools_call()).await.unwrap());
    let as_itself =
        async {
            while !double.seen().iter().any(|seen| {
                seen.method == HttpMethod::DELETE && claims_of(seen)["kind"] == "gateway"
            }) {
                tokio::task::yield_now().await;
            }
        };
    tokio::time::timeout(Duration::from_secs(5), as_itself).await.unwrap();
}

/// What an identity says, unverified.
fn claims_of(seen: &Seen) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = seen.headers["authorization"].to_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
