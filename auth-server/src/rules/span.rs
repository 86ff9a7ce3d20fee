//! Spans of time as operators write them: `90m`, `24h`, `7d`.

use std::time::Duration;

/// Reads a span: a number and one of `s`, `m`, `h` and `d`.
pub(crate) fn span(written: &str) -> Option<Duration> {
    let unit = written.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = written.strip_suffix(unit)?.parse().ok()?;
    count.checked_mul(seconds).map(Duration::from_secs)
}
