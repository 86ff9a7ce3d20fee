//! Files with secrets: readable by this user alone, made where they do not exist. `env:NAME` in
//! place of a file names an environment variable that holds the secret.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::environment;

/// Reads a secret. A file that others can read is refused, because it may be known to them
/// already.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    if let Some(name) = environment::named(path) {
        return environment::secret(name);
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    check_private(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads a secret, or makes it with what `new` gives and keeps it.
pub(crate) fn read_or_create(
    path: &Path,
    new: impl FnOnce() -> Result<String, String>,
) -> Result<String, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && environment::named(path).is_none() => {
            let secret = new()?;
            write_private(path, &secret)?;
            Ok(secret)
        }
        _ => read(path),
    }
}

/// Writes a file that only this user can read, durably, in place of what was there.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part).map_err(problem)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(problem)?;
    fs::rename(&part, path).map_err(problem)
}

fn check_private(path: &Path) -> Result<(), String> {
    let mode = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let of_others = mode.permissions().mode() & 0o077;
    if of_others == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(format!("{path} can be read by other users; run: chmod 600 {path}"))
}
