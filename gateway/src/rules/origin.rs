//! Origin and media type of a POST (MCP transports, security warning; Fetch, CORS protocol).
//!
//! `Accept` is not judged: clients that leave it out are answered all the same.

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::rules::violation::TransportViolation;

/// Refuses a script of another site. `allowed` is what the resource's list says of the request.
pub(crate) fn check_origin(allowed: bool) -> Result<(), TransportViolation> {
    if allowed { Ok(()) } else { Err(TransportViolation::Origin) }
}

/// Refuses a body that does not call itself JSON, or is compressed.
pub(crate) fn check_media_type(headers: &HeaderMap) -> Result<(), TransportViolation> {
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity") {
        return Err(TransportViolation::ContentEncoding);
    }
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(TransportViolation::MediaType)
}

/// The host a request is for, in lower case and without the scheme's own port: what routes are
/// keyed by.
pub(crate) fn normal_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    for own in [":80", ":443"] {
        if let Some(bare) = host.strip_suffix(own) {
            return bare.to_owned();
        }
    }
    host
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_json_is_read() {
        for (value, passes) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("text/plain"), false),
            (Some("application/jsonp"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!(check_media_type(&headers).is_ok(), passes, "{value:?}");
        }
    }

    #[test]
    fn a_host_is_compared_without_case_and_default_port() {
        assert_eq!(normal_host("MCP.example:443"), "mcp.example");
        assert_eq!(normal_host("localhost:7400"), "localhost:7400");
        assert_eq!(normal_host("[::1]:7400"), "[::1]:7400");
    }
}
