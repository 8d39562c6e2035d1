//! A secret that a task asks for.

use super::InvalidSetting;

/// A secret that a task is given (Flyte: `flyte.Secret`): as a variable, or as a file below `/etc/flyte/secrets`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secret {
    /// Its name.
    pub key: String,
    /// The group that it belongs to; often empty.
    pub group: String,
    /// How the task reads it: this variable; none: a file.
    pub variable: Option<String>,
    /// Somebody has named the variable: no group names it anew.
    is_named: bool,
}

impl Secret {
    /// The secret of this name, as the variable that has its name in capitals, with `_` for `-`.
    pub fn new(key: impl Into<String>) -> Secret {
        let key = key.into();
        Secret { variable: Some(variable("", &key)), group: String::new(), is_named: false, key }
    }

    /// The secret of this group; its variable is named by both, unless another one is.
    pub fn group(mut self, group: impl Into<String>) -> Secret {
        let group = group.into();
        if self.variable.is_some() && !self.is_named {
            self.variable = Some(variable(&group, &self.key));
        }
        self.group = group;
        self
    }

    /// Gives it as this variable.
    pub fn as_env(mut self, variable: impl Into<String>) -> Secret {
        (self.variable, self.is_named) = (Some(variable.into()), true);
        self
    }

    /// Gives it as a file, `/etc/flyte/secrets/KEY`.
    pub fn as_file(mut self) -> Secret {
        self.variable = None;
        self
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        let wrong = |why: String| Err(InvalidSetting::new("secrets", why));
        if self.key.is_empty() {
            return wrong("a secret has an empty name".to_owned());
        }
        let Some(variable) = &self.variable else {
            let names = [&self.key, &self.group];
            let leads_away = |name: &&&String| name.contains(['/', '\0']) || [".", ".."].contains(&name.as_str());
            return match names.iter().find(leads_away) {
                Some(name) => wrong(format!("`{}` is no name of a file", name.escape_debug())),
                None => Ok(()),
            };
        };
        // As Python's SDK has it (`_secret.py`).
        let is_good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if variable.is_empty() || variable.starts_with(|c: char| c.is_ascii_digit()) || !variable.chars().all(is_good) {
            let why = "is no name of a variable: capitals, digits and `_` are, and no digit at the beginning";
            return wrong(format!("`{}` {why}", variable.escape_debug()));
        }
        Ok(())
    }
}

impl From<&str> for Secret {
    fn from(key: &str) -> Secret {
        Secret::new(key)
    }
}

/// The variable of a secret that names none.
fn variable(group: &str, key: &str) -> String {
    let name = if group.is_empty() { key.to_owned() } else { format!("{group}_{key}") };
    name.replace('-', "_").to_uppercase()
}
