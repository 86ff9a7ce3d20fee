//! Cookies of our own (RFC 6265 section 5): their names, how they are read, how they are set.
//!
//! Every server on one host shares the jar whatever its port, so a name carries the service and
//! the port, and a name that comes twice is refused.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use url::Url;

/// Why a cookie is not taken or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    #[error("the request carries the same cookie twice")]
    Duplicate,
    #[error("the value does not fit into a cookie")]
    Value,
}

/// One cookie of ours, known by its name: `__Host-` and `Secure` on https, plain on loopback
/// http; always `HttpOnly`, `SameSite=Lax` and `Path=/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    secure: bool,
}

impl Cookie {
    /// The cookie that `service` keeps for `purpose` on pages of the public URL.
    pub fn new(service: &str, purpose: &str, public: &Url) -> Self {
        let secure = public.scheme() == "https";
        let prefix = if secure { "__Host-" } else { "" };
        let port = public.port_or_known_default().unwrap_or_default();
        Self { name: format!("{prefix}{service}-{purpose}-{port}"), secure }
    }

    /// Its name as it travels.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value in the request. A browser sends the name twice only when someone else planted
    /// the second one, and nothing tells which is ours.
    pub fn read<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, CookieError> {
        let mut values = pairs(headers).filter(|(name, _)| *name == self.name);
        let first = values.next();
        if values.next().is_some() {
            return Err(CookieError::Duplicate);
        }
        Ok(first.map(|(_, value)| value))
    }

    /// A `Set-Cookie` value; without a life the cookie ends with the browser.
    pub fn set(&self, value: &str, life: Option<Duration>) -> Result<HeaderValue, CookieError> {
        if !value.chars().all(is_cookie_octet) {
            return Err(CookieError::Value);
        }
        let secure = if self.secure { "; Secure" } else { "" };
        let age = life.map(|life| format!("; Max-Age={}", life.as_secs())).unwrap_or_default();
        let name = &self.name;
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
        HeaderValue::from_str(&text).map_err(|_| CookieError::Value)
    }

    /// A `Set-Cookie` value that takes the cookie away.
    pub fn clear(&self) -> Result<HeaderValue, CookieError> {
        self.set("", Some(Duration::ZERO))
    }
}

/// Every cookie of the request, in its order.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// RFC 6265 section 4.1.1.
fn is_cookie_octet(c: char) -> bool {
    matches!(c, '!' | '#'..='+' | '-'..=':' | '<'..='[' | ']'..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(public: &str) -> Cookie {
        Cookie::new("auth", "session", &Url::parse(public).unwrap())
    }

    fn request(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn on_https_a_cookie_is_bound_to_its_host() {
        let cookie = cookie("https://auth.example");
        assert_eq!(
            cookie.set("abc", Some(Duration::from_mins(1))).unwrap(),
            "__Host-auth-session-443=abc; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
        );
    }

    #[test]
    fn on_loopback_a_cookie_names_its_port() {
        let cookie = cookie("http://localhost:7410");
        assert_eq!(
            cookie.set("abc", None).unwrap(),
            "auth-session-7410=abc; Path=/; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_cookie_is_read_by_its_exact_name() {
        let cookie = cookie("http://localhost:7410");
        let headers = request(&["a=1; auth-session-7410=abc=; auth-session-74100=no", "z=2"]);
        assert_eq!(cookie.read(&headers), Ok(Some("abc=")));
        assert_eq!(cookie.read(&request(&["auth-session-7400=x"])), Ok(None));
    }

    #[test]
    fn a_planted_second_cookie_is_refused() {
        let cookie = cookie("http://localhost:7410");
        for planted in [
            request(&["auth-session-7410=a; auth-session-7410=b"]),
            request(&["auth-session-7410=a", "auth-session-7410=b"]),
        ] {
            assert_eq!(cookie.read(&planted), Err(CookieError::Duplicate));
        }
    }

    #[test]
    fn a_value_cannot_add_attributes() {
        let cookie = cookie("http://localhost:7410");
        for value in ["a; Domain=x", "a\r\nb", "a,b", "a\"b", "\u{e9}"] {
            assert_eq!(cookie.set(value, None), Err(CookieError::Value), "{value}");
        }
    }

    #[test]
    fn a_cleared_cookie_ends_at_once() {
        let text = cookie("http://localhost:7410").clear().unwrap();
        assert!(text.to_str().unwrap().ends_with("Max-Age=0"));
    }
}
