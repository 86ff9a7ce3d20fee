//! A file whose making was cut off before anything could be kept in it, told from one that held
//! data and was damaged.
//!
//! The database gives a new file its length, writes its first page without the mark that stands at
//! its beginning, and then the mark. Every file that was ever committed to has that mark, and pages
//! that are not zero behind the first one.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::fault::io_fault;
use crate::StoreError;

/// The length of the mark.
const MARK: usize = 9;
/// The length of the first page, which has nothing but the header.
const FIRST_PAGE: u64 = 4096;
/// More than a new file is long.
const LONGEST: u64 = 4 * 1024 * 1024;
/// How much is looked at at a time.
const PIECE: usize = 64 * 1024;

/// Empties the file if it was never completely made, so that it is made anew. What may have held
/// data stays as it is.
pub(super) fn clear(file: &File, path: &Path) -> Result<(), StoreError> {
    if !is_blank(file).map_err(|error| io_fault(&error))? {
        return Ok(());
    }
    // Another process may be making it at this moment.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Denied("the file is in use by another process".to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(io_fault(&error)),
    }
    let cleared = is_blank(file).and_then(|is_blank| {
        if is_blank {
            tracing::warn!(
                path = %path.display(),
                "the store's file was never completely made, and nothing was ever kept in it; it \
                 is made anew"
            );
            file.set_len(0)?;
            file.sync_all()?;
        }
        file.unlock()
    });
    cleared.map_err(|error| io_fault(&error))
}

/// Whether the file has a length, no mark, and nothing behind its first page.
fn is_blank(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    if length == 0 || length > LONGEST {
        return Ok(false);
    }
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        let rest = usize::try_from(length - at).unwrap_or(PIECE);
        let Some(read) = piece.get_mut(..rest.min(PIECE)) else { return Ok(false) };
        file.read_exact_at(read, at)?;
        let may_be_written = |place: u64| place >= MARK as u64 && place < FIRST_PAGE;
        let is_zero =
            read.iter().zip(at..).all(|(byte, place)| *byte == 0 || may_be_written(place));
        if !is_zero {
            return Ok(false);
        }
        at += read.len() as u64;
    }
    Ok(true)
}
