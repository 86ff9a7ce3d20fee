//! Opening the file: who may read it, who holds it, and which layout it has.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError,
    WriteTransaction, backends::InMemoryBackend,
};

use super::{
    blank,
    fault::{fault, io_fault},
    tables::{Committed, ENTRIES, EXPIRIES},
};
use crate::StoreError;

const LAYOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("layout");
/// The layout this code reads and writes.
const VERSION: u64 = 1;
/// How much of the file is kept in memory at most.
const CACHE: usize = 64 * 1024 * 1024;

/// The entries inside a read transaction.
type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Where a store is kept.
#[derive(Clone, Debug)]
pub(super) enum Place {
    #[cfg(test)]
    Disk(super::disk_tests::Disk),
    File(PathBuf),
    Memory,
}

/// An open database with all its tables.
#[derive(Debug)]
pub(super) struct Opened(Database);

impl Place {
    pub(super) fn open(&self) -> Result<Opened, StoreError> {
        match self {
            #[cfg(test)]
            Self::Disk(disk) => {
                Opened::check(builder().create_with_backend(disk.clone()).map_err(fault)?)
            }
            Self::File(path) => open(path).map_err(|error| name(error, path)),
            Self::Memory => {
                let backend = InMemoryBackend::new();
                Opened::check(builder().create_with_backend(backend).map_err(fault)?)
            }
        }
    }
}

impl Opened {
    /// Refuses a layout of another version, and makes the tables of a new file.
    fn check(database: Database) -> Result<Self, StoreError> {
        let opened = Self(database);
        match opened.version()? {
            Some(VERSION) => {}
            Some(other) => {
                return Err(StoreError::Invalid(format!(
                    "the file has layout {other}, and this program knows layout {VERSION}"
                )));
            }
            None => opened.lay_out()?,
        }
        Ok(opened)
    }

    fn version(&self) -> Result<Option<u64>, StoreError> {
        let transaction = self.0.begin_read().map_err(fault)?;
        let layout = match transaction.open_table(LAYOUT) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other.map_err(fault)?,
        };
        Ok(layout.get("version").map_err(fault)?.map(|found| found.value()))
    }

    fn lay_out(&self) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        transaction.open_table(LAYOUT).map_err(fault)?.insert("version", VERSION).map_err(fault)?;
        transaction.open_table(ENTRIES).map_err(fault)?;
        transaction.open_table(EXPIRIES).map_err(fault)?;
        transaction.commit().map_err(fault)
    }

    pub(super) fn begin_read(&self) -> Result<Committed<Table>, StoreError> {
        let transaction = self.0.begin_read().map_err(fault)?;
        Ok(Committed(transaction.open_table(ENTRIES).map_err(fault)?))
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.0.begin_write().map_err(fault)?;
        // What is stored comes from strangers, who must not be able to prepare a torn commit
        // that looks whole.
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }
}

/// The answer while a file that failed could not be opened again.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the file could not be opened again after a failure".to_owned())
}

fn open(path: &Path) -> Result<Opened, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let (file, created) = match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            (options.open(path).map_err(|error| io_fault(&error))?, false)
        }
        other => (other.map_err(|error| io_fault(&error))?, true),
    };
    let mode = file.metadata().map_err(|error| io_fault(&error))?.mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read or write the store's file");
    }
    if !created {
        blank::clear(&file, path)?;
    }
    let opened = Opened::check(builder().create_file(file).map_err(fault)?)?;
    if created {
        sync_folder(path).map_err(|error| io_fault(&error))?;
    }
    Ok(opened)
}

/// A new file is only there after a power failure if its folder was written too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Says which file it is about.
fn name(error: StoreError, path: &Path) -> StoreError {
    let name = |said: String| format!("{}: {said}", path.display());
    match error {
        StoreError::Corrupt(said) => StoreError::Corrupt(name(said)),
        StoreError::Denied(said) => StoreError::Denied(name(said)),
        StoreError::Invalid(said) => StoreError::Invalid(name(said)),
        StoreError::Unavailable(said) => StoreError::Unavailable(name(said)),
        StoreError::Busy | StoreError::Full => error,
    }
}
