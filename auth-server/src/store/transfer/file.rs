//! A back-up: a file with a head, one piece a line, and what was counted at its end. It holds
//! sealed keys and hashes, but also names and addresses: it is readable by its owner alone.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use super::{BATCH, Census, Counting, Piece, Transfer, to_line, walk};
use crate::store::StoreError;

const FORMAT: &str = "vestibule-backup";
const VERSION: u8 = 1;

/// The first line of a back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupHead {
    format: String,
    /// The logs of revocations that were in use then, each with the moment until which the store
    /// had everything of it.
    #[serde(default)]
    pub(crate) logs: BTreeMap<String, Timestamp>,
    /// Everything that was answered until this moment is in it.
    pub(crate) taken: Timestamp,
    version: u8,
}

/// Writes everything to a new file; it is on the disk and has its name when this returns.
pub(crate) async fn write_backup(
    store: &dyn Transfer,
    path: &Path,
    now: Timestamp,
) -> Result<Census, StoreError> {
    let problem =
        |error: std::io::Error| StoreError::Backup(format!("{}: {error}", path.display()));
    if path.exists() {
        return Err(StoreError::Backup(format!("{} exists; name another file", path.display())));
    }
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = BufWriter::new(options.open(&part).map_err(problem)?);
    // Before anything is read: what is revoked while it is read is in the logs after this.
    let logs = store.store().marks().await?.logs.into_iter();
    let logs = logs.map(|(id, log)| (id, log.as_of.min(now))).collect();
    let head = BackupHead { format: FORMAT.to_owned(), logs, taken: now, version: VERSION };
    line(&mut file, &head).map_err(problem)?;
    let file = Arc::new(Mutex::new(file));
    let census = walk(store, now, |pieces| {
        let file = Arc::clone(&file);
        async move {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            for piece in &pieces {
                let mut text = to_line(piece)?;
                text.push(b'\n');
                file.write_all(&text).map_err(problem)?;
            }
            Ok(())
        }
    })
    .await?;
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    line(&mut *file, &census).map_err(problem)?;
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(problem)?;
    std::fs::rename(&part, path).map_err(problem)?;
    Ok(census)
}

/// Reads a back-up into a store; refused where a piece is missing or was changed.
pub(crate) async fn read_backup(
    store: &dyn Transfer,
    path: &Path,
) -> Result<(BackupHead, Census), StoreError> {
    let wrong = |why: &str| StoreError::Backup(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| wrong(&error.to_string()))?;
    let mut lines = BufReader::new(file).lines();
    let mut next = || lines.next().transpose().map_err(|error| wrong(&error.to_string()));
    let head = next()?.and_then(|line| serde_json::from_str::<BackupHead>(&line).ok());
    let head = head.filter(|head| head.format == FORMAT);
    let head = head.ok_or_else(|| wrong("this is not a back-up of auth-server's store"))?;
    if head.version != VERSION {
        return Err(wrong("this back-up is of another version of the program"));
    }
    let mut counting = Counting::new(head.taken);
    let mut batch = Vec::new();
    loop {
        let text = next()?.ok_or_else(|| wrong("the end is missing; it was not written whole"))?;
        if let Ok(census) = serde_json::from_str::<Census>(&text) {
            store.take_up(batch).await?;
            let found = counting.done();
            if found != census {
                return Err(wrong("it is not as it was written: a piece is missing or changed"));
            }
            return Ok((head, found));
        }
        let piece: Piece =
            serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
        counting.add(&piece)?;
        batch.push(piece);
        if batch.len() >= BATCH {
            store.take_up(std::mem::take(&mut batch)).await?;
        }
    }
}

fn line<T: Serialize>(file: &mut impl Write, value: &T) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    file.write_all(&text)
}
