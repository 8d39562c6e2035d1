//! Secrets: files of the data directory that only the server's user can read, and variables of the server.
//!
//! A secret belongs to a project and domain, to a whole project, or to the organisation; the narrowest one counts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use spanwise_engine::Scope;

/// The directory that stands for "every" project or domain: no name may begin with a dot in a path of ours.
const EVERY: &str = ".every";

/// The store of secrets.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    directory: PathBuf,
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
    pub(crate) fn new(directory: PathBuf) -> Secrets {
        Secrets { directory }
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
            match fs::read_to_string(self.path(&scope, &name)) {
                Ok(value) => return Ok(Some(value)),
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
        let staged = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        file.write_all(value.as_bytes())?;
        file.sync_all()?;
        fs::rename(staged, path)?;
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

/// The name of a secret in a group.
fn full_name(group: &str, key: &str) -> String {
    if group.is_empty() { key.to_owned() } else { format!("{group}_{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_scope_counts_and_a_value_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(directory.path().join("secrets"));
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
