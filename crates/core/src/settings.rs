//! What a task asks for beside its retries and its limits in time: the cache, resources, secrets, variables and a queue.

use crate::admission::{Needs, check_queue_name};
use crate::quantity;

mod cache;
mod resources;
mod secret;

pub use cache::{Cache, CacheVersion};
pub use resources::Resources;
pub use secret::Secret;

/// A setting that makes no sense, by its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct InvalidSetting {
    /// Which it is: `resources.memory`.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl InvalidSetting {
    /// What is wrong with a setting.
    pub fn new(field: &'static str, why: impl Into<String>) -> InvalidSetting {
        InvalidSetting { field, why: why.into() }
    }
}

/// The settings of a task, of its environment or of one call. What is none says nothing, and what is said counts as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSettings {
    /// Whether results are kept, and under which version.
    pub cache: Option<Cache>,
    /// What attempts need.
    pub resources: Option<Resources>,
    /// The secrets that attempts are given.
    pub secrets: Option<Vec<Secret>>,
    /// The variables of their processes.
    pub env_vars: Option<Vec<(String, String)>>,
    /// The queue that they wait in.
    pub queue: Option<String>,
}

impl TaskSettings {
    /// True if nothing is said.
    pub fn is_empty(&self) -> bool {
        let TaskSettings { cache, resources, secrets, env_vars, queue } = self;
        cache.is_none() && resources.is_none() && secrets.is_none() && env_vars.is_none() && queue.is_none()
    }

    /// These, and of those below what these do not say.
    #[must_use]
    pub fn over(&self, below: &TaskSettings) -> TaskSettings {
        let above = self.clone();
        TaskSettings {
            cache: above.cache.or_else(|| below.cache.clone()),
            resources: above.resources.or_else(|| below.resources.clone()),
            secrets: above.secrets.or_else(|| below.secrets.clone()),
            env_vars: above.env_vars.or_else(|| below.env_vars.clone()),
            queue: above.queue.or_else(|| below.queue.clone()),
        }
    }

    /// Checks each of them.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        self.needs()?;
        self.cache.as_ref().map_or(Ok(()), Cache::check)?;
        self.secrets.iter().flatten().try_for_each(Secret::check)?;
        check_variables(self.env_vars.as_deref().unwrap_or_default())?;
        let queue = self.queue.as_deref().map_or(Ok(()), check_queue_name);
        queue.map_err(|error| InvalidSetting::new("queue", error.to_string()))
    }

    /// What attempts need of the pools.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the resource that is no amount.
    pub fn needs(&self) -> Result<Needs, InvalidSetting> {
        let Some(Resources { cpu, memory, gpu, .. }) = &self.resources else { return Ok(Needs::default()) };
        let no_processors = |cpu: &String| {
            let why = format!("`{cpu}` is no number of processors, such as 2, 0.5 or 500m");
            InvalidSetting::new("resources.cpu", why)
        };
        let no_bytes = |memory: &String| {
            InvalidSetting::new("resources.memory", format!("`{memory}` is no number of bytes, such as 512Mi or 2G"))
        };
        let cpu = cpu.as_ref().map(|cpu| quantity::millis(cpu).ok_or_else(|| no_processors(cpu)));
        let memory = memory.as_ref().map(|memory| quantity::quantity(memory).ok_or_else(|| no_bytes(memory)));
        Ok(Needs {
            cpu: cpu.transpose()?,
            memory: memory.transpose()?.unwrap_or_default(),
            gpu: gpu.unwrap_or_default().into(),
        })
    }
}

fn check_variables(variables: &[(String, String)]) -> Result<(), InvalidSetting> {
    let wrong = |why: String| Err(InvalidSetting::new("env_vars", why));
    for (at, (name, value)) in variables.iter().enumerate() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return wrong(format!("`{}` is no name of a variable", name.escape_debug()));
        }
        if value.contains('\0') {
            return wrong(format!("the value of `{name}` holds a NUL"));
        }
        if variables[..at].iter().any(|(other, _)| other == name) {
            return wrong(format!("`{name}` is given twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(resources: Resources) -> TaskSettings {
        TaskSettings { resources: Some(resources), ..TaskSettings::default() }
    }

    fn secret(secret: Secret) -> TaskSettings {
        TaskSettings { secrets: Some(vec![secret]), ..TaskSettings::default() }
    }

    fn variables(variables: &[(&str, &str)]) -> TaskSettings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        TaskSettings { env_vars: Some(variables.iter().map(owned).collect()), ..TaskSettings::default() }
    }

    #[test]
    fn s10_a_setting_that_makes_no_sense_is_refused_by_its_name() {
        let cache = |cache| TaskSettings { cache: Some(cache), ..TaskSettings::default() };
        let queue = |queue: &str| TaskSettings { queue: Some(queue.to_owned()), ..TaskSettings::default() };
        for (settings, field) in [
            (resources(Resources::new().cpu("lots")), "resources.cpu: `lots`"),
            (resources(Resources::new().cpu(-1)), "resources.cpu: `-1`"),
            (resources(Resources::new().memory("1 Gi")), "resources.memory: `1 Gi`"),
            (secret(Secret::new("")), "secrets: "),
            (secret(Secret::new("1st")), "secrets: `1ST`"),
            (secret(Secret::new("größe")), "secrets: `GRÖSSE`"),
            (secret(Secret::new("key").as_env("lower")), "secrets: `lower`"),
            (secret(Secret::new("../key").as_file()), "secrets: `../key`"),
            (variables(&[("A=B", "c")]), "env_vars: `A=B`"),
            (variables(&[("", "c")]), "env_vars: ``"),
            (variables(&[("A", "c\0")]), "env_vars: the value of `A`"),
            (variables(&[("A", "1"), ("A", "2")]), "env_vars: `A` is given twice"),
            (cache(Cache::version("")), "cache: "),
            (queue("two words"), "queue: `two words`"),
            (queue(""), "queue: ``"),
        ] {
            let refused = settings.check().unwrap_err().to_string();
            assert!(refused.starts_with(field), "{field}: {refused}");
        }
        for good in [
            resources(Resources::new().cpu(2).memory("1Gi").gpu(1)),
            resources(Resources::new().cpu(0.5)),
            secret(Secret::new("db-password").group("team")),
            secret(Secret::new("1st").as_file()),
            variables(&[("A", ""), ("B", "=")]),
            cache(Cache::auto()),
            queue("gpu"),
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn s15_1_a_variable_that_somebody_has_named_stays_whatever_comes_after() {
        let secret = || Secret::new("api-key");
        for (secret, variable) in [
            (secret(), Some("API_KEY")),
            (secret().group("team"), Some("TEAM_API_KEY")),
            (secret().group("one").group("team"), Some("TEAM_API_KEY")),
            (secret().as_env("API_KEY").group("team"), Some("API_KEY")),
            (secret().group("team").as_env("API_KEY"), Some("API_KEY")),
            (secret().group("team").as_env("TEAM_API_KEY").group("other"), Some("TEAM_API_KEY")),
            (secret().as_file().group("team"), None),
            (secret().as_env("OTHER").as_file().group("team"), None),
            (secret().as_file().as_env("OTHER").group("team"), Some("OTHER")),
        ] {
            assert_eq!(secret.variable.as_deref(), variable, "{secret:?}");
        }
    }

    #[test]
    fn s14_3_what_is_requested_is_needed() {
        let needs = resources(Resources::new().cpu("500m").memory("1Gi").gpu(2)).needs();
        assert_eq!(needs, Ok(Needs { cpu: Some(500), memory: 1 << 30, gpu: 2 }));
        assert!(!resources(Resources::new().cpu(0)).needs().unwrap().takes_a_slot());
    }

    #[test]
    fn what_is_said_above_counts_as_a_whole() {
        let below = TaskSettings { queue: Some("gpu".to_owned()), ..resources(Resources::new().cpu(2).memory("1Gi")) };
        let found = resources(Resources::new().cpu(1)).over(&below);
        assert_eq!(found.resources, Some(Resources::new().cpu(1)), "the memory goes with it, as in Python");
        assert_eq!(found.queue.as_deref(), Some("gpu"));
        assert!(TaskSettings::default().is_empty() && !found.is_empty());
    }
}
