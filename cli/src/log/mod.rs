//! The log: JSON lines or readable text on stderr; in the demo one readable line per request on
//! stdout.

mod line;
mod writer;

use std::{fmt::Write as _, io::IsTerminal};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use self::{line::Plain, writer::Lines as Waiting};
use crate::arguments::{Arguments, Command};

/// The target of the event that each request ends with.
const REQUEST: &str = "vestibule::request";

/// Writes the last lines when the program ends.
#[derive(Debug)]
pub(crate) struct Log(Waiting);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging. `RUST_LOG` chooses what; by default requests, audit events and warnings.
#[must_use = "the last lines are written when it is dropped"]
pub(crate) fn start(arguments: &Arguments) -> Log {
    let services = "warn,audit=info,vestibule::request=info";
    let (demo, json, fallback) = match &arguments.command {
        Command::AuthServer(options) | Command::Gateway(options) | Command::Serve(options) => {
            (false, options.json_log, services)
        }
        Command::Crm(options) => (false, options.json_log, services),
        Command::Demo(_) => (true, false, "warn,audit=off"),
        // Commands answer on stdout, and their acts are in the store.
        Command::Audit(_)
        | Command::Clients(_)
        | Command::Config(_)
        | Command::Doctor(_)
        | Command::Grants(_)
        | Command::Store(_)
        | Command::Keys(_)
        | Command::Users(_)
        | Command::InitialAccess(_)
        | Command::Tokens(_)
        | Command::Workspaces(_) => (false, false, "warn,audit=off"),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(fallback));
    let lines = demo.then(|| Lines.with_filter(filter_fn(|meta| meta.target() == REQUEST)));
    let registry = tracing_subscriber::registry().with(lines);
    let waiting = Waiting::new(std::io::stderr());
    let format = tracing_subscriber::fmt::layer().with_writer(waiting.clone()).with_target(true);
    if json {
        registry.with(format.json().with_filter(filter)).init();
    } else if std::io::stderr().is_terminal() {
        registry.with(format.with_ansi(true).with_filter(filter)).init();
    } else {
        registry.with(Plain(waiting.clone()).with_filter(filter)).init();
    }
    if let Err(error) = waiting.write_in_background() {
        tracing::warn!(%error, "log lines wait for others, because no thread can be started");
    }
    Log(waiting)
}

/// One line for a person, on stderr.
#[expect(clippy::print_stderr, reason = "this is the program's way to say why it cannot go on")]
pub(crate) fn problem(text: &str) {
    eprintln!("vestibule: {text}");
}

/// A question to a person, on stderr, so that stdout holds answers alone.
#[expect(clippy::print_stderr, reason = "the person is asked for something")]
pub(crate) fn prompt(text: &str) {
    eprint!("{text}");
}

/// Text for a person, on stdout.
#[expect(clippy::print_stdout, reason = "this is the program's output")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Writes each request as one readable line.
#[derive(Debug)]
struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        say(&line.text());
    }
}

/// The fields of a request event, in the order a person reads them.
#[derive(Debug, Default)]
struct Line {
    micros: u64,
    rest: String,
    service: String,
    status: String,
    what: String,
}

impl Line {
    fn text(&self) -> String {
        let milliseconds = self.micros / 1000;
        let tenths = self.micros % 1000 / 100;
        let Self { rest, service, status, what, .. } = self;
        format!("{service:<8}{status:<4} {milliseconds:>4}.{tenths} ms  {what}{rest}")
    }

    fn add(&mut self, field: &Field, value: &str) {
        // A stranger's text must not begin a line of its own or steer the terminal.
        let value: String = value.chars().flat_map(char::escape_debug).take(200).collect();
        let value = value.as_str();
        match field.name() {
            "micros" => self.micros = value.parse().unwrap_or_default(),
            "service" => value.clone_into(&mut self.service),
            "status" => value.clone_into(&mut self.status),
            "method" | "path" => {
                let _infallible = write!(self.what, "{value} ");
            }
            "message" => {}
            name => {
                let _infallible = write!(self.rest, " {name}={value}");
            }
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }
}
