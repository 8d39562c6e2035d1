//! The file that settings may come from: its values become the defaults of the arguments that they set.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Args, Command};

use super::{Settings, pools};

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "spanwise.toml";

/// The commands that read a file.
const WITH_FILE: [&str; 3] = ["dev", "serve", "config"];

/// A setting is wrong; the process ends with the exit code for that.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub(crate) struct BadFile {
    file: PathBuf,
    what: String,
}

/// Reads the file that a command asks for, and makes its values the defaults of that command.
pub(crate) fn with_file(mut command: Command, arguments: &[OsString]) -> anyhow::Result<Command> {
    // Whatever is wrong with the command line is said when it is read for good.
    let Ok(matches) = command.clone().try_get_matches_from(arguments) else { return Ok(command) };
    let Some((name, matches)) = matches.subcommand().filter(|(name, _)| WITH_FILE.contains(name)) else {
        return Ok(command);
    };
    let Some(file) = file_of(matches) else { return Ok(command) };
    for (key, value) in read(&file)? {
        // `dev` goes without some of them: it is for one person on this machine.
        let takes_it = |command: &Command| command.get_arguments().any(|arg| arg.get_id() == key.as_str());
        if !command.find_subcommand(name).is_some_and(takes_it) {
            continue;
        }
        command = command.mut_subcommand(name, |command| command.mut_arg(key, |arg| arg.default_value(value)));
    }
    Ok(command)
}

/// The file that counts: the one that is named, else the one in this directory if there is one.
pub(super) fn file_of(matches: &ArgMatches) -> Option<PathBuf> {
    let named = matches.get_one::<PathBuf>("config").cloned();
    named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()))
}

/// The keys and values of a file, each as its argument takes it.
pub(super) fn read(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read the settings in {}", file.display()))?;
    let bad = |what: String| BadFile { file: file.to_owned(), what };
    let table: toml::Table = toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
    let settings = Settings::augment_args(Command::new("settings"));
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(arg) = settings.get_arguments().find(|arg| arg.get_id() == key.as_str()) else {
            return Err(bad(unknown(&key, &settings)).into());
        };
        let Some(text) = text_of(&key, value, arg).map_err(bad)? else { continue };
        values.insert(key, text);
    }
    Ok(values)
}

/// A value as its argument takes it, which has looked at it; nothing for an empty list.
fn text_of(key: &str, value: toml::Value, arg: &Arg) -> Result<Option<String>, String> {
    let text = match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) if key == "queues" => {
            return Err("`queues` has a table for each queue: [queues.NAME]".to_owned());
        }
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Table(queues) if key == "queues" => match pools::text_of(&queues)? {
            text if text.is_empty() => return Ok(None),
            text => text,
        },
        toml::Value::Boolean(value) => value.to_string(),
        toml::Value::Array(list) if list.is_empty() && arg.get_value_delimiter().is_some() => return Ok(None),
        toml::Value::Array(list) if arg.get_value_delimiter().is_some() => {
            joined(&list).ok_or_else(|| format!("`{key}` is a list of texts"))?
        }
        other => {
            return Err(format!("`{key}` is a text, a number or a truth value, not of type {}", other.type_str()));
        }
    };
    let alone = Command::new("settings").no_binary_name(true).arg(arg.clone().env(None::<&str>));
    let checked = alone.try_get_matches_from([format!("--{}={text}", arg.get_long().unwrap_or(key))]);
    checked.map(|_| Some(text)).map_err(|error| {
        let reason = error.to_string();
        format!("`{key}`: {}", reason.lines().next().unwrap_or_default().trim_start_matches("error: "))
    })
}

/// The texts of a list, as one argument has them.
fn joined(list: &[toml::Value]) -> Option<String> {
    let texts: Option<Vec<&str>> = list.iter().map(toml::Value::as_str).collect();
    texts.map(|texts| texts.join(","))
}

/// Names the known key that is the nearest to one that is not.
fn unknown(key: &str, settings: &Command) -> String {
    let keys = settings.get_arguments().map(|arg| arg.get_id().as_str());
    // The beginning of a key is nearer than a word that happens to look like it.
    let nearest = keys.min_by_key(|name| (!name.starts_with(key), strsim::levenshtein(key, name))).unwrap_or_default();
    format!("`{key}` is no setting: the nearest one is `{nearest}` (all: spanwise config)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Configured, effective};

    fn file(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("spanwise.toml");
        std::fs::write(&file, text).unwrap();
        read(&file)
    }

    fn refused(text: &str) -> String {
        file(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_holds_one_value_a_key() {
        let values = file("port = 0\ncold = true\ndurability = \"process\"\npython = \"/usr/bin/python3\"\n").unwrap();
        assert_eq!(values["port"], "0");
        assert_eq!(values["cold"], "true");
        assert_eq!(values.len(), 4);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_with_its_key() {
        assert!(refused("prot = 1").contains("`prot` is no setting: the nearest one is `port`"));
        assert!(refused("grace = 1").contains("`grace_seconds`"));
        assert!(refused("port = 65536").contains("`port`: invalid value '65536'"));
        assert!(refused("port = -1").contains("`port`"));
        assert!(refused("durability = \"hope\"").contains("`durability`"));
        assert!(refused("port = [1]").contains("not of type array"));
        assert!(refused("port = 1\nport = 2").contains("duplicate key"));
        assert!(refused("[server]\nport = 1").contains("`server`"));
    }

    #[test]
    fn a_list_is_given_as_one_in_a_file_and_name_by_name_on_the_command_line() {
        assert_eq!(file("pass_env = [\"A\", \"B_C\"]").unwrap()["pass_env"], "A,B_C");
        assert_eq!(file("pass_env = \"A,B\"").unwrap()["pass_env"], "A,B");
        assert!(file("pass_env = []").unwrap().is_empty());
        assert!(refused("pass_env = [1]").contains("`pass_env` is a list of texts"));
        assert!(refused("pass_env = [\"A=1\"]").contains("`A=1` is not the name of a variable"));
        let arguments = ["spanwise", "--pass-env", "A", "--pass-env", "B"];
        let matches = Configured::augment_args(Command::new("spanwise")).get_matches_from(arguments);
        assert!(effective(&matches).unwrap().contains("pass_env = \"A,B\""));
    }
}
