//! The headers that say how a budget stands (draft-ietf-httpapi-ratelimit-headers-07, and the
//! older `X-RateLimit-*`), under the names that the deployment gives them.

use http::{HeaderMap, HeaderName, HeaderValue};
use shared::time::Timestamp;
use web::limits::Standing;

/// The names; a header without one is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitHeaders {
    /// How many requests may come at once.
    pub(crate) limit: Option<HeaderName>,
    /// How many are left.
    pub(crate) remaining: Option<HeaderName>,
    /// When the budget is full again.
    pub(crate) reset: Option<HeaderName>,
    /// Whether `reset` is the second since 1970, not the seconds until then.
    pub(crate) reset_is_moment: bool,
}

impl LimitHeaders {
    /// Writes them.
    pub(crate) fn put(&self, headers: &mut HeaderMap, standing: Standing, now: Timestamp) {
        let since = if self.reset_is_moment { now.secs() } else { 0 };
        for (name, value) in [
            (&self.limit, u64::from(standing.limit)),
            (&self.remaining, u64::from(standing.remaining)),
            (&self.reset, since.saturating_add(standing.reset)),
        ] {
            if let Some(name) = name {
                headers.insert(name.clone(), HeaderValue::from(value));
            }
        }
    }

    /// Their names, as scripts must be told that they may read them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.limit, &self.remaining, &self.reset].into_iter().flatten().map(HeaderName::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_headers_are_written_in_the_form_that_was_asked_for() {
        let standing = Standing { limit: 600, remaining: 7, reset: 59 };
        let name = |text| Some(HeaderName::from_static(text));
        let mut headers = HeaderMap::new();
        let seconds = LimitHeaders {
            limit: name("ratelimit-limit"),
            remaining: name("ratelimit-remaining"),
            reset: name("ratelimit-reset"),
            reset_is_moment: false,
        };
        let moment = LimitHeaders {
            limit: None,
            remaining: name("x-ratelimit-remaining"),
            reset: name("x-ratelimit-reset"),
            reset_is_moment: true,
        };
        seconds.put(&mut headers, standing, Timestamp::from_secs(1_800_000_000));
        moment.put(&mut headers, standing, Timestamp::from_secs(1_800_000_000));
        let written: Vec<_> =
            headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        for expected in [
            ("ratelimit-limit", "600"),
            ("ratelimit-remaining", "7"),
            ("ratelimit-reset", "59"),
            ("x-ratelimit-remaining", "7"),
            ("x-ratelimit-reset", "1800000059"),
        ] {
            assert!(written.contains(&expected), "{written:?}");
        }
        assert_eq!(written.len(), 5);
    }
}
