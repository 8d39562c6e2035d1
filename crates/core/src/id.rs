//! Names, numbers and times: a newtype for each, so that one is never taken for another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Names on Flyte's wire are at most this long.
const MAX_NAME: usize = 30;

/// A name that Flyte would not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The name is empty.
    #[error("{field} is empty")]
    Empty {
        /// What was being named.
        field: &'static str,
    },
    /// The name is longer than the limit.
    #[error("{field} `{value}` has {length} bytes, the limit is {limit}")]
    TooLong {
        /// What was being named.
        field: &'static str,
        /// The name as given, shortened.
        value: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The name has a character that is not allowed there.
    #[error(
        "{field} `{value}` is not a DNS-1035 label: a lower-case letter first, then lower-case letters, digits and `-`, no `-` at the end"
    )]
    NotALabel {
        /// What was being named.
        field: &'static str,
        /// The name as given.
        value: String,
    },
}

fn check_length(field: &'static str, value: &str) -> Result<(), InvalidName> {
    if value.is_empty() {
        return Err(InvalidName::Empty { field });
    }
    if value.len() > MAX_NAME {
        return Err(InvalidName::TooLong {
            field,
            value: value.chars().take(40).collect(),
            length: value.len(),
            limit: MAX_NAME,
        });
    }
    Ok(())
}

/// The name of a run: a DNS-1035 label of at most 30 characters, unique in its org, project and domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunName(Arc<str>);

impl RunName {
    /// Checks a name given by a user.
    ///
    /// # Errors
    /// [`InvalidName`] says what is wrong with it.
    pub fn new(name: &str) -> Result<RunName, InvalidName> {
        check_length("run name", name)?;
        let label = name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !label {
            return Err(InvalidName::NotALabel { field: "run name", value: name.to_owned() });
        }
        Ok(RunName(name.into()))
    }

    /// Makes the name of a run that the user did not name: `r` and 19 characters of `[a-z0-9]`, from random bits.
    pub fn from_random(bits: u128) -> RunName {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut rest = bits;
        let mut name = String::with_capacity(20);
        name.push('r');
        for _ in 0..19 {
            name.push(char::from(ALPHABET[(rest % 36) as usize]));
            rest /= 36;
        }
        RunName(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunName {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<RunName, InvalidName> {
        RunName::new(&name)
    }
}

impl From<RunName> for String {
    fn from(name: RunName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The organisation of a run that names none, in a program as on a server: a page's address leaves it out.
pub const DEFAULT_ORG: &str = "local";

/// The project where nobody names one: that of Flyte's examples.
pub const DEFAULT_PROJECT: &str = "flytesnacks";

/// The domain where nobody names one.
pub const DEFAULT_DOMAIN: &str = "development";

/// A run with everything that makes its name unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The organisation, mostly [`DEFAULT_ORG`].
    pub org: String,
    /// The project.
    pub project: String,
    /// The domain, for instance `development`.
    pub domain: String,
    /// The name of the run.
    pub name: RunName,
}

/// Where runs and tasks belong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The organisation, often empty.
    pub org: String,
    /// The project.
    pub project: String,
    /// The domain.
    pub domain: String,
}

impl Scope {
    /// The run of this name in this scope.
    pub fn run(self, name: RunName) -> RunId {
        RunId { org: self.org, project: self.project, domain: self.domain, name }
    }
}

impl RunId {
    /// Where the run belongs.
    pub fn scope(&self) -> Scope {
        Scope { org: self.org.clone(), project: self.project.clone(), domain: self.domain.clone() }
    }
}

/// The name of an action in its run: `a0` for the root, otherwise derived from the call (see `spanwise_proto`).
///
/// Kept inline (it has at most 30 bytes), so that it is `Copy` and a map of ten thousand actions holds no heap strings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActionName {
    bytes: [u8; MAX_NAME],
    length: u8,
}

impl ActionName {
    /// The root action of every run.
    pub const ROOT: ActionName = {
        let mut bytes = [0; MAX_NAME];
        bytes[0] = b'a';
        bytes[1] = b'0';
        ActionName { bytes, length: 2 }
    };

    /// Takes a name of 1 to 30 bytes.
    ///
    /// # Errors
    /// [`InvalidName`] if it is empty or too long.
    pub fn new(name: &str) -> Result<ActionName, InvalidName> {
        check_length("action name", name)?;
        let mut bytes = [0; MAX_NAME];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(ActionName { bytes, length: name.len() as u8 })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("made from a str")
    }

    /// True for `a0`.
    pub fn is_root(&self) -> bool {
        *self == ActionName::ROOT
    }
}

impl TryFrom<String> for ActionName {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<ActionName, InvalidName> {
        ActionName::new(&name)
    }
}

impl From<ActionName> for String {
    fn from(name: ActionName) -> String {
        name.as_str().to_owned()
    }
}

impl fmt::Debug for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The full name of a task, `environment.function`, or the name of a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskName(Arc<str>);

impl TaskName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as text that others may keep.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The part after the environment.
    pub fn short(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

impl From<&str> for TaskName {
    fn from(name: &str) -> TaskName {
        TaskName(name.into())
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for TaskName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TaskName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TaskName, D::Error> {
        Ok(TaskName::from(String::deserialize(deserializer)?.as_str()))
    }
}

/// The number of an attempt, from 1, as in Flyte's API. (`FLYTE_ATTEMPT_NUMBER` counts from 0.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNo(pub u32);

impl fmt::Display for AttemptNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A point in time: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The point this much later; saturates at the end of time.
    pub fn after(self, delay: Duration) -> Timestamp {
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }

    /// The point this much earlier; saturates at the beginning of time.
    pub fn before(self, delay: Duration) -> Timestamp {
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(micros))
    }

    /// The time from `earlier` to this point, zero if it lies before.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_run_names_are_dns_1035_labels_of_at_most_30_bytes() {
        for good in ["a", "run-1", &"a".repeat(30)] {
            assert!(RunName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "a-", "A", "a_b", "ü", "a b", &"a".repeat(31)] {
            let error = RunName::new(bad).unwrap_err().to_string();
            assert!(error.contains("run name"), "{error}");
        }
        assert!(RunName::new(&"a".repeat(31)).unwrap_err().to_string().contains("limit is 30"));
    }

    #[test]
    fn s3_a_random_run_name_is_r_and_19_characters() {
        for bits in [0, 1, u128::MAX, 0x1234_5678_9abc_def0_1122_3344_5566_7788] {
            let name = RunName::from_random(bits);
            assert_eq!(name.as_str().len(), 20);
            assert!(RunName::new(name.as_str()).is_ok());
            assert!(name.as_str().starts_with('r'));
        }
    }

    #[test]
    fn action_names_keep_their_text() {
        assert_eq!(ActionName::ROOT.as_str(), "a0");
        assert_eq!(ActionName::new("bé").unwrap().as_str(), "bé");
        assert!(ActionName::new("").is_err());
        assert!(ActionName::new(&"a".repeat(31)).is_err());
    }
}
