//! Secrets: files of the data directory, sealed by a key that is beside them or elsewhere (`seal`), and variables of the server.
//!
//! A secret belongs to a project and domain, to a whole project, or to the organisation; the narrowest one counts.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use spanwise_engine::Scope;

pub use seal::NoSecretKey;
use seal::{SealingKey, Stored};

mod seal;

/// The directory that stands for "every" project or domain: no name may begin with a dot in a path of ours.
const EVERY: &str = ".every";

/// The store of secrets.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    directory: PathBuf,
    keys: Arc<Keys>,
}

/// The keys of a server.
#[derive(Debug)]
struct Keys {
    /// The first one seals, all of them open. None if the file of the key is missing and secrets were sealed by it.
    usable: Vec<SealingKey>,
    /// Where the first one is, or was.
    file: PathBuf,
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) scope: SecretScope,
    pub(crate) name: String,
    pub(crate) created_at: SystemTime,
}

/// To what a secret belongs; an empty part means every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretScope {
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) domain: String,
}

impl Secrets {
    /// The secrets of a directory, sealed by the key in `chosen`, else by that in `own`, which also opens what it has sealed before another
    /// one was chosen. A key that is missing is made, unless there are secrets that were sealed by one. What is in the clear, or sealed by another
    /// of the keys, is sealed now. Says what could not be read.
    ///
    /// # Errors
    /// [`NoSecretKey`] if the file of a key is none, can be read by others, or cannot be made. Nothing was changed then.
    pub(crate) fn open(
        directory: PathBuf,
        chosen: Option<&Path>,
        own: &Path,
    ) -> Result<(Secrets, Vec<String>), NoSecretKey> {
        let file = chosen.unwrap_or(own).to_owned();
        let first = SealingKey::read(&file)?;
        let earlier = if chosen.is_some() { SealingKey::read(own)? } else { None };
        // None is made in the place of one that is missing: who puts that back finds its secrets.
        let first = match first {
            None if all_open_by(&directory, earlier.as_ref()) => Some(SealingKey::make(&file)?),
            first => first,
        };
        let usable = first.map(|first| std::iter::once(first).chain(earlier).collect()).unwrap_or_default();
        let secrets = Secrets { directory, keys: Arc::new(Keys { usable, file }) };
        let warnings = secrets.seal_all();
        Ok((secrets, warnings))
    }

    /// Seals what is in the clear or sealed by another key. A file that cannot be read stays as it is.
    fn seal_all(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.keys.usable.is_empty() {
            let text = format!(
                "the key of secrets `{}` is missing, and secrets were sealed by it: no task can have them until it is back; nothing of them was changed",
                self.keys.file.display()
            );
            return vec![text];
        }
        for path in files_below(&self.directory) {
            if let Err(error) = self.seal_again(&path) {
                warnings.push(format!("the secret `{}` stays as it is: {error}", path.display()));
            }
        }
        warnings
    }

    fn seal_again(&self, path: &Path) -> io::Result<()> {
        let content = fs::read(path)?;
        let is_current = match seal::look(&content) {
            Stored::Sealed(name, _) => self.keys.usable.first().is_some_and(|key| key.name() == name),
            Stored::Clear(_) | Stored::Damaged => false,
        };
        if is_current {
            return Ok(());
        }
        let owner = self.owner(path);
        let value = seal::unseal(&self.keys.usable, &owner, &content).map_err(io::Error::other)?;
        // It is as old as it was.
        let stored_at = fs::metadata(path)?.modified()?;
        self.write(path, &value, Some(stored_at))
    }

    /// To whom a file belongs, as it is sealed with it.
    fn owner(&self, path: &Path) -> String {
        path.strip_prefix(&self.directory).unwrap_or(path).display().to_string()
    }

    /// In one step, so that a crash leaves what was there or what is new, and of several who write at once one has written.
    fn write(&self, path: &Path, value: &str, stored_at: Option<SystemTime>) -> io::Result<()> {
        let Some(key) = self.keys.usable.first() else {
            let text = format!(
                "the key of secrets `{}` is missing, and secrets were sealed by it: put it back, or delete these secrets",
                self.keys.file.display()
            );
            return Err(io::Error::other(text));
        };
        let sealed = key.seal(&self.owner(path), value)?;
        let (staged, mut file) = seal::stage(path)?;
        let renamed = file
            .write_all(&sealed)
            .and_then(|()| stored_at.map_or(Ok(()), |at| file.set_modified(at)))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&staged, path));
        if renamed.is_err() {
            let _ = fs::remove_file(&staged);
        }
        renamed?;
        path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    }

    /// The variable of the server that holds a secret for every project.
    pub(crate) fn variable_of(key: &str) -> String {
        format!("SPANWISE_SECRET_{}", key.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
    }

    /// The value for a task, from the narrowest scope that has it, then from the server's environment.
    pub(crate) fn find(&self, scope: &Scope, group: &str, key: &str) -> io::Result<Option<String>> {
        let name = full_name(group, key);
        // What is no name is in no file, wherever its path would lead.
        if spanwise_wire::path_name("secret name", &name).is_err() {
            return Ok(std::env::var(Self::variable_of(&name)).ok());
        }
        let Scope { org, project, domain } = scope;
        for (project, domain) in
            [(project.as_str(), domain.as_str()), (project.as_str(), ""), ("", domain.as_str()), ("", "")]
        {
            let scope = SecretScope { org: org.clone(), project: project.to_owned(), domain: domain.to_owned() };
            let path = self.path(&scope, &name);
            match fs::read(&path) {
                Ok(content) => {
                    let value = seal::unseal(&self.keys.usable, &self.owner(&path), &content);
                    return value.map(Some).map_err(|error| io::Error::other(format!("secret `{name}`: {error}")));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(std::env::var(Self::variable_of(&name)).ok())
    }

    /// Stores a secret; with `replace`, in place of what is there. False if it was not stored because of what is there or not.
    pub(crate) fn put(&self, scope: &SecretScope, name: &str, value: &str, replace: bool) -> io::Result<bool> {
        let path = self.path(scope, name);
        if path.exists() != replace {
            return Ok(false);
        }
        path.parent().map(fs::create_dir_all).transpose()?;
        self.write(&path, value, None)?;
        Ok(true)
    }

    /// What is known about a secret, except its value.
    pub(crate) fn describe(&self, scope: &SecretScope, name: &str) -> io::Result<Option<Described>> {
        match fs::metadata(self.path(scope, name)) {
            Ok(metadata) => {
                let created_at = metadata.modified()?;
                Ok(Some(Described { scope: scope.clone(), name: name.to_owned(), created_at }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The secrets of exactly this scope, by name.
    pub(crate) fn list(&self, scope: &SecretScope) -> io::Result<Vec<Described>> {
        let entries = match fs::read_dir(self.directory_of(scope)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names: Vec<String> = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file()
                && let Some(name) = name.strip_suffix(".secret")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        let described = names.iter().filter_map(|name| self.describe(scope, name).transpose());
        described.collect()
    }

    /// Deletes a secret. False if it is not there.
    pub(crate) fn delete(&self, scope: &SecretScope, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(scope, name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn directory_of(&self, scope: &SecretScope) -> PathBuf {
        let part = |name: &str| if name.is_empty() { EVERY.to_owned() } else { name.to_owned() };
        self.directory.join(part(&scope.org)).join(part(&scope.project)).join(part(&scope.domain))
    }

    fn path(&self, scope: &SecretScope, name: &str) -> PathBuf {
        self.directory_of(scope).join(Path::new(&format!("{name}.secret")))
    }
}

/// The files of secrets, whatever is between them.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "secret") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// True if every secret can be read without a key or by this one.
fn all_open_by(directory: &Path, key: Option<&SealingKey>) -> bool {
    let opens = |path: &PathBuf| match seal::look(&fs::read(path).unwrap_or_default()) {
        Stored::Clear(_) => true,
        Stored::Sealed(name, _) => key.is_some_and(|key| key.name() == name),
        Stored::Damaged => false,
    };
    files_below(directory).iter().all(opens)
}

/// The name of a secret in a group.
fn full_name(group: &str, key: &str) -> String {
    if group.is_empty() { key.to_owned() } else { format!("{group}_{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(data: &Path, chosen: Option<&Path>) -> Result<(Secrets, Vec<String>), NoSecretKey> {
        Secrets::open(data.join("secrets"), chosen, &data.join("secrets.key"))
    }

    fn wide() -> SecretScope {
        SecretScope { org: "local".into(), project: String::new(), domain: String::new() }
    }

    fn found(secrets: &Secrets, name: &str) -> Result<Option<String>, String> {
        let scope = Scope { org: "local".into(), project: "p".into(), domain: "d".into() };
        secrets.find(&scope, "", name).map_err(|error| error.to_string())
    }

    fn stored(secrets: &Secrets, name: &str) -> Vec<u8> {
        fs::read(secrets.path(&wide(), name)).unwrap()
    }

    #[test]
    fn s15_what_was_stored_in_the_clear_is_sealed_when_the_server_starts() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("secrets/local/.every/.every/old.secret");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "in the clear").unwrap();
        let stored_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(&file).unwrap().set_modified(stored_at).unwrap();
        let (secrets, warnings) = open(data.path(), None).unwrap();
        assert_eq!((found(&secrets, "old"), warnings), (Ok(Some("in the clear".to_owned())), vec![]));
        assert!(!String::from_utf8_lossy(&stored(&secrets, "old")).contains("in the clear"));
        let described = secrets.describe(&wide(), "old").unwrap().unwrap();
        assert_eq!(described.created_at, stored_at, "it is as old as it was");
        let sealed = stored(&secrets, "old");
        let (again, _) = open(data.path(), None).unwrap();
        assert_eq!(found(&again, "old"), Ok(Some("in the clear".to_owned())));
        assert_eq!(stored(&again, "old"), sealed, "what is sealed stays as it is");
    }

    #[test]
    fn s15_without_its_key_no_secret_is_read_none_is_stored_and_none_is_lost() {
        let data = tempfile::tempdir().unwrap();
        let (secrets, _) = open(data.path(), None).unwrap();
        assert!(secrets.put(&wide(), "a", "value", false).unwrap());
        let (key, aside) = (data.path().join("secrets.key"), data.path().join("aside"));
        fs::rename(&key, &aside).unwrap();
        let before = stored(&secrets, "a");
        let (without, warnings) = open(data.path(), None).unwrap();
        assert!(warnings[0].contains("secrets.key` is missing"), "{warnings:?}");
        assert!(found(&without, "a").unwrap_err().contains("secret `a`: it was sealed by key"));
        assert!(without.put(&wide(), "b", "other", false).unwrap_err().to_string().contains("is missing"));
        assert!(!key.exists(), "no other key is made in its stead");
        // Another key that somebody has put there opens nothing of it, and seals what is new.
        SealingKey::make(&key).unwrap();
        let (other, warnings) = open(data.path(), None).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("stays as it is"), "{warnings:?}");
        assert!(found(&other, "a").is_err() && other.put(&wide(), "b", "other", false).unwrap());
        assert_eq!(stored(&other, "a"), before);
        fs::rename(&aside, &key).unwrap();
        let (back, _) = open(data.path(), None).unwrap();
        assert_eq!(found(&back, "a"), Ok(Some("value".to_owned())));
    }

    #[test]
    fn s15_a_key_that_is_chosen_takes_over_what_the_servers_own_has_sealed() {
        let data = tempfile::tempdir().unwrap();
        let (secrets, _) = open(data.path(), None).unwrap();
        secrets.put(&wide(), "a", "value", false).unwrap();
        let chosen = data.path().join("elsewhere/key");
        // Made, because all that is there is opened by the other one.
        let (both, warnings) = open(data.path(), Some(&chosen)).unwrap();
        assert_eq!((found(&both, "a"), warnings), (Ok(Some("value".to_owned())), vec![]));
        fs::remove_file(data.path().join("secrets.key")).unwrap();
        let (alone, _) = open(data.path(), Some(&chosen)).unwrap();
        assert_eq!(found(&alone, "a"), Ok(Some("value".to_owned())));
        fs::write(&chosen, "no key").unwrap();
        assert!(open(data.path(), Some(&chosen)).unwrap_err().to_string().contains("elsewhere/key"));
    }

    #[test]
    fn s15_4_of_several_who_store_a_secret_at_once_one_has_stored_it() {
        let data = tempfile::tempdir().unwrap();
        let (secrets, _) = open(data.path(), None).unwrap();
        secrets.put(&wide(), "a", "first", false).unwrap();
        let values: Vec<String> = (0..8).map(|number| format!("{number}").repeat(1000 * (number + 1))).collect();
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for value in &values {
                    scope.spawn(|| assert!(secrets.put(&wide(), "a", value, true).unwrap()));
                }
            });
            assert!(values.contains(&found(&secrets, "a").unwrap().unwrap()));
        }
        let directory = secrets.directory_of(&wide());
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn s15_4_of_several_servers_that_make_a_key_at_once_all_have_the_same() {
        let data = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let (key, values) = (data.path().join(format!("key-{round}")), ["one", "two", "three", "four"]);
            let opened: Vec<Secrets> = std::thread::scope(|scope| {
                let server =
                    |name| Secrets::open(data.path().join(name), Some(&key), &data.path().join("none")).unwrap().0;
                let servers: Vec<_> = values.iter().map(|name| scope.spawn(move || server(*name))).collect();
                servers.into_iter().map(|server| server.join().unwrap()).collect()
            });
            for (secrets, value) in opened.iter().zip(values) {
                secrets.put(&wide(), &format!("a-{round}"), value, false).unwrap();
            }
            for value in values {
                let (again, warnings) =
                    Secrets::open(data.path().join(value), Some(&key), &data.path().join("none")).unwrap();
                assert_eq!((found(&again, &format!("a-{round}")), warnings), (Ok(Some(value.to_owned())), vec![]));
            }
            // The next round has a key of its own.
            values.iter().for_each(|name| drop(fs::remove_dir_all(data.path().join(name))));
        }
    }

    #[test]
    fn the_narrowest_scope_counts_and_a_value_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (secrets, warnings) = open(directory.path(), None).unwrap();
        assert_eq!(warnings, [""; 0]);
        let scope = |project: &str, domain: &str| SecretScope {
            org: "local".into(),
            project: project.into(),
            domain: domain.into(),
        };
        let run = Scope { org: "local".into(), project: "p".into(), domain: "d".into() };
        assert_eq!(secrets.find(&run, "", "key").unwrap(), None);
        assert!(secrets.put(&scope("", ""), "key", "wide", false).unwrap());
        assert!(!secrets.put(&scope("", ""), "key", "again", false).unwrap());
        assert_eq!(secrets.find(&run, "", "key").unwrap().as_deref(), Some("wide"));
        assert!(secrets.put(&scope("p", "d"), "key", "narrow", false).unwrap());
        assert_eq!(secrets.find(&run, "", "key").unwrap().as_deref(), Some("narrow"));
        let mode = fs::metadata(secrets.path(&scope("p", "d"), "key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(secrets.list(&scope("p", "d")).unwrap().len(), 1);
        assert!(secrets.delete(&scope("p", "d"), "key").unwrap());
        assert!(!secrets.delete(&scope("p", "d"), "key").unwrap());
    }
}
