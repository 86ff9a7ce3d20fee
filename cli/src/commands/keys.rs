//! `vestibule keys`: the life of keys, and the drill.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask, ask_gateway},
    renew,
    table::{self, field},
};

const EXAMPLES: &str = "\
Examples:
  vestibule keys list                   what signs, what stands by, and what comes when
  vestibule keys rotate                 the standby signs from now on; nobody notices
  vestibule keys revoke KEY             refuse a stolen key everywhere, within a second
  vestibule keys rotate --purpose refresh-mac
  vestibule keys drill                  who reads the published keys, and how soon
  vestibule keys rotate --gateway       the keys with which a gateway signs what backends see

The life of a key: pending (published, not signing) -> active (the one that signs) -> retiring
(what it signed is still valid) -> retired. A revoked key is refused at once and for ever.
A step that would make somebody refuse a valid token is not taken before its time; the refusal
says when that is, and what --emergency costs. Keys also change by themselves, every
keys.rotate_every (90d).
";

/// How often a drill looks.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,
    /// The keys with which a gateway signs who calls, for backends. On the gateway's machine;
    /// gateways that share a Redis share them.
    #[arg(long, global = true)]
    gateway: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Let a standby sign. The key that signed retires and loses its private half.
    Activate(One),
    /// Publish another standby key.
    Announce(Which),
    /// Publish a key that can never sign, and see who has read it and after how long. It is
    /// taken back at the end.
    Drill {
        /// How long to wait for the last one.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
    },
    /// List the keys, their states, and when each may change.
    List {
        /// Show keys that are over as well.
        #[arg(long)]
        all: bool,
    },
    /// Put new keys in the place of those that nobody can open, because the key-encryption key is
    /// lost. Every server must be stopped. Accounts, clients and API keys stay; tokens do not.
    Renew {
        /// You know that every token ends, and people approve their clients again.
        #[arg(long, required = true)]
        everybody_signs_in_again: bool,
    },
    /// Seal the stored keys under the current key-encryption key. Name the one before in
    /// `keys.previous_key_encryption_key_files` on every server first.
    Reseal,
    /// Take a key that no longer signs out of the published keys.
    Retire(One),
    /// Refuse a key everywhere and for ever. If it signed, the standby signs at once.
    Revoke(One),
    /// Let the oldest standby sign, and announce another.
    Rotate {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        haste: Haste,
    },
}

#[derive(Args, Debug)]
struct One {
    /// The key's id, as `keys list` shows it.
    #[arg(value_name = "KEY", allow_hyphen_values = true)]
    key: String,
    #[command(flatten)]
    haste: Haste,
}

#[derive(Args, Debug)]
struct Haste {
    /// Do it before its time; the answer says what it costs.
    #[arg(long)]
    emergency: bool,
}

impl Haste {
    fn body(&self) -> Value {
        json!({ "emergency": self.emergency })
    }
}

#[derive(Args, Debug)]
struct Which {
    /// Of which algorithm: ES256, `EdDSA` or RS256, as `keys.algorithms` has them. The first of
    /// them without it.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// What the keys are for.
    #[arg(long, value_enum, default_value_t = Purpose::Issuer)]
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Purpose {
    /// They sign access tokens, ID tokens and signed answers.
    Issuer,
    /// They seal pages and make browsers known.
    PageSeal,
    /// They authenticate refresh tokens.
    RefreshMac,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::PageSeal => "page-seal",
            Self::RefreshMac => "refresh-mac",
        }
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: &KeysArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    if arguments.gateway {
        return of_gateway(place, &arguments.command).await;
    }
    match &arguments.command {
        KeysCommand::Activate(one) => {
            change(place, &["keys", &one.key, "activate"], one.haste.body()).await
        }
        KeysCommand::Announce(which) => {
            let path = ["key-sets", which.purpose.as_str(), "announce"];
            change(place, &path, json!({ "algorithm": which.algorithm })).await
        }
        KeysCommand::Drill { wait } => drill(place, Duration::from_secs(*wait)).await,
        KeysCommand::List { all } => list(place, *all).await,
        KeysCommand::Renew { .. } => renew::run(place).await,
        KeysCommand::Reseal => {
            let answer = ask(place, Ask::of(Method::POST, &["keys", "reseal"])).await?;
            table::one(place, &answer);
            Ok(())
        }
        KeysCommand::Retire(one) => {
            change(place, &["keys", &one.key, "retire"], one.haste.body()).await
        }
        KeysCommand::Revoke(one) => {
            change(place, &["keys", &one.key, "revoke"], one.haste.body()).await
        }
        KeysCommand::Rotate { which, haste } => {
            let body = json!({ "algorithm": which.algorithm, "emergency": haste.emergency });
            change(place, &["key-sets", which.purpose.as_str(), "rotate"], body).await
        }
    }
}

async fn of_gateway(place: &Place, command: &KeysCommand) -> Result<(), Failure> {
    const KEYS: &str = "gateway-keys";
    let post = async |path: &[&str], body: Value| {
        ask_gateway(place, Ask { body, ..Ask::of(Method::POST, path) }).await
    };
    let which = |which: &Which| match which.purpose {
        Purpose::Issuer => Ok(()),
        purpose => Err(Failure::Misuse(format!(
            "--purpose {} is of auth-server's keys; leave it out with --gateway",
            purpose.as_str()
        ))),
    };
    let answer = match command {
        KeysCommand::Activate(one) => post(&[KEYS, &one.key, "activate"], one.haste.body()).await?,
        KeysCommand::Announce(asked) => {
            which(asked)?;
            post(&[KEYS, "announce"], json!({ "algorithm": asked.algorithm })).await?
        }
        KeysCommand::Drill { .. } => {
            return Err(Failure::Misuse(
                "backends do not report which keys they have read, so there is no drill of a \
                 gateway's keys"
                    .to_owned(),
            ));
        }
        KeysCommand::List { all } => {
            let answer = ask_gateway(place, Ask::of(Method::GET, &[KEYS])).await?;
            show(place, &answer, *all);
            return Ok(());
        }
        KeysCommand::Renew { .. } => {
            return Err(Failure::Misuse(
                "vestibule keys renew renews what cannot be opened of both services; leave out \
                 --gateway"
                    .to_owned(),
            ));
        }
        KeysCommand::Reseal => post(&[KEYS, "reseal"], Value::Null).await?,
        KeysCommand::Retire(one) => post(&[KEYS, &one.key, "retire"], one.haste.body()).await?,
        KeysCommand::Revoke(one) => post(&[KEYS, &one.key, "revoke"], one.haste.body()).await?,
        KeysCommand::Rotate { which: asked, haste } => {
            which(asked)?;
            let body = json!({ "algorithm": asked.algorithm, "emergency": haste.emergency });
            post(&[KEYS, "rotate"], body).await?
        }
    };
    changed(place, answer);
    Ok(())
}

async fn change(place: &Place, path: &[&str], body: Value) -> Result<(), Failure> {
    let answer = ask(place, Ask { body, ..Ask::of(Method::POST, path) }).await?;
    changed(place, answer);
    Ok(())
}

fn changed(place: &Place, mut answer: Value) {
    if let Some(fields) = answer.as_object_mut()
        && !place.json
    {
        fields.retain(|_, value| !value.is_null());
    }
    table::one(place, &answer);
}

async fn list(place: &Place, all: bool) -> Result<(), Failure> {
    let answer = ask(place, Ask::of(Method::GET, &["keys"])).await?;
    show(place, &answer, all);
    Ok(())
}

fn show(place: &Place, answer: &Value, all: bool) {
    if place.json {
        table::one(place, answer);
        return;
    }
    let is_over = |key: &Value| matches!(field(key, "state").as_str(), "retired" | "revoked");
    let keys: Vec<Value> = items(answer, "keys").filter(|key| all || !is_over(key)).collect();
    table::list(
        place,
        &keys,
        [
            ("PURPOSE", |key| field(key, "purpose").replace('_', "-")),
            ("STATE", |key| field(key, "state")),
            ("KEY", |key| field(key, "id")),
            ("ALG", |key| field(key, "algorithm")),
            ("PUBLISHED", |key| field(key, "published")),
            ("NEXT", |key| match key.get("next") {
                None | Some(Value::Null) => "-".to_owned(),
                Some(_) => format!("{} {}", field(key, "next"), field(key, "next_at")),
            }),
        ],
    );
    let servers: Vec<Value> = items(answer, "servers").collect();
    if !servers.is_empty() {
        table::done(place, "");
        table::list(
            place,
            &servers,
            [
                ("SERVER", |server| field(server, "name")),
                ("LAST SEEN", |server| field(server, "seen")),
                ("VERSIONS", |server| field(server, "versions")),
            ],
        );
    }
}

/// Announces a probe, waits until everybody has it, takes it back, and says who had it when.
async fn drill(place: &Place, wait: Duration) -> Result<(), Failure> {
    let started = ask(place, Ask::of(Method::POST, &["keys", "drill"])).await?;
    let key = field(&started, "key");
    let seen = watch(place, &key, started, wait).await;
    let withdrawn = ask(place, Ask::of(Method::DELETE, &["keys", "drill", &key])).await;
    let seen = seen?;
    withdrawn?;
    if place.json {
        table::one(place, &seen);
    } else {
        table::done(place, &format!("probe {key}, announced {}", field(&seen, "announced")));
        let verifiers: Vec<Value> = items(&seen, "verifiers").collect();
        table::list(
            place,
            &verifiers,
            [
                ("KIND", |one| field(one, "kind")),
                ("NAME", |one| field(one, "name")),
                ("HAS IT AFTER", |one| match one.get("after_ms").and_then(Value::as_u64) {
                    Some(millis) => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
                    None => "not yet".to_owned(),
                }),
            ],
        );
        table::done(place, "the probe is withdrawn");
    }
    let missing = missing(&seen);
    if missing > 0 {
        return Err(Failure::Refused(format!(
            "{missing} did not read the published keys within {} s; wait longer with --wait, and \
             look at what keeps them from it before you rotate",
            wait.as_secs()
        )));
    }
    Ok(())
}

async fn watch(place: &Place, key: &str, started: Value, wait: Duration) -> Result<Value, Failure> {
    let began = Instant::now();
    let mut seen = started;
    while missing(&seen) > 0 && began.elapsed() < wait {
        tokio::time::sleep(LOOK).await;
        seen = ask(place, Ask::of(Method::GET, &["keys", "drill", key])).await?;
    }
    Ok(seen)
}

fn missing(seen: &Value) -> usize {
    items(seen, "verifiers").filter(|one| one.get("after_ms").is_none_or(Value::is_null)).count()
}

fn items(answer: &Value, name: &str) -> impl Iterator<Item = Value> {
    answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default().into_iter()
}
