//! Whatever a stranger sends to any public address of either service: there is no fault, every
//! refusal has its name, nothing is echoed that a browser would run, and nobody else notices.

use std::{fs, path::Path, time::Duration};

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tests::{Browser, Client, ENGINES, Mcp, Options, Reply, World, headers};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Every path of auth-server, and what a stranger may make of them.
const ISSUER_PATHS: [&str; 28] = [
    "/",
    "//",
    "/%00",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/.well-known/",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/account",
    "/account/confirm",
    "/account/keys",
    "/account/keys/new",
    "/account/password",
    "/authorize",
    "/consent",
    "/healthz",
    "/introspect",
    "/jwks",
    "/login",
    "/login/nobody",
    "/login/%ff/callback",
    "/logout",
    "/readyz",
    "/register",
    "/register/%ff%00..",
    "/register/x%00",
    "/revoke",
    "/token",
    "/userinfo",
];

const GATEWAY_PATHS: [&str; 15] = [
    "/",
    "/authorize",
    "/healthz",
    "/mcp",
    "/mcp/",
    "/mcp/%ff",
    "/mcp/server-card",
    "/mcp%00",
    "/openapi.json",
    "/readyz",
    "/.well-known/jwks.json",
    "/.well-known/mcp.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
];

/// Each payload is sent by the first two, and by the others in turn.
const METHODS: [&str; 9] =
    ["GET", "POST", "BREW", "DELETE", "HEAD", "OPTIONS", "PATCH", "PUT", "TRACE"];

const FORM: &str = "application/x-www-form-urlencoded";
const MARK: &str = "<script>alert(1)</script>";

/// Bodies, which also stand in the query.
fn payloads() -> Vec<String> {
    let all = [
        "",
        "%",
        "%ff%fe=%c3%28&%=%",
        "=&&=&;;",
        "client_id=%00&redirect_uri=%00&code=%00&token=%00&refresh_token=%00",
        "client_id[]=a&client_id[x]=b&grant_type[]=authorization_code",
        "grant_type=authorization_code&code=ac_&client_id=kiosk&code_verifier=",
        "grant_type=refresh_token&refresh_token=rt_AAAA&client_id=kiosk",
        "grant_type=client_credentials&client_id=partner&client_secret=%ff",
        "grant_type=authorization_code&client_assertion=..&client_assertion_type=urn:ietf:params:\
         oauth:client-assertion-type:jwt-bearer",
        "response_type=code&client_id=https://127.0.0.1/x&redirect_uri=javascript:alert(1)",
        "response_type=code&client_id=kiosk&redirect_uri=https://kiosk.example/callback&max_age=-0",
        "request=eyJhbGciOiJub25lIn0.e30.&request_uri=file:///etc/passwd",
        "token=eyJhbGciOiJub25lIn0.e30.&token_type_hint=%00",
        "username=%00&password=%ff&request=AAAA",
        "decision=approve&request=....&scope=*&workspace=*",
        r#"{"redirect_uris":["https://a.example/cb"],"jwks":{"keys":[null,1,{}]}}"#,
        r#"{"redirect_uris":null,"client_name":{"a":[]},"contacts":1e999}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
        r#"{"a":1,"a":2}"#,
        "\u{feff}{}",
        "null",
    ];
    let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    let long = "a".repeat(12_000);
    all.push(format!("client_id={MARK}&redirect_uri={MARK}&state={MARK}&scope={MARK}"));
    all.push(format!(r#"{{"client_name":"{MARK}","redirect_uris":["{MARK}"]}}"#));
    all.push(format!("state={long}&client_id={long}"));
    all.push("[".repeat(10_000));
    all.push("a=b&".repeat(2_000));
    all
}

/// What a body is said to be, and who is said to send it.
fn heads() -> Vec<HeaderMap> {
    vec![
        HeaderMap::new(),
        headers([("content-type", FORM)]),
        headers([("content-type", "application/json")]),
        headers([
            ("authorization", "Basic ===="),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-16"),
        ]),
        headers([("authorization", "Basic OnBhcnRuZXI6"), ("content-type", FORM)]),
        headers([("authorization", "Bearer a.b.c"), ("content-type", "application/json")]),
        headers([("authorization", "Bearer"), ("content-type", "multipart/form-data")]),
        headers([
            ("content-type", FORM),
            ("cookie", "=; a; vestibule-auth-session=%00; __Host-x=\"; ;;"),
            ("origin", "null"),
        ]),
        headers([
            ("accept", ";q=x,,*/"),
            ("content-encoding", "gzip"),
            ("content-type", "application/json, application/x-www-form-urlencoded"),
        ]),
        headers([
            ("forwarded", "for=\"[::\";;for=_x"),
            ("if-none-match", "\"\",W/"),
            ("range", "bytes=9-1"),
            ("x-forwarded-for", "999.1.1.1, ,::1%eth0"),
        ]),
    ]
}

/// What every answer is, whatever it answers.
fn is_sound(reply: &Reply, method: &Method, about: &str) {
    assert!(reply.status < 500, "{about}: {} {}", reply.status, reply.text);
    let leaks = reply.text.contains("panicked") || reply.text.contains(".rs:");
    assert!(!leaks, "{about}: {}", reply.text);
    for header in ["server", "x-powered-by"] {
        assert_eq!(reply.header(header), "", "{about}");
    }
    let media = reply.header("content-type");
    if media.starts_with("text/html") {
        assert!(!reply.text.contains(MARK), "{about}: {}", reply.text);
        assert_eq!(reply.header("cache-control"), "no-store", "{about}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{about}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{about}: {policy}");
    } else if !reply.text.is_empty() {
        assert!(media.contains("json"), "{about}: {} {media:?} {}", reply.status, reply.text);
        is_named(reply, &reply.json(), about);
    } else if *method != Method::HEAD {
        let is_challenged = !reply.header("www-authenticate").is_empty();
        assert!(reply.status < 400 || is_challenged, "{about}: a bare {}", reply.status);
    }
    if let Some(leads) = reply.location() {
        let host = leads.host_str().unwrap_or_default();
        let known = ["kiosk.example", "localhost", "partner.example"];
        assert!(known.contains(&host), "{about}: {leads}");
    }
}

/// A refusal says by a word or a number what it is.
fn is_named(reply: &Reply, body: &Value, about: &str) {
    let has_name = match &body["error"] {
        Value::String(name) => !name.is_empty(),
        error => error["code"].is_i64(),
    };
    let is_health = body["status"].is_string();
    assert!(reply.status < 400 || has_name || is_health, "{about}: {} {body}", reply.status);
}

/// Sends everything everywhere, and says how much that was.
async fn sweep(world: &World, origin: &str, paths: &[&str]) -> usize {
    let (payloads, heads) = (payloads(), heads());
    let mut sent = 0;
    for (at, path) in paths.iter().enumerate() {
        for (number, payload) in payloads.iter().enumerate() {
            let (always, others) = METHODS.split_at(2);
            let third = others[(at + number) % others.len()];
            for (turn, method) in always.iter().copied().chain([third]).enumerate() {
                // Each payload comes with every head in its turn.
                let mut head = heads[(at + number + turn) % heads.len()].clone();
                if head.get("x-forwarded-for").is_none() {
                    // Somebody new each time, so that no limit stands before what is asked.
                    let from = format!("198.51.{}.{}", sent / 250 % 250, sent % 250);
                    head.insert("x-forwarded-for", from.parse().unwrap());
                }
                let url = match turn {
                    1 => format!("{origin}{path}"),
                    _ => format!("{origin}{path}?{}", as_query(payload)),
                };
                let about = format!("{method} {path} {payload:.60} {head:?}");
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let body = if turn == 0 { String::new() } else { payload.clone() };
                let body = if method == Method::TRACE { String::new() } else { body };
                let reply = world.http.send(method.clone(), &url, head, body).await;
                is_sound(&reply, &method, &about);
                sent += 1;
            }
        }
    }
    sent
}

/// A payload as a query, as far as one can be: what is no form is encoded.
fn as_query(payload: &str) -> String {
    if payload.starts_with(['{', '[', '\u{feff}']) {
        return url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
    }
    payload.chars().filter(char::is_ascii_graphic).collect()
}

#[tokio::test]
async fn no_stranger_causes_a_fault_at_auth_server() {
    for store in ENGINES {
        let world = World::with(Options { store, ..Options::default() }).await;
        let client = Client::public(&world).await;
        let tokens = client.tokens(&mut Browser::new(&world)).await;
        let sent = sweep(&world, &world.issuer, &ISSUER_PATHS).await;
        assert!(sent > 2_000, "{sent}");
        // Nobody noticed.
        let tokens = client.refreshed(&tokens.refresh).await;
        client.refreshed(&tokens.refresh).await;
        client.tokens(&mut Browser::new(&world)).await;
    }
}

#[tokio::test]
async fn no_stranger_causes_a_fault_at_the_gateway() {
    let world = World::demo().await;
    let client = Client::public(&world).await;
    let tokens = client.tokens(&mut Browser::new(&world)).await;
    let sent = sweep(&world, &world.gateway_url(""), &GATEWAY_PATHS).await;
    assert!(sent > 1_000, "{sent}");
    let mcp = Mcp::new(&world, Some(&tokens));
    let reply = mcp.call("list_contacts", json!({ "workspace_id": "ws_acme" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// The paths that a source gives to its router: what stands between `before` and a quotation mark.
fn routes<'a>(source: &'a str, before: &str) -> Vec<&'a str> {
    source.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Whether a path is one of a route's, whose parts in braces are anything.
fn is_of(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let fits = |(wanted, part): (&&str, &&str)| wanted.starts_with('{') || wanted == part;
    route.len() == path.len() && route.iter().zip(&path).all(fits)
}

#[test]
fn every_route_of_both_services_is_swept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let auth = read("auth-server/src/routes.rs");
    let (public, _) = auth.split_once("pub fn internal_router").unwrap();
    let gateway = read("gateway/src/routes.rs");
    let mut of_auth: Vec<String> = vec!["/authorize".to_owned()];
    of_auth.extend(routes(public, "path(\"").into_iter().map(str::to_owned));
    of_auth.extend(routes(public, "route(\"").into_iter().map(str::to_owned));
    // An endpoint, wherever it is, and what is below it.
    of_auth.extend(public.split("&endpoints.").skip(1).map(|rest| {
        let (name, rest) = rest.split_once(", \"").unwrap();
        format!("/{name}{}", rest.split('"').next().unwrap())
    }));
    let of_gateway = [routes(&gateway, "route(\""), routes(&gateway, "&str = \"/")].concat();
    assert!(of_auth.len() > 15 && of_gateway.len() > 5, "{of_auth:?} {of_gateway:?}");
    for route in of_auth {
        assert!(ISSUER_PATHS.iter().any(|path| is_of(&route, path)), "{route} is not swept");
    }
    for route in of_gateway {
        let swept = |path: &&str| path.trim_start_matches('/') == route.trim_start_matches('/');
        assert!(GATEWAY_PATHS.iter().any(swept), "{route} is not swept");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_answered_as_a_name_that_nobody_has() {
    let world = World::start().await;
    for (known, strange) in [
        ("/register/nobody", ["/register/%ff", "/register/%c3%28", "/register/x%00"]),
        ("/login/nobody", ["/login/%ff", "/login/%c3%28", "/login/x%00"]),
        (
            "/login/nobody/callback",
            ["/login/%ff/callback", "/login/%c3%28/callback", "/login/x%00/callback"],
        ),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let ask = async |path: &str| {
                let bearer = headers([("authorization", "Bearer token"), ("content-type", "a/b")]);
                world.http.send(method.clone(), &world.url(path), bearer, "{}".to_owned()).await
            };
            let neighbour = ask(known).await;
            assert!(neighbour.status >= 400, "{method} {known}");
            for path in strange {
                let reply = ask(path).await;
                let of = |reply: &Reply| {
                    let media = reply.header("content-type").to_owned();
                    (reply.status, media, reply.text.clone())
                };
                assert_eq!(of(&reply), of(&neighbour), "{method} {path}");
            }
        }
    }
    let page = world.http.get(&world.url("/login/%ff")).await.expect_status(404);
    assert!(page.header("content-type").starts_with("text/html"), "people come by there");
    let refused = world.http.get(&world.url("/register/%ff")).await.expect_status(401);
    assert_eq!(refused.error(), "invalid_token");
}

#[tokio::test]
async fn who_is_no_gateway_learns_nothing_of_the_internal_interface() {
    let world = World::start().await;
    let base = world.internal().await;
    for (method, path, status) in [
        (Method::GET, "/internal/events?seq=x", 401),
        (Method::GET, "/internal/events?epoch=%ff&seq=-1&seq=2", 401),
        (Method::POST, "/internal/principals", 401),
        (Method::POST, "/internal/usage", 401),
        (Method::DELETE, "/internal/usage", 405),
        (Method::GET, "/internal/%ff", 404),
    ] {
        let url = format!("{base}{path}");
        let reply = world.http.send(method.clone(), &url, HeaderMap::new(), "{".to_owned()).await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert_ne!(reply.error(), "", "{method} {path}");
    }
}

/// What comes back for these bytes; the server may close at once.
async fn raw(origin: &str, bytes: &[u8]) -> String {
    let address = origin.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).await.unwrap();
    // What is refused early may be closed before all of it was sent.
    let _all_taken = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let _closed = read.expect("an end of the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_that_are_no_http_are_refused_and_cost_the_connection_alone() {
    let world = World::demo().await;
    let gateway = world.gateway_url("");
    for origin in [&world.issuer, &gateway] {
        let host = origin.trim_start_matches("http://");
        let with = |line: &str, more: &str| {
            format!("{line}\r\nhost: {host}\r\n{more}connection: close\r\n\r\n").into_bytes()
        };
        let long = "a".repeat(60_000);
        let chunked = "content-type: application/x-www-form-urlencoded\r\n\
                       transfer-encoding: chunked\r\n";
        let both = "content-length: 4\r\ntransfer-encoding: chunked\r\n";
        let two = "content-length: 4\r\ncontent-length: 5\r\n";
        let broken =
            [with("POST /token HTTP/1.1", chunked), b"zz\r\nnothing\r\n".to_vec()].concat();
        for (about, bytes) in [
            ("no host", b"GET /jwks HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec()),
            ("two hosts", with("GET /jwks HTTP/1.1", "host: evil.example\r\n")),
            ("every resource", with("OPTIONS * HTTP/1.1", "")),
            ("a tunnel", with("CONNECT evil.example:443 HTTP/1.1", "")),
            ("another authority", with("GET http://evil.example/jwks HTTP/1.1", "")),
            ("another version", with("GET /jwks HTTP/3.0", "")),
            ("no version", b"GET /jwks\r\n\r\n".to_vec()),
            ("a space", with("GET /jw ks HTTP/1.1", "")),
            ("bytes in the path", [b"GET /\xff\x80".to_vec(), with(" HTTP/1.1", "")].concat()),
            ("a long path", with(&format!("GET /{long} HTTP/1.1"), "")),
            ("a long head", with("GET /jwks HTTP/1.1", &format!("x-a: {long}\r\n"))),
            ("many lines", with("GET /jwks HTTP/1.1", &"x-a: b\r\n".repeat(200))),
            ("a folded line", with("GET /jwks HTTP/1.1", "x-a: b\r\n c\r\n")),
            ("a null", with("GET /jwks HTTP/1.1", "x-a: b\0c\r\n")),
            ("two lengths", with("POST /token HTTP/1.1", two)),
            (
                "a length and chunks",
                [with("POST /token HTTP/1.1", both), b"0\r\n\r\n".to_vec()].concat(),
            ),
            ("chunks that are none", broken),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ] {
            let answer = raw(origin, &bytes).await;
            let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
            let is_refused = status.is_none_or(|status| status.starts_with('4'));
            assert!(is_refused, "{about} at {origin}: {answer:.200}");
        }
        let good = raw(origin, &with("GET /healthz HTTP/1.1", "")).await;
        assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    }
}
