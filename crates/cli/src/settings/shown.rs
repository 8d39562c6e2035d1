//! The settings as they are in the end, with where each comes from and without what is nobody's to read.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};

use super::Settings;
use super::file::{file_of, read};

/// Settings that are nobody's to read.
const SECRET: [&str; 1] = ["tee_headers"];

/// Where the password of a URL stands: what is between the user's name and the host; a name alone is taken for one too.
fn password(url: &str) -> Option<std::ops::Range<usize>> {
    let begin = url.find("://")? + 3;
    let authority = &url[begin..];
    let authority = &authority[..authority.find(['/', '?', '#']).unwrap_or(authority.len())];
    let end = authority.rfind('@')?;
    let from = authority[..end].find(':').map_or(0, |colon| colon + 1);
    Some(begin + from..begin + end).filter(|range| !range.is_empty())
}

fn without_password(url: &str) -> String {
    let mut shown = url.to_owned();
    if let Some(range) = password(url) {
        shown.replace_range(range, "***");
    }
    shown
}

/// Every setting as a line of a file, with where it comes from.
pub(crate) fn effective(matches: &ArgMatches) -> anyhow::Result<String> {
    let file = file_of(matches);
    let from_file = file.as_deref().map(read).transpose()?.unwrap_or_default();
    let mut text = String::new();
    for arg in Settings::augment_args(Command::new("settings")).get_arguments() {
        let key = arg.get_id().as_str();
        let variable = arg.get_env().unwrap_or_default().to_string_lossy();
        let source = match (matches.value_source(key), &file) {
            (Some(ValueSource::CommandLine), _) => format!("--{}", arg.get_long().unwrap_or(key)),
            (Some(ValueSource::EnvVariable), _) => variable.into_owned(),
            (Some(_), Some(file)) if from_file.contains_key(key) => file.display().to_string(),
            _ => "default".to_owned(),
        };
        let given = matches.get_raw(key).map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>());
        let line = match given.map(|values| values.join(",")) {
            None if ["tee_", "smtp_", "pass_env", "secret_key_file", "queues", "max_cpu", "max_memory", "gpus"]
                .iter()
                .any(|is_off| key.starts_with(is_off)) =>
            {
                format!("# {key} is not set")
            }
            None => format!("# {key} is found by the server"),
            Some(_) if SECRET.contains(&key) => format!("# {key} is set and not shown"),
            Some(value) if password(&value).is_some() => {
                let hidden = without_password(&value);
                format!("# {key} = {} and its password, which is not shown", toml::Value::String(hidden))
            }
            Some(value) if value.parse::<u64>().is_ok() || value == "true" || value == "false" => {
                format!("{key} = {value}")
            }
            Some(value) => format!("{key} = {}", toml::Value::String(value)),
        };
        writeln!(text, "{line:40} # {source}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Configured;

    #[test]
    fn the_headers_of_a_receiver_are_not_shown() {
        let command = Settings::augment_args(Command::new("spanwise"));
        let arguments = ["spanwise", "--tee-endpoint", "http://localhost:4318", "--tee-headers", "api-key=hush-hush"];
        let matches = Configured::augment_args(Command::new("spanwise")).get_matches_from(arguments);
        let text = effective(&matches).unwrap();
        assert!(
            text.contains("tee_endpoint = \"http://localhost:4318\"") && text.contains("# tee_headers is set"),
            "{text}"
        );
        assert!(!text.contains("hush-hush"), "{text}");
        let arguments = command.get_arguments().filter(|arg| arg.is_hide_env_values_set());
        let hidden = ["trace_endpoint", "smtp_url", "tee_endpoint", "tee_headers"];
        assert_eq!(arguments.map(|arg| arg.get_id().as_str()).collect::<Vec<_>>(), hidden, "in --help");
    }

    #[test]
    fn passwords_in_urls_are_not_shown() {
        let cases = [
            ("http://user:secret@host:4318/v1", "http://user:***@host:4318/v1"),
            ("https://secret@host", "https://***@host"),
            ("https://user:se@cret:x@host/a@b", "https://user:***@host/a@b"),
            ("https://:secret@host?q=a@b", "https://:***@host?q=a@b"),
            ("http://localhost:4318/a@b", "http://localhost:4318/a@b"),
            ("http://user:@host", "http://user:@host"),
            ("localhost:4318", "localhost:4318"),
        ];
        for (url, expected) in cases {
            assert_eq!(without_password(url), expected);
        }
        let smtp = ("--smtp-url", "smtp");
        for (name, scheme) in [("--tee-endpoint", "http"), ("--trace-endpoint", "http"), ("--trace-url", "http"), smtp]
        {
            let arguments = ["spanwise", name, &format!("{scheme}://user:hush-hush@localhost:4318/")];
            let matches = Configured::augment_args(Command::new("spanwise")).get_matches_from(arguments);
            let text = effective(&matches).unwrap();
            let shown = format!("{scheme}://user:***@localhost:4318/");
            assert!(text.contains(&shown) && !text.contains("hush-hush"), "{text}");
        }
    }
}
