//! Puts load on an authorization server from one thread, and prints one line of JSON: operations
//! per second, latencies, and the processor time that the watched processes spent per operation.

mod flow;
mod http;
mod processes;
mod work;

use std::{
    cell::{Cell, RefCell},
    error::Error,
    io::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::{
    processes::Watched,
    work::{Operation, Worker},
};

/// Puts load on an authorization server.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// What is done again and again.
    #[arg(long, value_enum)]
    operation: Operation,
    /// The issuer; its discovery document names the endpoints.
    #[arg(long)]
    issuer: String,
    /// The path of the discovery document.
    #[arg(long, default_value = "/.well-known/oauth-authorization-server")]
    discovery: String,
    /// The public client of code and refresh grants.
    #[arg(long, default_value = "bench-web")]
    client: String,
    /// The client and secret of `client_credentials`, as `id:secret`.
    #[arg(long, default_value = "bench-cc:bench-secret")]
    service: String,
    #[arg(long, default_value = "http://127.0.0.1:7777/cb")]
    redirect: String,
    #[arg(long)]
    resource: String,
    #[arg(long)]
    scope: String,
    /// How many connections work side by side.
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// How many people there are, `bench-0` and on.
    #[arg(long, default_value_t = 1)]
    people: u32,
    /// How long is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long is worked before that.
    #[arg(long, default_value_t = 1.0)]
    warm_seconds: f64,
    /// End after so many operations instead.
    #[arg(long)]
    count: Option<u64>,
    /// Whose processor time is counted, as `name=pid`.
    #[arg(long = "watch")]
    watched: Vec<Watched>,
}

/// What the workers share.
#[derive(Debug, Default)]
struct Tally {
    done: Cell<u64>,
    failed: Cell<u64>,
    last_failure: RefCell<String>,
    /// Of each operation of the measured time, in microseconds.
    latencies: RefCell<Vec<u32>>,
    measuring: Cell<bool>,
    ready: Cell<u32>,
    stopped: Cell<bool>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, run(&arguments))?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

async fn run(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let target = Rc::new(work::discover(arguments).await?);
    let tally = Rc::new(Tally::default());
    for number in 0..arguments.connections {
        let (tally, target) = (Rc::clone(&tally), Rc::clone(&target));
        let (operation, count) = (arguments.operation, arguments.count);
        tokio::task::spawn_local(async move {
            let mut worker = Worker::new(target, number);
            let prepared = worker.prepare(operation).await;
            tally.ready.set(tally.ready.get() + 1);
            if let Err(why) = prepared {
                return tally.fail(&why);
            }
            work_on(worker, operation, count, &tally).await;
        });
    }
    let pause = Duration::from_millis(5);
    while tally.ready.get() < arguments.connections {
        tokio::time::sleep(pause).await;
    }
    if arguments.count.is_none() {
        tokio::time::sleep(Duration::from_secs_f64(arguments.warm_seconds)).await;
    }
    let before: Vec<f64> = arguments.watched.iter().map(Watched::cpu_micros).collect();
    tally.measuring.set(true);
    let began = Instant::now();
    match arguments.count {
        Some(count) => {
            while tally.done.get() < count && tally.failed.get() == 0 {
                tokio::time::sleep(pause).await;
            }
        }
        None => tokio::time::sleep(Duration::from_secs_f64(arguments.seconds)).await,
    }
    tally.measuring.set(false);
    let elapsed = began.elapsed();
    let report = tally.report(elapsed, &arguments.watched, &before);
    tally.stopped.set(true);
    Ok(report)
}

async fn work_on(mut worker: Worker, operation: Operation, count: Option<u64>, tally: &Tally) {
    while !tally.stopped.get() && count.is_none_or(|count| tally.done.get() < count) {
        let began = Instant::now();
        match worker.perform(operation).await {
            Ok(()) if tally.measuring.get() || count.is_some() => {
                let micros = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
                tally.done.set(tally.done.get() + 1);
                tally.latencies.borrow_mut().push(micros);
            }
            Ok(()) => {}
            // A chain that is broken cannot go on, and a failure makes the run worthless.
            Err(why) => return tally.fail(&why),
        }
    }
}

impl Tally {
    fn fail(&self, why: &str) {
        self.failed.set(self.failed.get() + 1);
        why.clone_into(&mut self.last_failure.borrow_mut());
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of one run are small")]
    fn report(&self, elapsed: Duration, watched: &[Watched], before: &[f64]) -> Value {
        let mut latencies = self.latencies.take();
        latencies.sort_unstable();
        let quantile = |permille: usize| {
            let index = latencies.len().saturating_sub(1) * permille / 1000;
            latencies.get(index).copied().unwrap_or_default()
        };
        let done = self.done.get();
        let report = json!({
            "done": done,
            "failed": self.failed.get(),
            "last_failure": *self.last_failure.borrow(),
            "p50_us": quantile(500),
            "p99_us": quantile(990),
            "per_second": (done as f64 / elapsed.as_secs_f64()).round(),
        });
        let costs = watched.iter().zip(before).flat_map(|(one, before)| {
            let spent = one.cpu_micros() - before;
            [
                (format!("{}_cpu_us", one.name), json!(spent / done.max(1) as f64)),
                (format!("{}_mib", one.name), json!(one.memory_mib())),
            ]
        });
        report
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .chain(costs)
            .collect()
    }
}
