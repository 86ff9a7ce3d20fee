//! Request objects (RFC 9101) are not supported, and never fetched.

use tests::{Client, World};

use crate::cases::{Redirected, are_redirected};

#[tokio::test]
async fn a_request_object_is_refused_by_name() {
    let world = World::start().await;
    let client = Client::public(&world).await;
    let cases = [
        Redirected {
            requirement: "RFC 9101 section 7",
            deviation: |r| r.add("request", "eyJhbGciOiJub25lIn0.e30."),
            error: "request_not_supported",
        },
        Redirected {
            requirement: "RFC 9101 section 7",
            deviation: |r| r.add("request_uri", "http://169.254.169.254/latest"),
            error: "request_not_supported",
        },
        Redirected {
            requirement: "RFC 9101 section 7",
            deviation: |r| r.add("request_uri", "urn:ietf:params:oauth:request_uri:1"),
            error: "request_not_supported",
        },
    ];
    are_redirected(&world, &client, &cases).await;
}
