//! Exactly one credential, once: a bearer token (RFC 6750 section 2.1) or an API key.

use http::{HeaderMap, header::AUTHORIZATION};
use shared::{api_key::ApiKeys, deployment::Resource};

use crate::rules::violation::BearerViolation;

/// A credential as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential<'h> {
    /// Whole by its shape and check; it may still be unknown.
    ApiKey(&'h str),
    Token(&'h str),
}

/// Parameters that carry credentials elsewhere, and here never.
const IN_QUERY: [&str; 4] = ["access_token", "api_key", "apikey", "x-api-key"];

/// Takes the credential of a request to a resource.
pub(crate) fn find<'h>(
    headers: &'h HeaderMap,
    query: Option<&str>,
    resource: &Resource,
) -> Result<Credential<'h>, BearerViolation> {
    let names = resource.api_keys.iter().flat_map(|keys| &keys.headers);
    let mut own = names.flat_map(|name| headers.get_all(name.as_str()));
    let Some(value) = own.next() else {
        let token = bearer(headers, query)?;
        return match &resource.api_keys {
            Some(keys) if keys.authorization && keys.format.is_meant(token) => whole(keys, token),
            _ if resource.oauth => Ok(Credential::Token(token)),
            Some(keys) if keys.authorization => Err(BearerViolation::KeyMalformed),
            _ => Err(BearerViolation::Missing),
        };
    };
    if own.next().is_some() || headers.contains_key(AUTHORIZATION) {
        return Err(BearerViolation::Several);
    }
    if bearer(headers, query) == Err(BearerViolation::InQuery) {
        return Err(BearerViolation::InQuery);
    }
    let key = value.to_str().map_err(|_| BearerViolation::KeyMalformed)?;
    let keys = resource.api_keys.as_ref().ok_or(BearerViolation::Missing)?;
    whole(keys, key.trim_matches(' '))
}

/// Refuses what is no key without asking anybody.
fn whole<'h>(keys: &ApiKeys, key: &'h str) -> Result<Credential<'h>, BearerViolation> {
    if keys.format.is_whole(key) {
        return Ok(Credential::ApiKey(key));
    }
    Err(BearerViolation::KeyMalformed)
}

/// Takes the bearer token of a request. Credentials in the address are refused, not ignored: they
/// are already in somebody's log (RFC 6750 section 2.3).
pub(crate) fn bearer<'h>(
    headers: &'h HeaderMap,
    query: Option<&str>,
) -> Result<&'h str, BearerViolation> {
    let in_query = query.is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, _)| IN_QUERY.iter().any(|known| name.eq_ignore_ascii_case(known)))
    });
    if in_query {
        return Err(BearerViolation::InQuery);
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(BearerViolation::Missing) };
    if values.next().is_some() {
        return Err(BearerViolation::Several);
    }
    if let Some(token) = plain(value.as_bytes()) {
        return Ok(token);
    }
    // A header value of ASCII holds nothing that is not shown but tabs; asked so, it is one pass
    // over many bytes at a time.
    let bytes = Some(value.as_bytes()).filter(|bytes| bytes.is_ascii());
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let text = text.ok_or(BearerViolation::Malformed)?;
    let Some((scheme, rest)) = text.split_once(' ') else { return Err(BearerViolation::Missing) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerViolation::Missing);
    }
    let token = rest.trim_matches(' ');
    if token.is_empty() {
        return Err(BearerViolation::Missing);
    }
    // Without an end before the last byte, for the same reason.
    let is_end = |byte: u8| u8::from(byte == b' ') | u8::from(byte == b',');
    if token.bytes().fold(0, |found, byte| found | is_end(byte)) != 0 {
        return Err(BearerViolation::Several);
    }
    Ok(token)
}

/// The token of a header in its common form; anything else is looked at closely.
fn plain(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_first_chunk::<7>()?;
    // Without an end before the last byte, so that it is one pass over many bytes at a time.
    let is_other =
        |byte: u8| u8::from(byte <= b' ') | u8::from(byte >= 0x7F) | u8::from(byte == b',');
    let is_plain = token.iter().fold(0, |found, byte| found | is_other(*byte)) == 0;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty();
    std::str::from_utf8(token).ok().filter(|_| is_bearer && is_plain)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use shared::deployment::{Deployment, RawDeployment, RawResource};

    use super::*;

    /// A resource with these keys; `oauth` lets access tokens in too.
    fn resource(oauth: bool, headers: &str) -> Resource {
        let raw: RawDeployment =
            toml::from_str("name = \"Demo\"\nissuer = \"https://auth.example\"").unwrap();
        let resource: RawResource = toml::from_str(&format!(
            "url = \"https://mcp.example/mcp\"\nname = \"CRM\"\noauth = {oauth}\n\
             default_scopes = []\nprm_scopes = []\nscope = []\n\
             [api_keys]\nprefix = \"sk_live_\"\nheaders = {headers}\n"
        ))
        .unwrap();
        Deployment::resolve(raw, vec![resource]).unwrap().resources.remove(0)
    }

    #[test]
    fn exactly_one_credential_is_taken_once() {
        let both = resource(true, r#"["authorization", "x-api-key"]"#);
        let alone = resource(false, r#"["authorization", "x-api-key"]"#);
        let header = resource(false, r#"["x-api-key"]"#);
        let key = both.api_keys.as_ref().unwrap().format.write(&[7; 32]).expose().to_owned();
        let bearer = format!("Bearer {key}");
        let cut = &key[..key.len() - 1];
        let (auth, own) = ("authorization", "x-api-key");
        let found = Ok(Credential::ApiKey(&key));
        let malformed = Err(BearerViolation::KeyMalformed);
        for (resource, sent, query, expected) in [
            (&both, vec![(auth, bearer.as_str())], None, found.clone()),
            (&both, vec![(own, key.as_str())], None, found.clone()),
            (&alone, vec![(auth, &bearer)], None, found.clone()),
            (&header, vec![(own, &key)], None, found),
            (&header, vec![(auth, &bearer)], None, Err(BearerViolation::Missing)),
            (&both, vec![(auth, "Bearer a.b.c")], None, Ok(Credential::Token("a.b.c"))),
            (&alone, vec![(auth, "Bearer a.b.c")], None, malformed.clone()),
            (&both, vec![(own, cut)], None, malformed.clone()),
            (&both, vec![(own, "")], None, malformed.clone()),
            (&both, vec![(auth, "Bearer sk_live_x")], None, malformed),
            (&both, vec![(auth, &bearer), (own, &key)], None, Err(BearerViolation::Several)),
            (&both, vec![(auth, "Bearer a.b.c"), (own, "")], None, Err(BearerViolation::Several)),
            (&both, vec![(own, &key), (own, &key)], None, Err(BearerViolation::Several)),
            (&both, vec![(own, &key)], Some("api_key=x"), Err(BearerViolation::InQuery)),
            (&both, vec![], Some("API_KEY=x"), Err(BearerViolation::InQuery)),
            (&both, vec![], None, Err(BearerViolation::Missing)),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &sent {
                let name = HeaderName::from_static(name);
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(find(&headers, query, resource), expected, "{sent:?} {query:?}");
        }
    }

    #[test]
    fn exactly_one_bearer_token_in_the_header_is_taken() {
        let cases: [(&[&'static str], _, _); 15] = [
            (&["Bearer a.b.c"], None, Ok("a.b.c")),
            (&["BEARER a.b.c"], None, Ok("a.b.c")),
            (&["Bearer a.b.c "], None, Ok("a.b.c")),
            (&["Bearer a.b c"], None, Err(BearerViolation::Several)),
            (&["Bearer\ta.b.c"], None, Err(BearerViolation::Missing)),
            (&["Bearer caf\u{e9}"], None, Err(BearerViolation::Malformed)),
            (&["bearer  a.b.c"], Some("x=1"), Ok("a.b.c")),
            (&[], None, Err(BearerViolation::Missing)),
            (&["Basic YTpi"], None, Err(BearerViolation::Missing)),
            (&["Bearer"], None, Err(BearerViolation::Missing)),
            (&["Bearer "], None, Err(BearerViolation::Missing)),
            (&["Bearer a", "Bearer b"], None, Err(BearerViolation::Several)),
            (&["Bearer a, Bearer b"], None, Err(BearerViolation::Several)),
            (&["Bearer a"], Some("access_token=b"), Err(BearerViolation::InQuery)),
            (&[], Some("a=1&access%5Ftoken=b"), Err(BearerViolation::InQuery)),
        ];
        for (values, query, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(bearer(&headers, query), expected, "{values:?} {query:?}");
        }
    }
}
