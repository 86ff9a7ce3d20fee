//! What operators do with a store that no server uses: put a back-up back, move everything to
//! the other engine, or take the store as it is after it was put back by other means.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shared::time::{Clock, Timestamp};

pub use crate::key_sets::renew_keys;
use crate::{
    engine::Engine,
    store::{Census, Journal, PutBack, StoreError, Transfer, census, read_backup, walk},
};

/// How long ago a store that several servers may share must have been used last.
const QUIET: Duration = Duration::from_secs(90);
/// What ends within this time is copied, but not counted: it may end while it is compared.
const LASTING: Duration = Duration::from_mins(10);

/// Why a store is not put back or moved.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error(
        "somebody wrote to the store while it was copied; stop every server and clear the new \
         store, then begin again"
    )]
    Changed,
    #[error(
        "a server used this store {0} s ago; stop every auth-server and ask again in two minutes"
    )]
    InUse(u64),
    #[error(
        "other servers used the store too, and what they revoked after the back-up is in their \
         logs ({}): name each with --log, or accept the loss with --accept-lost-revocations",
        .0.join(", ")
    )]
    LogMissing(Vec<String>),
    #[error(
        "the log of revocations begins after the back-up was made, so that what was revoked in \
         between would be in force again; name a log that reaches back with --log, or accept it \
         with --accept-lost-revocations"
    )]
    LogTooShort,
    #[error(transparent)]
    Key(#[from] keys::KeyError),
    #[error("the new store is not empty; it must hold nothing before everything is moved into it")]
    NotEmpty,
    #[error(
        "the stored keys open with the key-encryption key that is given, so nothing is lost; \
         vestibule keys rotate replaces keys and keeps what they made"
    )]
    Opens,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a back-up is put back.
#[derive(Clone, Debug, Default)]
pub struct Restoring {
    /// Revocations that no log has are taken for granted.
    pub accept_lost_revocations: bool,
    /// Logs of revocations that were kept elsewhere.
    pub logs: Vec<PathBuf>,
}

/// Puts a back-up into an empty store. What was revoked since is in force again at the next
/// start; it is refused if that cannot be known.
pub async fn restore(
    engine: &Engine,
    backup: &Path,
    how: &Restoring,
    clock: &Clock,
) -> Result<Census, MaintenanceError> {
    let whole = engine.whole(clock)?;
    if !whole.is_empty().await? {
        return Err(MaintenanceError::NotEmpty);
    }
    // Until all of it is there no server may start on it.
    whole.store().seal(Some("a back-up was not put back to its end")).await?;
    let (head, found) = read_backup(&*whole, backup).await?;
    let of = head.taken;
    whole.store().put_back(PutBack { at: clock.now(), of }, &head.logs).await?;
    reach(engine, of, how, clock)?;
    if how.accept_lost_revocations {
        whole.store().accept_lost(clock.now()).await?;
    }
    others(engine, &*whole, clock).await?;
    whole.store().seal(None).await?;
    whole.settle().await?;
    Ok(found)
}

/// Takes a store as it is that was put back by other means. Returns of when it is.
pub async fn take_as_it_is(
    engine: &Engine,
    how: &Restoring,
    clock: &Clock,
) -> Result<Option<Timestamp>, MaintenanceError> {
    let whole = engine.whole(clock)?;
    let as_of = whole.store().as_of().await?;
    reach(engine, as_of.unwrap_or(clock.now()), how, clock)?;
    if how.accept_lost_revocations {
        whole.store().accept_lost(clock.now()).await?;
    }
    Ok(as_of)
}

/// Moves everything from one store to an empty one, compares both, and seals the first.
pub async fn migrate(
    from: &Engine,
    to: &Engine,
    clock: &Clock,
) -> Result<Census, MaintenanceError> {
    let now = clock.now();
    let (old, new) = (from.whole(clock)?, to.whole(clock)?);
    if let Some(why) = old.store().sealed().await? {
        return Err(StoreError::Sealed(why).into());
    }
    in_use(from, &old, now).await?;
    if !new.is_empty().await? {
        return Err(MaintenanceError::NotEmpty);
    }
    new.store().seal(Some("not everything was moved here")).await?;
    let until = now.plus(LASTING);
    let moved = walk(&*old, until, |pieces| {
        let new = Arc::clone(&new);
        async move { new.take_up(pieces).await }
    })
    .await?;
    if census(&*new, until).await? != moved || census(&*old, until).await? != moved {
        return Err(MaintenanceError::Changed);
    }
    follow(from, to, clock)?;
    // Servers elsewhere have logs too, with what the old store may not have yet.
    for (id, log) in old.store().marks().await?.logs {
        new.store().put_log(&id, log).await?;
    }
    new.store().put_base(now).await?;
    new.settle().await?;
    old.store()
        .seal(Some("everything was moved to another store; start the servers with that one"))
        .await?;
    old.settle().await?;
    new.store().seal(None).await?;
    new.settle().await?;
    Ok(moved)
}

/// A file is opened by one process; of Redis the mark tells whether somebody uses it.
pub(crate) async fn in_use(
    engine: &Engine,
    whole: &Arc<dyn Transfer>,
    now: Timestamp,
) -> Result<(), MaintenanceError> {
    let used = whole.store().as_of().await?.map(|used| now.since(used));
    match (engine, used) {
        (Engine::Redis(..), Some(ago)) if ago < QUIET => {
            Err(MaintenanceError::InUse(ago.as_secs()))
        }
        _ => Ok(()),
    }
}

/// Makes sure that the log has what was revoked since, with the logs from elsewhere in it.
fn reach(
    engine: &Engine,
    as_of: Timestamp,
    how: &Restoring,
    clock: &Clock,
) -> Result<(), MaintenanceError> {
    let now = clock.now();
    let Some(journal) = engine.journal(now)? else { return Ok(()) };
    for log in &how.logs {
        journal.merge(log, now)?;
    }
    if how.accept_lost_revocations {
        journal.accept(as_of)?;
    }
    if journal.reaches(as_of, now, None)? { Ok(()) } else { Err(MaintenanceError::LogTooShort) }
}

/// A file has one server: nobody else will bring the logs that its back-up knows.
async fn others(
    engine: &Engine,
    whole: &dyn Transfer,
    clock: &Clock,
) -> Result<(), MaintenanceError> {
    let (Engine::Embedded(..), Some(journal)) = (engine, engine.journal(clock.now())?) else {
        return Ok(());
    };
    let marks = whole.store().marks().await?;
    let missing: Vec<String> =
        marks.not_compared().into_iter().filter(|id| !journal.holds(id)).collect();
    if missing.is_empty() { Ok(()) } else { Err(MaintenanceError::LogMissing(missing)) }
}

/// The log goes where the store goes.
fn follow(from: &Engine, to: &Engine, clock: &Clock) -> Result<(), StoreError> {
    let log = |engine: &Engine| match engine {
        Engine::Embedded(_, path) => path.clone(),
        Engine::Redis(_, path) => Some(path.clone()),
    };
    let (Some(old), Some(new)) = (log(from), log(to)) else { return Ok(()) };
    if old != new && old.exists() {
        Journal::open(&new, clock.now())?.merge(&old, clock.now())?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "maintenance_tests.rs"]
mod tests;
