//! A line of the log as text: time, level, target, fields. It says what the library's own form
//! says without colours, and costs less, because every request writes one.

use std::{
    cell::RefCell,
    fmt::{self, Debug, Write as _},
    io::Write,
};

use shared::time::Clock;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::writer::Lines;

/// Writes events as such lines.
#[derive(Debug)]
pub(super) struct Plain<W: Write>(pub(super) Lines<W>);

/// What a thread keeps for its next line.
#[derive(Debug)]
struct Scratch {
    line: String,
    /// The second that `moment` is.
    second: u64,
    /// `2027-01-15T08:00:00`.
    moment: String,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

impl<S: Subscriber, W: Write + Send + 'static> Layer<S> for Plain<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => self.write(&mut scratch, event),
            // A value that is being written says something itself.
            Err(_) => self.write(&mut Scratch::new(), event),
        });
    }
}

impl<W: Write + Send + 'static> Plain<W> {
    fn write(&self, scratch: &mut Scratch, event: &Event<'_>) {
        let about = event.metadata();
        scratch.begin(Clock::System.nanos() / 1000);
        let line = &mut scratch.line;
        line.push_str(match *about.level() {
            Level::ERROR => " ERROR ",
            Level::WARN => "  WARN ",
            Level::INFO => "  INFO ",
            Level::DEBUG => " DEBUG ",
            Level::TRACE => " TRACE ",
        });
        line.push_str(about.target());
        line.push(':');
        event.record(&mut Fields(line));
        line.push('\n');
        self.0.take(about, line.as_bytes());
    }
}

impl Scratch {
    const fn new() -> Self {
        Self { line: String::new(), second: u64::MAX, moment: String::new() }
    }

    /// Begins a line with a moment, in microseconds since 1970.
    fn begin(&mut self, micros: u64) {
        let second = micros / 1_000_000;
        if second != self.second {
            let moment = i64::try_from(second).unwrap_or(i64::MAX);
            let moment = OffsetDateTime::from_unix_timestamp(moment).ok();
            let moment = moment.and_then(|moment| moment.format(&Rfc3339).ok());
            self.moment = moment.unwrap_or_default();
            self.moment.truncate(self.moment.trim_end_matches('Z').len());
            self.second = second;
        }
        self.line.clear();
        self.line.push_str(&self.moment);
        // The one before the digits is not shown.
        let mut digits = itoa::Buffer::new();
        let fraction = digits.format(1_000_000 + micros % 1_000_000).get(1..);
        self.line.push('.');
        self.line.push_str(fraction.unwrap_or_default());
        self.line.push('Z');
    }
}

/// Writes fields to the end of a line. Writing to a string does not fail; a value that fails to
/// show itself is cut there.
struct Fields<'l>(&'l mut String);

impl Fields<'_> {
    /// Begins a field; whether it is the message, which has no name.
    fn name(&mut self, field: &Field) -> bool {
        let name = field.name();
        self.0.push(' ');
        if name == MESSAGE {
            return true;
        }
        self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.0.push('=');
        false
    }
}

const MESSAGE: &str = "message";

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.0.push_str(if value { "true" } else { "false" });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        let _cut = write!(Tame(self.0), "{value:?}");
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.name(field) {
            let _infallible = Tame(self.0).write_str(value);
        } else if is_plain(value) {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        } else {
            let _infallible = write!(self.0, "{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }
}

/// Whether the text is its own form between quotation marks. Without an end before the last byte,
/// so that it is one pass over many bytes at a time.
fn is_plain(text: &str) -> bool {
    let is_other = |byte: u8| {
        u8::from(byte.wrapping_sub(b' ') > b'~' - b' ') | u8::from(matches!(byte, b'"' | b'\\'))
    };
    text.bytes().fold(0, |found, byte| found | is_other(byte)) == 0
}

/// Writes what may hold a stranger's text: it begins no line and steers no terminal.
struct Tame<'l>(&'l mut String);

impl fmt::Write for Tame<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text) || !text.chars().any(char::is_control) {
            self.0.push_str(text);
            return Ok(());
        }
        text.chars().try_for_each(|one| match one {
            _ if one.is_control() => write!(self.0, "{}", one.escape_default()),
            _ => self.0.write_char(one),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// A place that keeps what was written.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged, by this form or by the library's.
    fn written(own: bool, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let lines = Lines::new(kept.clone());
        let registry = tracing_subscriber::registry();
        if own {
            tracing::subscriber::with_default(registry.with(Plain(lines.clone())), log);
        } else {
            let format = tracing_subscriber::fmt::layer().with_ansi(false);
            let registry = registry.with(format.with_writer(lines.clone()));
            tracing::subscriber::with_default(registry, log);
        }
        lines.flush();
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    /// The same without the time.
    fn logged(own: bool, log: impl FnOnce()) -> String {
        written(own, log).split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn lines_read_as_the_librarys_own() {
        let log = || {
            let error = std::io::Error::other("none");
            let (some, none) = (Some("a \"b\" \\ c"), None::<&str>);
            tracing::warn!(
                target: "audit", text = "plain", some, none, number = 7, less = -1, yes = true,
                part = 0.5, %error, list = ?["x"], r#type = "t", "said {}", 1
            );
        };
        assert_eq!(logged(true, log), logged(false, log));
    }

    #[test]
    fn a_strangers_text_begins_no_line_and_steers_no_terminal() {
        let text = "a\nb\u{1b}[2Jc\u{9b}d";
        let written = logged(true, || tracing::info!(text, shown = %text, "{text}"));
        assert_eq!(written.lines().count(), 1, "{written:?}");
        assert!(!written.trim_end().chars().any(char::is_control), "{written:?}");
    }

    #[test]
    fn a_moment_reads_as_the_librarys_own() {
        let at = |micros| {
            let mut scratch = Scratch::new();
            scratch.begin(7);
            scratch.begin(micros);
            scratch.line
        };
        assert_eq!(at(1_800_000_000_000_042), "2027-01-15T08:00:00.000042Z");
        assert_eq!(at(1_800_000_000_999_999), "2027-01-15T08:00:00.999999Z");
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        let began = Clock::System.nanos() / 1000;
        let theirs = written(false, || tracing::warn!("now"));
        let ended = Clock::System.nanos() / 1000;
        let theirs = theirs.split_once(' ').unwrap().0;
        let (first, last) = (at(began), at(ended));
        assert!(*first <= *theirs && *theirs <= *last, "{first} {theirs} {last}");
    }

    #[test]
    fn what_is_said_while_a_line_is_written_has_a_line_of_its_own() {
        let text = SCRATCH.with_borrow_mut(|_| logged(true, || tracing::warn!("within")));
        assert!(text.ends_with(": within\n"), "{text}");
    }

    proptest! {
        #[test]
        fn every_text_and_number_reads_as_the_librarys_own(
            text in any::<String>(),
            (number, less) in (any::<u64>(), any::<i64>()),
        ) {
            let log = || tracing::warn!(text, number, less, "said");
            prop_assert_eq!(logged(true, log), logged(false, log));
        }
    }
}
