//! Exactly one credential, in the `Authorization` header (RFC 6750 section 2.1).

use http::{HeaderMap, header::AUTHORIZATION};

use crate::rules::violation::BearerViolation;

/// Takes the bearer token of a request. Tokens in the address are refused, not ignored: they are
/// already in somebody's log (RFC 6750 section 2.3).
pub(crate) fn bearer<'h>(
    headers: &'h HeaderMap,
    query: Option<&str>,
) -> Result<&'h str, BearerViolation> {
    let in_query = query.is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
    });
    if in_query {
        return Err(BearerViolation::InQuery);
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(BearerViolation::Missing) };
    if values.next().is_some() {
        return Err(BearerViolation::Several);
    }
    let text = value.to_str().map_err(|_| BearerViolation::Malformed)?;
    let Some((scheme, rest)) = text.split_once(' ') else { return Err(BearerViolation::Missing) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerViolation::Missing);
    }
    let token = rest.trim_matches(' ');
    if token.is_empty() {
        return Err(BearerViolation::Missing);
    }
    if token.contains([' ', ',']) {
        return Err(BearerViolation::Several);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn exactly_one_bearer_token_in_the_header_is_taken() {
        let cases: [(&[&'static str], _, _); 10] = [
            (&["Bearer a.b.c"], None, Ok("a.b.c")),
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
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers, query), expected, "{values:?} {query:?}");
        }
    }
}
