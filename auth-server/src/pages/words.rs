//! Times in words.

use std::time::Duration;

use shared::time::Timestamp;

/// How long ago something was, such as `3 minutes ago`.
pub(crate) fn ago(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0..60 => return "a moment ago".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// A day in the Gregorian calendar (UTC), such as `21 November 2026`.
pub(crate) fn day(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let mut days = at.secs() / 86_400;
    let mut year = 1970;
    while days >= year_length(year) {
        days -= year_length(year);
        year += 1;
    }
    let february = year_length(year) - 337;
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = "";
    for (name, length) in MONTHS.into_iter().zip(lengths) {
        month = name;
        if days < length {
            break;
        }
        days -= length;
    }
    format!("{} {month} {year}", days + 1)
}

fn year_length(year: u64) -> u64 {
    let leaps = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leaps { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (59, "a moment ago"),
            (60, "1 minute ago"),
            (7199, "1 hour ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn a_day_is_the_calendars() {
        for (seconds, words) in [
            (0, "1 January 1970"),
            (951_782_400, "29 February 2000"),
            (1_795_219_200, "21 November 2026"),
            (1_735_603_200, "31 December 2024"),
            (4_107_542_400, "1 March 2100"),
        ] {
            assert_eq!(day(Timestamp::from_secs(seconds)), words);
        }
    }
}
