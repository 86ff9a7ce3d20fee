//! A line of the log as text: time, level, target, fields. It says what the library's own form
//! says without colours, and costs less, because every request writes one.

use std::fmt::{self, Debug, Write as _};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// The form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut to)?;
        let about = event.metadata();
        to.write_str(match *about.level() {
            Level::ERROR => " ERROR ",
            Level::WARN => "  WARN ",
            Level::INFO => "  INFO ",
            Level::DEBUG => " DEBUG ",
            Level::TRACE => " TRACE ",
        })?;
        to.write_str(about.target())?;
        to.write_char(':')?;
        let mut fields = Fields { outcome: Ok(()), to };
        event.record(&mut fields);
        fields.outcome?;
        fields.to.write_char('\n')
    }
}

struct Fields<'w> {
    outcome: fmt::Result,
    to: Writer<'w>,
}

impl Fields<'_> {
    fn name(&mut self, field: &Field) -> fmt::Result {
        self.to.write_char(' ')?;
        if field.name() != "message" {
            self.to.write_str(field.name().trim_start_matches("r#"))?;
            self.to.write_char('=')?;
        }
        Ok(())
    }

    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = self.name(field).and_then(|()| value(&mut self.to));
        }
    }
}

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |to| to.write_str(if value { "true" } else { "false" }));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, |to| write!(Tame(to), "{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |to| write!(to, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_message = field.name() == "message";
        let is_plain = |b: u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
        self.write(field, |to| {
            if is_message {
                return Tame(to).write_str(value);
            }
            if !value.bytes().all(is_plain) {
                return write!(to, "{value:?}");
            }
            to.write_char('"')?;
            to.write_str(value)?;
            to.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |to| write!(to, "{value}"));
    }
}

/// Writes what may hold a stranger's text: it begins no line and steers no terminal.
struct Tame<'t, 'w>(&'t mut Writer<'w>);

impl fmt::Write for Tame<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.chars().any(char::is_control) {
            return self.0.write_str(text);
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

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is logged, without the time, by this form or by the library's.
    fn logged(own: bool, log: impl FnOnce()) -> String {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&kept);
        let format = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || {
            struct Shared(Arc<Mutex<Vec<u8>>>);
            impl std::io::Write for Shared {
                fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                    self.0.lock().unwrap().write(bytes)
                }
                fn flush(&mut self) -> std::io::Result<()> {
                    Ok(())
                }
            }
            Shared(Arc::clone(&writer))
        });
        let registry = tracing_subscriber::registry();
        if own {
            let registry = registry.with(format.event_format(Plain));
            tracing::subscriber::with_default(registry, log);
        } else {
            tracing::subscriber::with_default(registry.with(format), log);
        }
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        text.split_once(' ').unwrap().1.to_owned()
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
}
