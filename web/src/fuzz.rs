//! What browsers, clients and proxies send, in every form that `fuzz` can think of.

use std::net::{IpAddr, Ipv4Addr};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, FORWARDED},
};
use url::Url;

use crate::{client_address::TrustedProxies, cookie::Cookie, form::Form};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

#[test]
fn a_form_gives_each_field_once() {
    let seeds: [&[u8]; 3] =
        [b"request=abc&username=a%40b.c&password=%20+%C3%A9", b"a=1&a=2&=&&", b"%61=1&a=%ff"];
    fuzz::run("form", &seeds, |input| {
        let form = Form::parse(input).map_err(|error| error.to_string())?;
        for (name, value) in url::form_urlencoded::parse(input) {
            match form.one(&name) {
                Ok(Some(one)) => assert_eq!(one, value),
                Ok(None) => assert!(value.is_empty()),
                Err(_) => assert!(form.all(&name).count() > 1),
            }
        }
        Ok::<_, String>(format!("{form:?}"))
    });
}

#[test]
fn a_cookie_reads_as_it_was_set_and_never_from_two() {
    let cookie = Cookie::new("auth", "session", &Url::parse("https://auth.example/").unwrap());
    let own = format!("{}=abc; other=1", cookie.name());
    let twice = format!("{0}=a; {0}=b", cookie.name());
    fuzz::run("cookie", &[own.as_bytes(), twice.as_bytes(), b"=; a; ;="], |input| {
        let mut headers = HeaderMap::new();
        for line in input.split(|byte| *byte == b'\n') {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(COOKIE, value);
            }
        }
        let read = cookie.read(&headers).map(|value| value.map(str::to_owned));
        let text = String::from_utf8_lossy(input);
        if let Ok(set) = cookie.set(&text, None) {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut back = HeaderMap::new();
            back.insert(COOKIE, pair.parse().unwrap());
            assert_eq!(cookie.read(&back), Ok(Some(&*text)));
        }
        format!("{read:?}")
    });
}

#[test]
fn forwarding_headers_of_strangers_change_nothing() {
    let seeds: [&[u8]; 5] = [
        b"for=192.0.2.60;proto=http, for=\"[2001:db8::1]:4711\"",
        b"for=unknown, for=_hidden",
        b"192.0.2.1, 10.0.0.1",
        b"[2001:db8::2]:80",
        b"for=\"192.0.2.43:47011\",for=10.0.0.2\n198.51.100.7",
    ];
    let proxies = TrustedProxies::parse(&["10.0.0.0/8"]).unwrap();
    fuzz::run("forwarded", &seeds, |input| {
        let mut headers = HeaderMap::new();
        for (number, line) in input.split(|byte| *byte == b'\n').enumerate() {
            let Ok(value) = HeaderValue::from_bytes(line) else { continue };
            let x_forwarded_for = HeaderName::from_static("x-forwarded-for");
            headers.append(
                if number % 2 == 0 { FORWARDED } else { x_forwarded_for.clone() },
                value.clone(),
            );
            headers.append(x_forwarded_for, value);
        }
        let stranger = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
        assert_eq!(proxies.client_address(stranger, &headers), stranger);
        proxies.client_address(PROXY, &headers)
    });
}
