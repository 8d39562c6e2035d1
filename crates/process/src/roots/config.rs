//! What an image says about the processes in it: its configuration, as the OCI image format has it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A larger table of users is none.
const MOST_OF_A_TABLE: u64 = 1 << 20;

/// What an image says about the processes in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The variables that it sets.
    pub env: Vec<(String, String)>,
    /// What stands before the arguments of whoever starts something in it.
    pub entry_point: Vec<String>,
    /// What is started if nobody says what.
    pub command: Vec<String>,
    /// Where it starts; empty for the top.
    pub working_directory: String,
    /// Its user: a name or a number, and behind a colon its group; empty for root.
    pub user: String,
}

impl Settings {
    /// The configuration of the only image of a layout.
    pub(super) fn of_layout(layout: &Path) -> io::Result<Settings> {
        let blob = |digest: &Json| {
            let digest = digest.as_str().and_then(|digest| digest.split_once(':'));
            let (algorithm, digest) = digest.ok_or_else(|| wrong("it names no digest"))?;
            let is_name = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_name(algorithm) || !is_name(digest) {
                return Err(wrong("it names a digest that is none"));
            }
            read(&layout.join("blobs").join(algorithm).join(digest))
        };
        let index = read(&layout.join("index.json"))?;
        let manifest = blob(&index["manifests"][0]["digest"])?;
        Ok(Settings::of(&blob(&manifest["config"]["digest"])?["config"]))
    }

    fn of(config: &Json) -> Settings {
        let texts = |key: &str| {
            let texts = config[key].as_array().into_iter().flatten();
            texts.filter_map(|text| text.as_str().map(str::to_owned)).collect::<Vec<String>>()
        };
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let pairs = texts("Env");
        let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
        Settings {
            env: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            entry_point: texts("Entrypoint"),
            command: texts("Cmd"),
            working_directory: text("WorkingDir"),
            user: text("User"),
        }
    }

    /// What is started for these arguments, as Docker has it.
    pub fn argv(&self, command: &[String], arguments: &[String]) -> Vec<String> {
        if !command.is_empty() {
            return [command, arguments].concat();
        }
        let arguments = if arguments.is_empty() { &self.command } else { arguments };
        [&self.entry_point, arguments].concat()
    }

    /// The numbers of the user and of its group; none for root.
    ///
    /// # Errors
    /// The name of the user or the group that the root does not have.
    pub fn user(&self, root: &Path) -> Result<Option<(u32, u32)>, String> {
        let (user, group) = self.user.split_once(':').unwrap_or((&self.user, ""));
        if ["", "0", "root"].contains(&user) {
            return Ok(None);
        }
        let users = table(root, "passwd");
        let line = users.lines().map(|line| line.split(':').collect::<Vec<&str>>());
        let line = line.into_iter().find(|fields| fields.len() > 3 && (fields[0] == user || fields[2] == user));
        let number = |text: &str| text.parse::<u32>().ok();
        let of_line = line.as_ref().and_then(|fields| Some((number(fields[2])?, number(fields[3])?)));
        let Some((number_of_user, own_group)) = of_line.or_else(|| Some((number(user)?, 0))) else {
            return Err(user.to_owned());
        };
        let groups = table(root, "group");
        let named = groups.lines().map(|line| line.split(':').collect::<Vec<&str>>());
        let named = named.into_iter().find(|fields| fields.len() > 2 && fields[0] == group);
        let group = match group {
            "" => own_group,
            text => number(text).or_else(|| number(named?[2])).ok_or_else(|| text.to_owned())?,
        };
        Ok((number_of_user != 0).then_some((number_of_user, group)))
    }
}

/// A table of users or groups of an image. What leads out of it, or is none, is not read: it may be anything of this machine.
fn table(root: &Path, name: &str) -> String {
    let (directory, file) = (root.join("etc"), root.join("etc").join(name));
    let is_own = fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir())
        && fs::symlink_metadata(&file).is_ok_and(|found| found.is_file() && found.len() <= MOST_OF_A_TABLE);
    if is_own { fs::read_to_string(file).unwrap_or_default() } else { String::new() }
}

fn read(file: &Path) -> io::Result<Json> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_started_is_what_docker_would_start() {
        let config =
            json!({"Entrypoint": ["/tini", "--"], "Cmd": ["serve"], "Env": ["A=1=2", "B="], "WorkingDir": "/srv"});
        let settings = Settings::of(&config);
        assert_eq!(settings.env, [("A".to_owned(), "1=2".to_owned()), ("B".to_owned(), String::new())]);
        assert_eq!(settings.argv(&[], &[]), ["/tini", "--", "serve"]);
        assert_eq!(settings.argv(&[], &texts(&["run", "x"])), ["/tini", "--", "run", "x"]);
        assert_eq!(settings.argv(&texts(&["sh"]), &texts(&["-c"])), ["sh", "-c"]);
        assert!(Settings::of(&Json::Null).argv(&[], &[]).is_empty());
    }

    #[test]
    fn a_user_is_looked_up_in_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n").unwrap();
        fs::write(root.path().join("etc/group"), "root:x:0:\nstaff:x:50:\n").unwrap();
        let user = |user: &str| Settings { user: user.to_owned(), ..Settings::default() }.user(root.path());
        for (named, expected) in [
            ("", None),
            ("root", None),
            ("0:50", None),
            ("web", Some((33, 34))),
            ("33", Some((33, 34))),
            ("web:staff", Some((33, 50))),
            ("1000", Some((1000, 0))),
            ("1000:1001", Some((1000, 1001))),
        ] {
            assert_eq!(user(named), Ok(expected), "{named}");
        }
        assert_eq!(user("nobody-here"), Err("nobody-here".to_owned()));
        assert_eq!(user("web:no-group"), Err("no-group".to_owned()));
    }

    #[test]
    fn a_layout_that_leads_elsewhere_is_refused() {
        let layout = tempfile::tempdir().unwrap();
        for digest in ["../../etc/passwd", "sha256:../x", "sha256:", ":x", "x"] {
            fs::write(layout.path().join("index.json"), json!({"manifests": [{"digest": digest}]}).to_string())
                .unwrap();
            assert!(Settings::of_layout(layout.path()).is_err(), "{digest}");
        }
    }
}
