//! The key-encryption key: from a file, an environment variable or a command; made only where
//! nothing was ever sealed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use auth_server::config::RawKeys;
use keys::{KeyEncryptionKey, KeyEncryptionKeys};
use shared::problem::chain;

use crate::{environment, secret_file};

/// The keys that were read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) keys: KeyEncryptionKeys,
    /// The file, if it was made just now.
    made: Option<PathBuf>,
}

/// Reads the key-encryption key from where the table says, and those that it replaces.
pub(crate) fn read(table: &RawKeys, data_dir: &Path) -> Result<Read, String> {
    let named = [
        table.key_encryption_key_file.is_some(),
        table.key_encryption_key_variable.is_some(),
        table.key_encryption_key_command.is_some(),
    ];
    if named.iter().filter(|named| **named).count() > 1 {
        return Err("the table [keys] names more than one place of the key-encryption key; leave \
                    one"
        .to_owned());
    }
    let mut made = None;
    let current = if let Some(key) = of_environment(table) {
        key?
    } else if let Some(command) = &table.key_encryption_key_command {
        of_command(command)?
    } else {
        let path = table.key_encryption_key_file.clone();
        let path = path.unwrap_or_else(|| data_dir.join("key-encryption-key"));
        let is_new = !path.exists();
        check_folder(&path)?;
        let text = secret_file::read_or_create(&path, || Ok(KeyEncryptionKey::generate().1))?;
        let key = parse(&text, &path.display().to_string())?;
        made = is_new.then_some(path);
        key
    };
    let previous = table.previous_key_encryption_key_files.iter().map(|path| {
        if environment::named(path).is_none() {
            check_folder(path)?;
        }
        parse(&secret_file::read(path)?, &path.display().to_string())
    });
    let previous = previous.collect::<Result<_, String>>()?;
    Ok(Read { keys: KeyEncryptionKeys::new(current, previous), made })
}

impl Read {
    /// A failure to open the keys, with its remedy: a key-encryption key that was made just now
    /// opens nothing, and is taken away again.
    pub(crate) fn explain(&self, problem: String) -> String {
        let Some(path) = self.made.as_ref().filter(|_| problem.contains("sealed under")) else {
            return problem;
        };
        let _gone_already = fs::remove_file(path);
        format!(
            "{problem}; there was no key-encryption key at {}: put the file back from where it is \
             kept",
            path.display()
        )
    }
}

/// The key that the table says is in the environment, if it says so.
pub(crate) fn of_environment(table: &RawKeys) -> Option<Result<KeyEncryptionKey, String>> {
    let file = table.key_encryption_key_file.as_deref();
    let (key, name) = match (&table.key_encryption_key_variable, file.and_then(environment::named))
    {
        (Some(name), _) => ("key_encryption_key_variable", name.as_str()),
        (None, name) => ("key_encryption_key_file", name?),
    };
    let text = environment::secret(name).map_err(|error| format!("keys.{key}: {error}"));
    Some(text.and_then(|text| parse(&text, &format!("the environment variable {name}"))))
}

fn of_command(command: &[String]) -> Result<KeyEncryptionKey, String> {
    let [program, arguments @ ..] = command else {
        return Err("keys.key_encryption_key_command is empty; name a program".to_owned());
    };
    let mut run = Command::new(program);
    run.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = run.output().map_err(|error| {
        format!("keys.key_encryption_key_command: {program} cannot be run: {error}")
    })?;
    if !output.status.success() {
        return Err(format!(
            "keys.key_encryption_key_command: {program} ended with {}; run it by hand to see why",
            output.status
        ));
    }
    let text = String::from_utf8(output.stdout).unwrap_or_default();
    parse(&text, &format!("the output of {program}"))
}

fn parse(text: &str, place: &str) -> Result<KeyEncryptionKey, String> {
    KeyEncryptionKey::parse(text).map_err(|error| {
        format!(
            "{place}: {}; it is damaged or was written in part: put it back from where it is kept",
            chain(&error)
        )
    })
}

/// Refuses a folder in which others could put another file in the key's place.
fn check_folder(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let Ok(data) = fs::metadata(folder) else { return Ok(()) };
    let mode = data.permissions().mode();
    // In a sticky folder nobody replaces a file of somebody else.
    if mode & 0o022 == 0 || mode & 0o1000 != 0 {
        return Ok(());
    }
    let folder = folder.display();
    Err(format!("other users can write to {folder}, where a key is kept; run: chmod go-w {folder}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn of_file(path: &Path) -> RawKeys {
        RawKeys { key_encryption_key_file: Some(path.to_owned()), ..RawKeys::default() }
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_one_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = read(&RawKeys::default(), folder.path()).unwrap();
        let again = read(&RawKeys::default(), folder.path()).unwrap();
        assert_eq!(first.keys.current().id(), again.keys.current().id());
        assert!(first.made.is_some() && again.made.is_none());
    }

    #[test]
    fn a_key_that_was_made_in_place_of_a_lost_one_is_taken_away_again() {
        let folder = tempfile::tempdir().unwrap();
        let made = read(&RawKeys::default(), folder.path()).unwrap();
        let text = made.explain("the key set was sealed under key-encryption key 1".to_owned());
        assert!(text.contains("put the file back"), "{text}");
        assert!(!folder.path().join("key-encryption-key").exists());
    }

    #[test]
    fn a_half_written_key_and_a_folder_open_to_others_are_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        fs::write(&path, "kek_AAAA").unwrap();
        mode(&path, 0o600);
        let half = read(&of_file(&path), folder.path()).unwrap_err();
        assert!(half.contains("written in part"), "{half}");
        fs::write(&path, KeyEncryptionKey::generate().1).unwrap();
        mode(folder.path(), 0o777);
        let loose = read(&of_file(&path), folder.path()).unwrap_err();
        assert!(loose.contains("chmod go-w"), "{loose}");
        mode(folder.path(), 0o700);
        mode(&path, 0o644);
        let loose = read(&of_file(&path), folder.path()).unwrap_err();
        assert!(loose.contains("chmod 600"), "{loose}");
    }

    #[test]
    fn a_command_gives_the_key_or_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let (key, text) = KeyEncryptionKey::generate();
        let by = |command: &[&str]| {
            let command = command.iter().map(|part| (*part).to_owned()).collect();
            let table = RawKeys { key_encryption_key_command: Some(command), ..RawKeys::default() };
            read(&table, folder.path())
        };
        assert_eq!(by(&["echo", &text]).unwrap().keys.current().id(), key.id());
        assert!(by(&["false"]).unwrap_err().contains("ended with"));
        assert!(by(&["/nowhere/vault"]).unwrap_err().contains("cannot be run"));
        assert!(by(&["echo", "hello"]).unwrap_err().contains("the output of echo"));
        assert!(by(&[]).unwrap_err().contains("name a program"));
    }

    #[test]
    fn two_places_of_the_key_are_one_too_many() {
        let table = RawKeys {
            key_encryption_key_command: Some(vec!["true".to_owned()]),
            key_encryption_key_variable: Some("KEK".to_owned()),
            ..RawKeys::default()
        };
        let problem = read(&table, Path::new("/tmp")).unwrap_err();
        assert!(problem.contains("more than one place"), "{problem}");
        let table = RawKeys {
            key_encryption_key_variable: Some("VESTIBULE_NO_SUCH_KEY".to_owned()),
            ..RawKeys::default()
        };
        assert!(read(&table, Path::new("/tmp")).unwrap_err().contains("set it"));
    }
}
