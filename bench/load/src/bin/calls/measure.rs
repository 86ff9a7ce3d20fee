//! The load: the same call again and again on kept-alive connections, as fast as it is answered or
//! at a fixed rate.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    fs,
    io::Write,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use clap::Args;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{processes::Watched, wire::Wire};

/// What is called, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) call: Call,
    /// The status of every answer; another one fails the run.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// How long is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long calls are made before that.
    #[arg(long, default_value_t = 1.0)]
    warm_seconds: f64,
    /// Calls per second over all connections; 0: as fast as they are answered.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Each token is used for one call only, and the run ends with them.
    #[arg(long)]
    once: bool,
    /// Whose processor time is counted, as `name=pid`.
    #[arg(long = "watch")]
    watched: Vec<Watched>,
}

/// A call, and the connections it is made on.
#[derive(Args, Clone, Debug)]
pub(crate) struct Call {
    /// Where to connect to, as `address:port`.
    #[arg(long)]
    pub(crate) address: String,
    /// The `Host` header; by default the address.
    #[arg(long)]
    host: Option<String>,
    #[arg(long, default_value = "/mcp")]
    path: String,
    #[arg(long)]
    body: String,
    /// Further headers, as `name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// A file with access tokens, one a line.
    #[arg(long)]
    tokens: Option<PathBuf>,
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
}

impl Call {
    /// The request for each token, or the one without a token.
    pub(crate) fn requests(&self) -> std::io::Result<Vec<Vec<u8>>> {
        let Some(path) = &self.tokens else { return Ok(vec![self.request("")]) };
        let tokens = fs::read_to_string(path)?;
        let with = |token: &str| self.request(&format!("Authorization: Bearer {token}\r\n"));
        Ok(tokens.lines().map(with).collect())
    }

    fn request(&self, authorization: &str) -> Vec<u8> {
        let Self { body, path, .. } = self;
        let host = self.host.as_ref().unwrap_or(&self.address);
        let more: String =
            self.headers.iter().flat_map(|header| [header.as_str(), "\r\n"]).collect();
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Accept: application/json, \
             text/event-stream\r\nContent-Type: application/json\r\n{more}Content-Length: \
             {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// What the connections share.
#[derive(Debug, Default)]
struct Tally {
    done: Cell<u64>,
    failure: RefCell<Option<String>>,
    /// Of each call of the measured time, in tenths of a microsecond.
    latencies: RefCell<Vec<u32>>,
    /// The length of an answer's body: all are alike.
    length: Cell<Option<usize>>,
    measuring: Cell<bool>,
    /// The next token that was not used.
    next: Cell<usize>,
    stopped: Cell<bool>,
}

/// Makes the calls and prints what they cost.
pub(crate) async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let requests: Rc<[Vec<u8>]> = options.call.requests()?.into();
    let tally = Rc::new(Tally::default());
    let began = Instant::now();
    for number in 0..options.call.connections {
        let wire = Wire::open(&options.call.address).await?;
        let (options, requests, tally) = (options.clone(), Rc::clone(&requests), Rc::clone(&tally));
        tokio::task::spawn_local(async move {
            let work = Work { began, number, options: &options, requests: &requests };
            if let Err(failure) = work.run(wire, &tally).await {
                tally.failure.borrow_mut().get_or_insert(failure);
                tally.stopped.set(true);
            }
        });
    }
    sleep(Duration::from_secs_f64(options.warm_seconds)).await;
    let before: Vec<f64> = options.watched.iter().map(Watched::cpu_micros).collect();
    tally.measuring.set(true);
    let since = Instant::now();
    let end = since + Duration::from_secs_f64(options.seconds);
    while Instant::now() < end && !tally.stopped.get() {
        sleep(Duration::from_millis(5)).await;
    }
    tally.measuring.set(false);
    let elapsed = since.elapsed();
    let spent: Vec<f64> =
        options.watched.iter().zip(before).map(|(one, before)| one.cpu_micros() - before).collect();
    tally.stopped.set(true);
    if let Some(failure) = tally.failure.take() {
        return Err(failure.into());
    }
    writeln!(std::io::stdout(), "{}", tally.report(elapsed, &options.watched, &spent))?;
    Ok(())
}

struct Work<'a> {
    began: Instant,
    number: usize,
    options: &'a Options,
    requests: &'a [Vec<u8>],
}

impl Work<'_> {
    async fn run(&self, mut wire: Wire, tally: &Tally) -> Result<(), String> {
        let mut turn = 0;
        while !tally.stopped.get() {
            if self.options.rate > 0 {
                sleep_until(self.due(turn)).await;
            }
            let Some(request) = self.request(turn, tally) else {
                tally.stopped.set(true);
                return Ok(());
            };
            turn += 1;
            let sent = Instant::now();
            self.call(&mut wire, request, tally).await.map_err(|error| error.to_string())?;
            if tally.measuring.get() {
                let tenths = u32::try_from(sent.elapsed().as_nanos() / 100).unwrap_or(u32::MAX);
                tally.done.set(tally.done.get() + 1);
                tally.latencies.borrow_mut().push(tenths);
            }
        }
        Ok(())
    }

    /// When the turn's call is to be made: the connections take turns.
    fn due(&self, turn: usize) -> Instant {
        let calls = u32::try_from(turn * self.options.call.connections + self.number);
        let rate = self.options.rate;
        self.began + Duration::from_secs(1) * calls.unwrap_or(u32::MAX) / rate
    }

    fn request(&self, turn: usize, tally: &Tally) -> Option<&Vec<u8>> {
        if self.options.once {
            return self.requests.get(tally.next.replace(tally.next.get() + 1));
        }
        self.requests
            .get((turn * self.options.call.connections + self.number) % self.requests.len())
    }

    async fn call(
        &self,
        wire: &mut Wire,
        request: &[u8],
        tally: &Tally,
    ) -> Result<(), Box<dyn Error>> {
        wire.write(request).await?;
        let answer = wire.read().await?;
        let length = tally.length.get().unwrap_or(answer.body.len());
        tally.length.set(Some(length));
        // What is as long as the first answer is not another kind of answer.
        if answer.status() != self.options.status || answer.body.len() != length {
            let text = String::from_utf8_lossy(answer.body);
            let text: String = text.chars().take(300).collect();
            return Err(format!("{} {text}", answer.status()).into());
        }
        Ok(())
    }
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are small")]
    fn report(&self, elapsed: Duration, watched: &[Watched], spent: &[f64]) -> serde_json::Value {
        let mut latencies = self.latencies.take();
        latencies.sort_unstable();
        let quantile = |permille: usize| {
            let index = latencies.len().saturating_sub(1) * permille / 1000;
            f64::from(latencies.get(index).copied().unwrap_or_default()) / 10.0
        };
        let done = self.done.get();
        let mut report = json!({
            "bytes": self.length.get(),
            "done": done,
            "p50_us": quantile(500),
            "p99_us": quantile(990),
            "per_second": (done as f64 / elapsed.as_secs_f64()).round(),
        });
        let costs = watched.iter().zip(spent).flat_map(|(one, spent)| {
            let name = &one.name;
            [
                (format!("{name}_cpu_us"), json!(spent / done.max(1) as f64)),
                (format!("{name}_mib"), json!(one.memory_mib())),
            ]
        });
        if let Some(members) = report.as_object_mut() {
            members.extend(costs);
        }
        report
    }
}
