//! Moments as operators read and write them: RFC 3339 section 5.6, or how long ago.

use shared::time::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::error::AdminError;
use crate::rules::span::span;

/// A moment as it is shown.
pub(super) fn text(at: Timestamp) -> String {
    let seconds = i64::try_from(at.secs()).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Reads a moment: `2026-01-31T08:00:00Z`, or a span before now such as `90m`, `24h`, `7d`.
pub(super) fn parse(written: &str, now: Timestamp) -> Result<Timestamp, AdminError> {
    let problem = || {
        let text = format!("{written:?} is not a moment; write 2026-01-31T08:00:00Z, or 24h, 7d");
        AdminError::Query(text)
    };
    if let Some(span) = span(written) {
        return Ok(now.minus(span));
    }
    let moment = OffsetDateTime::parse(written, &Rfc3339).map_err(|_| problem())?;
    u64::try_from(moment.unix_timestamp()).map(Timestamp::from_secs).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_moment_is_read_as_it_is_shown() {
        assert_eq!(text(NOW), "2027-01-15T08:00:00Z");
        assert_eq!(parse("2027-01-15T08:00:00Z", Timestamp::default()).unwrap(), NOW);
        assert_eq!(parse("2027-01-15T09:00:00+01:00", Timestamp::default()).unwrap(), NOW);
    }

    #[test]
    fn a_span_is_so_long_ago() {
        for (written, seconds) in [("30s", 30), ("90m", 5400), ("24h", 86_400), ("7d", 604_800)] {
            let expected = NOW.minus(Duration::from_secs(seconds));
            assert_eq!(parse(written, NOW).unwrap(), expected, "{written}");
        }
    }

    #[test]
    fn anything_else_is_no_moment() {
        for written in ["", "7", "d", "-7d", "yesterday", "2027-01-15", "99999999999999999999d"] {
            assert!(parse(written, NOW).is_err(), "{written}");
        }
    }
}
