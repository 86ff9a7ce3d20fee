//! `vestibule store`: back-ups of auth-server's store, and its move to another engine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use auth_server::{
    Engine,
    maintenance::{self, MaintenanceError, Restoring},
};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use shared::{problem::chain, time::Clock};

use super::{
    EXIT_CODES, Failure, Place,
    connection::{Ask, ask},
    table,
};
use crate::{
    admin_socket,
    deployment_file::{File, RawEngine},
    gateway_keys, key_encryption_key, serve, stores,
};

const EXAMPLES: &str = "\
Examples:
  vestibule store backup /backup/2026-11-21.vestibule
  vestibule store restore /backup/2026-11-21.vestibule --config deployment.toml
  vestibule store migrate --config file.toml --to redis.toml
  vestibule store check

A back-up holds no key-encryption key: keep a copy of that apart. The log of revocations,
DATA/revocations.journal, must be outside the back-ups too: it keeps what was revoked after a
back-up revoked when the back-up is put back.
";

#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub(crate) struct StoreArguments {
    #[command(subcommand)]
    command: StoreCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Write everything auth-server keeps to a new file, while it serves.
    Backup {
        /// The file, which must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Read everything, and say how much there is of what.
    Check,
    /// Move everything to the empty store of another deployment file, and seal the old one.
    Migrate(Migrate),
    /// Put a back-up back. No server may run.
    Restore(Restore),
}

#[derive(Args, Debug)]
struct Migrate {
    /// The deployment file that names the new store.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The data folder of the new store; by default the same.
    #[arg(long, value_name = "FOLDER")]
    to_data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Restore {
    /// Put it back although nobody knows what was revoked since: it may be in force again.
    #[arg(long)]
    accept_lost_revocations: bool,
    /// The back-up. Without one the store is taken as it is, after it was put back by other
    /// means.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A log of revocations that was kept elsewhere; may be given more than once.
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(arguments: &StoreArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.command {
        StoreCommand::Backup { file } => {
            let path = std::path::absolute(file).map_err(|error| wrong(file, &error))?;
            let body = json!({ "path": path });
            let asked = Ask { body, ..Ask::of(Method::POST, &["store", "backup"]) };
            table::one(place, &ask(place, asked).await?);
            Ok(())
        }
        StoreCommand::Check => {
            table::one(place, &ask(place, Ask::of(Method::GET, &["store"])).await?);
            Ok(())
        }
        StoreCommand::Migrate(new) => migrate(place, new).await,
        StoreCommand::Restore(how) => restore(place, how).await,
    }
}

async fn restore(place: &Place, how: &Restore) -> Result<(), Failure> {
    let file = unused(place)?;
    let (clock, folder) = (Clock::System, &place.data_dir);
    let restoring =
        Restoring { accept_lost_revocations: how.accept_lost_revocations, logs: how.log.clone() };
    let Some(backup) = &how.file else {
        let engine = stores::engine(&file, folder).await.map_err(Failure::Unavailable)?;
        maintenance::take_as_it_is(&engine, &restoring, &clock)
            .await
            .map_err(|error| refused(&error))?;
        table::done(place, "the store is taken as it is; start the servers");
        return Ok(());
    };
    let found = if file.store.engine == RawEngine::Embedded {
        // Beside the file in use, which stays until all of the new one is there.
        let (live, part) = (folder.join(stores::STORE), folder.join("auth.redb.part"));
        remove(&part)?;
        let engine = stores::embedded_engine(&part, folder).map_err(Failure::Unavailable)?;
        let found = maintenance::restore(&engine, backup, &restoring, &clock).await;
        drop(engine);
        let found = found.map_err(|error| refused(&error))?;
        if live.exists() {
            let old = format!("{}.replaced-{}", stores::STORE, clock.now().secs());
            fs::rename(&live, folder.join(old)).map_err(|error| wrong(&live, &error))?;
        }
        fs::rename(&part, &live).map_err(|error| wrong(&part, &error))?;
        found
    } else {
        let engine = stores::engine(&file, folder).await.map_err(Failure::Unavailable)?;
        maintenance::restore(&engine, backup, &restoring, &clock)
            .await
            .map_err(|error| refused(&error))?
    };
    table::one(
        place,
        &json!({ "restored": backup, "holds": found.counts, "digest": found.digest }),
    );
    Ok(())
}

async fn migrate(place: &Place, new: &Migrate) -> Result<(), Failure> {
    let from = unused(place)?;
    let to = File::read(&new.to).map_err(Failure::Misuse)?;
    let folder = new.to_data_dir.as_ref().unwrap_or(&place.data_dir);
    if (from.store.engine, &place.data_dir) == (to.store.engine, folder) {
        return Err(Failure::Misuse("both files name the same store".to_owned()));
    }
    serve::make_private_folder(folder).map_err(Failure::Misuse)?;
    let keys = |file: &File, folder: &Path| {
        let read = key_encryption_key::read(&file.keys, folder).map_err(Failure::Misuse)?;
        Ok::<_, Failure>(read.keys.current().id().to_owned())
    };
    if keys(&from, &place.data_dir)? != keys(&to, folder)? {
        return Err(Failure::Misuse(
            "both files must name the same key-encryption key, or the keys that are moved could \
             not be opened; see keys.key_encryption_key_file"
                .to_owned(),
        ));
    }
    let old = stores::engine(&from, &place.data_dir).await.map_err(Failure::Unavailable)?;
    let fresh = stores::engine(&to, folder).await.map_err(Failure::Unavailable)?;
    let from_gateway = stores::gateway(&from, &place.data_dir).await;
    let to_gateway = stores::gateway(&to, folder).await;
    let moved = maintenance::migrate(&old, &fresh, &Clock::System)
        .await
        .map_err(|error| refused(&error))?;
    // A gateway of another machine has its store there, and moves it there.
    if let (Ok(from), Ok(to)) = (from_gateway, to_gateway) {
        gateway_keys::copy(&from, &to).await.map_err(Failure::Unavailable)?;
    }
    let to = name(&fresh);
    table::one(place, &json!({ "moved to": to, "holds": moved.counts, "digest": moved.digest }));
    Ok(())
}

/// The deployment file of a store that no server on this folder uses.
pub(super) fn unused(place: &Place) -> Result<File, Failure> {
    let sockets = [admin_socket::AUTH_SERVER, admin_socket::GATEWAY];
    let mut sockets = sockets.iter().map(|name| place.data_dir.join(name));
    if sockets.any(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok()) {
        return Err(Failure::Refused(format!(
            "a server runs on {}; stop it first",
            place.data_dir.display()
        )));
    }
    let config = place.config.as_ref().ok_or_else(|| {
        Failure::Misuse("--config is missing: the deployment file names the store".to_owned())
    })?;
    serve::make_private_folder(&place.data_dir).map_err(Failure::Misuse)?;
    File::read(config).map_err(Failure::Misuse)
}

pub(super) fn refused(error: &MaintenanceError) -> Failure {
    let text = chain(error);
    match error {
        MaintenanceError::Store(auth_server::StoreError::Engine(_)) => Failure::Unavailable(text),
        _ => Failure::Refused(text),
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(wrong(path, &error)),
        _ => Ok(()),
    }
}

fn wrong(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Misuse(format!("{}: {error}", path.display()))
}

fn name(engine: &Engine) -> Value {
    match engine {
        Engine::Embedded(..) => "the embedded file",
        Engine::Redis(..) => "Redis",
    }
    .into()
}
