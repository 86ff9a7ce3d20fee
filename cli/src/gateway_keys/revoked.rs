//! What is known of the gateway's keys outside their store: the highest version that was seen, and
//! which keys were revoked. An older copy of the store that is put back goes on from there.

use std::{
    fmt::Write as _,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use keys::KeySet;
use shared::ids::KeyId;

use crate::secret_file;

/// Its name in the data folder.
const NAME: &str = "gateway-keys.log";
/// How many revoked keys are remembered, the last ones: more than anybody revokes in the life of
/// a back-up.
const MOST: usize = 1000;

const REVOKED: &str = "revoked";
const VERSION: &str = "version";

/// The log; without a folder nothing is kept.
#[derive(Debug, Default)]
pub(super) struct RevokedLog {
    pub(super) highest: u64,
    path: Option<PathBuf>,
    pub(super) revoked: Vec<KeyId>,
}

impl RevokedLog {
    /// The log of a data folder.
    pub(super) fn read(data_dir: &Path) -> Result<Self, String> {
        let path = data_dir.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let mut log = Self { path: Some(path), ..Self::default() };
        for (line, number) in text.lines().zip(1..) {
            let read = match line.split_once(' ') {
                Some((VERSION, version)) => {
                    version.parse().map(|version| log.highest = version).ok()
                }
                Some((REVOKED, id)) => KeyId::parse(id).map(|id| log.revoked.push(id)).ok(),
                _ => None,
            };
            read.ok_or_else(|| {
                let path = log.path.as_deref().unwrap_or(data_dir).display();
                format!("line {number} of {path} cannot be read; put a copy of the file back")
            })?;
        }
        Ok(log)
    }

    /// Takes note of a set that is stored.
    pub(super) fn note(&mut self, set: &KeySet) -> Result<(), String> {
        let new = set.revoked().filter(|id| !self.revoked.contains(id)).cloned();
        let new: Vec<KeyId> = new.collect();
        if new.is_empty() && set.version <= self.highest {
            return Ok(());
        }
        self.highest = self.highest.max(set.version);
        self.revoked.extend(new);
        let first = self.revoked.len().saturating_sub(MOST);
        self.revoked.drain(..first);
        let Some(path) = &self.path else { return Ok(()) };
        let mut text = format!("{VERSION} {}", self.highest);
        for id in &self.revoked {
            // Writing to a string does not fail.
            let _written = write!(text, "\n{REVOKED} {id}");
        }
        secret_file::write_private(path, &text)
    }
}
