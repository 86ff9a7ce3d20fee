//! Form posts: who may send them, and how their fields are read.
//!
//! Cookies ignore ports, so a cookie alone does not say which page sent a form: the post must
//! come from a page of the expected origin, port included.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, ORIGIN},
};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::Problem;

/// How long a sender may take to deliver a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// More fields than any form or request of ours has.
const MAX_FIELDS: usize = 512;

/// The post comes from somewhere else, or does not say from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the form was not sent from a page of this site")]
pub struct CrossSite;

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body ended early")]
    Broken,
    #[error("the body is not application/x-www-form-urlencoded")]
    MediaType,
    #[error("the body took too long to arrive")]
    Slow,
    #[error("the body is too large")]
    TooLarge,
    #[error("the body has too many fields")]
    TooManyFields,
    #[error("the body is not UTF-8")]
    Utf8,
}

/// A field that may come once came several times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is given more than once")]
pub struct Repeated {
    pub name: String,
}

/// The fields of a form in the order they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub fields: Vec<(String, String)>,
}

/// Accepts a post whose `Origin` is the expected one, such as `http://localhost:7410`. A browser
/// that keeps its origin to itself (none, or `null` under a strict referrer policy) passes when
/// it says `Sec-Fetch-Site: same-origin`, which no page can forge.
pub fn same_site(headers: &HeaderMap, expected_origin: &str) -> Result<(), CrossSite> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some() {
        return Err(CrossSite);
    }
    match origin.map(http::HeaderValue::as_bytes) {
        None | Some(b"null") => {
            let mut sites = headers.get_all("sec-fetch-site").iter();
            let same = sites.next().is_some_and(|site| site == "same-origin");
            if same && sites.next().is_none() { Ok(()) } else { Err(CrossSite) }
        }
        Some(origin) if origin == expected_origin.as_bytes() => Ok(()),
        Some(_) => Err(CrossSite),
    }
}

impl Form {
    /// Reads a urlencoded body of at most `cap` bytes.
    pub async fn read(headers: &HeaderMap, body: Body, cap: usize) -> Result<Self, BodyError> {
        if !is_form(headers) {
            return Err(BodyError::MediaType);
        }
        Self::parse(&read_body(body, cap).await?)
    }

    /// Parses a urlencoded body or query.
    pub fn parse(encoded: &[u8]) -> Result<Self, BodyError> {
        if encoded.split(|byte| *byte == b'&').count() > MAX_FIELDS {
            return Err(BodyError::TooManyFields);
        }
        let mut fields = Vec::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            // The parser replaces what is not UTF-8, and two different texts must not become one.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(BodyError::Utf8);
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { fields })
    }

    /// The value of a field that comes at most once; an empty value counts as none (RFC 6749
    /// section 3.2).
    pub fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Repeated { name: name.to_owned() });
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Every value of a field that may repeat.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a body of at most `cap` bytes, within a deadline.
pub async fn read_body(mut body: Body, cap: usize) -> Result<Bytes, BodyError> {
    // Most bodies come whole with their head, and nobody waits for them.
    // With the reader's own waker: whoever brings the rest wakes it.
    let first = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(frame),
        Poll::Pending => Poll::Ready(None),
    });
    let first = first.await.transpose().map_err(|_| BodyError::Broken)?;
    let begun = first.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
    if body.is_end_stream() && begun.len() <= cap {
        return Ok(begun);
    }
    let rest = Box::pin(read_on(begun, body, cap));
    tokio::time::timeout(BODY_DEADLINE, rest).await.map_err(|_| BodyError::Slow)?
}

/// The whole of a body that has begun.
async fn read_on(begun: Bytes, body: Body, cap: usize) -> Result<Bytes, BodyError> {
    let left = cap.checked_sub(begun.len()).ok_or(BodyError::TooLarge)?;
    match Limited::new(body, left).collect().await {
        Ok(rest) if begun.is_empty() => Ok(rest.to_bytes()),
        Ok(rest) => Ok([begun, rest.to_bytes()].concat().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Broken),
    }
}

impl BodyError {
    /// The HTTP status that says what to change.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Broken | Self::TooManyFields | Self::Utf8 => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self::new(error.status(), "invalid_request", &error.to_string())
    }
}

impl From<Repeated> for Problem {
    fn from(error: Repeated) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", &error.to_string())
    }
}

/// Whether the body is urlencoded, by its media type.
pub fn is_form(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_post_must_come_from_a_page_of_this_very_origin() {
        let page = "http://localhost:7410";
        for (sent, accepted) in [
            (headers(&[("origin", page)]), true),
            (headers(&[("sec-fetch-site", "same-origin")]), true),
            (headers(&[("origin", "null"), ("sec-fetch-site", "same-origin")]), true),
            (headers(&[]), false),
            (headers(&[("origin", "http://localhost:7400")]), false),
            (headers(&[("origin", "http://localhost")]), false),
            (headers(&[("origin", "https://localhost:7410")]), false),
            (headers(&[("origin", "null")]), false),
            (headers(&[("origin", "null"), ("sec-fetch-site", "cross-site")]), false),
            (headers(&[("sec-fetch-site", "same-site")]), false),
            (headers(&[("sec-fetch-site", "none")]), false),
            (headers(&[("origin", page), ("origin", "https://evil.example")]), false),
            (
                headers(&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")]),
                false,
            ),
        ] {
            assert_eq!(same_site(&sent, page).is_ok(), accepted, "{sent:?}");
        }
    }

    #[test]
    fn repeated_fields_keep_their_order_and_single_ones_refuse_to_repeat() {
        let form = Form::parse(b"scope=a&x=1&scope=b+c&x=2&empty=").unwrap();
        assert_eq!(form.all("scope").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(form.one("x"), Err(Repeated { name: "x".to_owned() }));
        assert_eq!(form.one("empty"), Ok(None));
        assert_eq!(form.one("absent"), Ok(None));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(Form::parse(b"a=%ff"), Err(BodyError::Utf8));
        assert_eq!(Form::parse("a=é&b=%C3%A9".as_bytes()).unwrap().fields[1].1, "é");
    }

    #[test]
    fn a_flood_of_fields_is_refused() {
        assert_eq!(Form::parse("a&".repeat(600).as_bytes()), Err(BodyError::TooManyFields));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_cap() {
        let urlencoded =
            headers(&[("content-type", "application/x-www-form-urlencoded; charset=UTF-8")]);
        let form = Form::read(&urlencoded, Body::from("a=1"), 3).await.unwrap();
        assert_eq!(form.one("a"), Ok(Some("1")));
        let long = Form::read(&urlencoded, Body::from("a=12"), 3).await;
        assert_eq!(long, Err(BodyError::TooLarge));
        let json =
            Form::read(&headers(&[("content-type", "application/json")]), Body::from("{}"), 9)
                .await;
        assert_eq!(json.unwrap_err().status(), 415);
    }
}
