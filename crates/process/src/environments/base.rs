//! The interpreter that tasks run with and that environments are made from, as it describes itself.
//!
//! What is found on the path may be a link, a wrapper or a shim, and its packages may be anywhere. So nothing is concluded from its
//! place: it is asked, once, in the environment that tasks have, and from then on what it has answered is used. A wrapper's part is
//! kept with it: the arguments that it puts in, and the variables that it sets.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use spanwise_core::text::seconds;
use tokio::process::Command;
use tokio::time::Instant;

use super::files;
use super::sdk::Sdk;
use crate::Inherited;

/// From the start of the interpreter to its answer; far above what a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// While packages are upgraded, the SDK is missing for a moment.
const UPGRADE: Duration = Duration::from_secs(10);

/// What a shell sets for itself.
const OF_SHELLS: [&str; 4] = ["_", "OLDPWD", "PWD", "SHLVL"];

/// As many links as the system follows.
const MAX_LINKS: usize = 40;

/// There is no Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Python was found for tasks: give one with --python")]
pub struct NoPython;

/// An interpreter, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// As it was given or found.
    given: PathBuf,
    /// What it has to have.
    sdk: &'static Sdk,
    facts: Result<InterpreterFacts, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct InterpreterFacts {
    executable: PathBuf,
    options: Vec<String>,
    version: [u32; 3],
    sdk: Option<String>,
    sdk_location: Option<PathBuf>,
    has_pip: bool,
    /// Where it looks for modules.
    paths: Vec<PathBuf>,
    /// Those of them that have packages.
    packages: Vec<String>,
    environment: BTreeMap<String, String>,
    /// What a wrapper has changed in it; none are variables that it has removed.
    #[serde(skip)]
    set: Vec<(String, Option<String>)>,
    /// The state of what it consists of, at the time of the answer.
    #[serde(skip)]
    state: Vec<Option<(u64, i64, i64)>>,
}

impl Base {
    /// The interpreter that is given, as a path or as a name on the path; else the one on the path, which in a virtual environment is
    /// its own.
    ///
    /// # Errors
    /// [`NoPython`] if none is given and there is none on the path.
    pub fn find(given: Option<&Path>) -> Result<PathBuf, NoPython> {
        let found = match given {
            Some(name) if name.components().count() == 1 => {
                name.to_str().and_then(files::on_path).unwrap_or_else(|| name.to_owned())
            }
            Some(path) => path.to_owned(),
            None => files::first_on_path(&["python3", "python"]).ok_or(NoPython)?,
        };
        // Not resolved: the links of a virtual environment are what makes it one.
        Ok(std::path::absolute(&found).unwrap_or(found))
    }

    /// Asks an interpreter what it has. One that does not answer is known by its [`Base::problem`].
    pub async fn probe(python: &Path, sdk: &'static Sdk) -> Base {
        let facts = ask(python, sdk).await;
        let has_sdk = facts.as_ref().is_ok_and(|facts| facts.has(sdk));
        // A link to the interpreter of a virtual environment is that of no environment, as Python sees it. Whoever made the link
        // has meant the environment.
        if let Some(linked) = (!has_sdk).then(|| in_environment(python)).flatten()
            && let Ok(facts) = ask(&linked, sdk).await
            && facts.has(sdk)
        {
            return Base { given: python.to_owned(), sdk, facts: Ok(facts) };
        }
        Base { given: python.to_owned(), sdk, facts }
    }

    /// Asks it again. If it had the SDK a moment ago and has not now, it may be between an old and a new one.
    pub(super) async fn again(&self) -> Base {
        let deadline = Instant::now() + UPGRADE;
        loop {
            let base = Base::probe(&self.given, self.sdk).await;
            if base.unusable().is_none() || self.unusable().is_some() || Instant::now() > deadline {
                return base;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// False if it may answer differently now: it is gone, or packages were installed, upgraded or removed.
    pub(super) fn is_unchanged(&self) -> bool {
        self.facts.as_ref().is_ok_and(|facts| facts.state == facts.look())
    }

    /// The interpreter.
    pub fn python(&self) -> &Path {
        self.facts.as_ref().map_or(&self.given, |facts| &facts.executable)
    }

    /// What a wrapper puts between the interpreter and its arguments.
    pub fn options(&self) -> &[String] {
        self.facts.as_ref().map_or(&[], |facts| &facts.options)
    }

    /// An environment with what a wrapper changes in it.
    pub fn within(&self, mut environment: Vec<(String, String)>) -> Vec<(String, String)> {
        for (name, value) in self.facts.iter().flat_map(|facts| &facts.set) {
            environment.retain(|(other, _)| other != name);
            environment.extend(value.clone().map(|value| (name.clone(), value)));
        }
        environment
    }

    /// Why Python tasks cannot run with it, nor with an environment made from it, and what to do about it; none if they can.
    pub fn problem(&self) -> Option<String> {
        let (python, Sdk { name, tried, .. }) = (self.given.display(), self.sdk);
        let problem = self.facts.as_ref().err()?;
        Some(format!(
            "{python} does not work as an interpreter, so Python tasks cannot run: {problem}: give another one with --python \
             that has the SDK, by `-m pip install {name}=={tried}`"
        ))
    }

    /// That it has not the SDK, so that an environment is made which has; none if it has, or does not work.
    pub fn lacks_sdk(&self) -> Option<String> {
        let (python, Sdk { name, tried, title, .. }) = (self.given.display(), self.sdk);
        let facts = self.facts.as_ref().ok().filter(|facts| !facts.has(self.sdk))?;
        let (lacks, how) = match &facts.sdk_location {
            None => (format!("no package `{name}`"), ""),
            Some(_) => (format!("a package `{name}` that is not {title}"), "--upgrade "),
        };
        Some(format!(
            "{self} has {lacks}: the first Python task makes an environment that has it, which takes a while; to have it in this one, \
             `{python} -m pip install {how}{name}=={tried}`, or give another interpreter with --python"
        ))
    }

    /// Why tasks cannot run with it as it is.
    pub fn unusable(&self) -> Option<String> {
        self.problem().or_else(|| self.lacks_sdk())
    }

    /// What is unusual about it, although tasks can run.
    pub fn warning(&self) -> Option<String> {
        if let Some(lacks) = self.lacks_sdk() {
            return Some(lacks);
        }
        let facts = self.facts.as_ref().ok().filter(|facts| facts.has(self.sdk))?;
        let Sdk { name, series, tried, .. } = self.sdk;
        let version = facts.sdk.as_deref().unwrap_or("of an unknown version");
        let python = self.python().display();
        let was_tried = version.starts_with(series);
        (!was_tried)
            .then(|| format!("tasks run with {name} {version} of {python}, which was not tried: {name} {tried} was"))
    }

    /// The SDK in the version that it has, as installers have it; none if tasks cannot run with it.
    pub(super) fn requirement(&self) -> Option<String> {
        let version = self.facts.as_ref().ok()?.sdk.as_deref()?;
        Some(format!("{}=={version}", self.sdk.name))
    }

    /// What it has to have.
    pub(super) fn sdk(&self) -> &'static Sdk {
        self.sdk
    }

    /// Its version without the last number.
    pub fn version(&self) -> Option<(u32, u32)> {
        let [major, minor, _] = self.facts.as_ref().ok()?.version;
        Some((major, minor))
    }

    pub(super) fn has_pip(&self) -> bool {
        self.facts.as_ref().is_ok_and(|facts| facts.has_pip)
    }

    /// The directories of its packages.
    pub(super) fn packages(&self) -> &[String] {
        self.facts.as_ref().map_or(&[], |facts| &facts.packages)
    }

    /// What an environment that was made from it depends on.
    pub(super) fn stamp(&self) -> String {
        match &self.facts {
            Ok(InterpreterFacts { executable, version: [major, minor, patch], sdk, .. }) => {
                let (name, version) = (self.sdk.name, sdk.as_deref().unwrap_or("none"));
                format!("{} {major}.{minor}.{patch} {name} {version}", executable.display())
            }
            Err(_) => self.given.display().to_string(),
        }
    }
}

/// Which one it is, for people.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.python().display())?;
        let Ok(InterpreterFacts { version: [major, minor, patch], sdk, sdk_location, options, .. }) = &self.facts
        else {
            return Ok(());
        };
        options.iter().try_for_each(|option| write!(f, " {option}"))?;
        write!(f, " (Python {major}.{minor}.{patch}")?;
        if let Some(location) = sdk_location {
            write!(f, ", {} {} in {}", self.sdk.name, sdk.as_deref().unwrap_or("?"), location.display())?;
        }
        write!(f, ")")?;
        if self.given != self.python() {
            write!(f, ", by {}", self.given.display())?;
        }
        Ok(())
    }
}

impl InterpreterFacts {
    /// Found without importing it, which takes a second. What cannot be imported shows in the log of the first attempt.
    fn has(&self, sdk: &Sdk) -> bool {
        self.sdk_location.as_ref().is_some_and(|location| location.join(sdk.part).is_file())
    }

    fn look(&self) -> Vec<Option<(u64, i64, i64)>> {
        let parts = std::iter::once(&self.executable).chain(&self.paths).chain(&self.sdk_location);
        let state = |path: &PathBuf| path.metadata().ok().map(|found| (found.ino(), found.mtime(), found.mtime_nsec()));
        parts.map(state).collect()
    }
}

async fn ask(python: &Path, sdk: &Sdk) -> Result<InterpreterFacts, String> {
    let given: BTreeMap<String, String> = Inherited::of_this_process(&[]).for_task().into_iter().collect();
    let mut command = Command::new(python);
    command.args(["-c", include_str!("base.py"), sdk.name]).env_clear().envs(&given);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let answer = tokio::time::timeout(PATIENCE, command.output()).await;
    let answer =
        answer.map_err(|_| format!("no answer within {}", seconds(PATIENCE)))?.map_err(|error| error.to_string())?;
    if !answer.status.success() {
        return Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim_end()));
    }
    // A wrapper may say something of its own before.
    let last = answer.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut facts: InterpreterFacts =
        serde_json::from_slice(last).map_err(|error| format!("its answer is not understood: {error}"))?;
    if facts.executable.as_os_str().is_empty() {
        facts.executable = python.to_owned();
    }
    facts.set = changes(&given, &facts.environment);
    facts.state = facts.look();
    Ok(facts)
}

fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<(String, Option<String>)> {
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let set = set.map(|(name, value)| (name.clone(), Some(value.clone())));
    let removed = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), None));
    set.chain(removed).filter(|(name, _)| !OF_SHELLS.contains(&&**name)).collect()
}

/// The first one behind a link that stands in a virtual environment.
fn in_environment(python: &Path) -> Option<PathBuf> {
    let next = |path: &PathBuf| Some(path.parent()?.join(path.read_link().ok()?));
    let is_environment = |path: &PathBuf| {
        let directories = path.ancestors().skip(1).take(2);
        directories.into_iter().any(|directory| directory.join("pyvenv.cfg").is_file())
    };
    std::iter::successors(Some(python.to_owned()), next).take(MAX_LINKS).skip(1).find(is_environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wrapper_does_to_the_environment_is_done_again() {
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let before = of(&[("PATH", "/bin"), ("KEPT", "1"), ("REMOVED", "1"), ("PWD", "/a")]);
        let after = of(&[("PATH", "/w:/bin"), ("KEPT", "1"), ("NEW", "1"), ("PWD", "/b"), ("_", "/w/python")]);
        let found: BTreeMap<_, _> = changes(&before, &after).into_iter().collect();
        let expected = [("NEW", Some("1")), ("PATH", Some("/w:/bin")), ("REMOVED", None)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(found, BTreeMap::from(expected));
    }
}
