//! What a run was started with, as it is stored beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spanwise_core::lifecycle::RunTrace;
use spanwise_core::{Relation, RunLimits, RunOptions};
use spanwise_store::RunRow;

/// The settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// What its starter has chosen, as far as it is shown with the run. The labels are a field of the run's row.
    #[serde(flatten)]
    pub options: RunOptions,
    /// Where the run comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// The digest of what the run was created with, where a remote client sent it.
    #[serde(skip)]
    pub definition: Option<String>,
    /// The version of the root's task, where it has one.
    #[serde(skip)]
    pub task_version: String,
    /// How its lifecycle is traced.
    #[serde(default, skip_serializing_if = "is_untraced")]
    pub trace: RunTrace,
    /// What was asked for and is not honoured, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn is_untraced(trace: &RunTrace) -> bool {
    *trace == RunTrace::default()
}

impl RunSettings {
    /// The settings as a run's row has them; those of a damaged row are empty.
    pub fn of(row: &RunRow) -> RunSettings {
        let settings: RunSettings = serde_json::from_str(&row.settings).unwrap_or_default();
        settings.with_fields_of(row)
    }

    /// The settings as a run's row has them.
    ///
    /// # Errors
    /// If they cannot be understood.
    pub(crate) fn read(row: &RunRow) -> Result<RunSettings, serde_json::Error> {
        let settings: RunSettings = serde_json::from_str(&row.settings)?;
        Ok(settings.with_fields_of(row))
    }

    fn with_fields_of(self, row: &RunRow) -> RunSettings {
        let options = RunOptions { labels: row.labels.clone(), ..self.options };
        let (definition, task_version) = (row.definition.clone(), row.task_version.clone());
        RunSettings { options, definition, task_version, ..self }
    }

    /// What is stored of them beside the fields of the run's row.
    pub(crate) fn stored(&self) -> String {
        let options = RunOptions { labels: BTreeMap::new(), ..self.options.shown() };
        serde_json::to_string(&RunSettings { options, ..self.clone() }).unwrap_or_default()
    }

    /// True if the run has a limit of running actions.
    pub fn is_limited(&self) -> bool {
        self.limits().max_action_concurrency.is_some()
    }

    /// The limits, as the rules know them.
    pub(crate) fn limits(&self) -> RunLimits {
        RunLimits { max_action_concurrency: self.options.max_action_concurrency.filter(|limit| *limit > 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_has_the_options_beside_the_rest() {
        let stored = r#"{"max_action_concurrency":3,"later":[]}"#;
        let read: RunSettings = serde_json::from_str(stored).unwrap();
        let options = RunOptions { max_action_concurrency: Some(3), ..RunOptions::default() };
        assert_eq!(read, RunSettings { options, ..RunSettings::default() });
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let options = RunOptions { labels, ..read.options };
        assert_eq!(RunSettings { options, ..read }.stored(), r#"{"max_action_concurrency":3}"#);
        let traced = r#"{"trace":{"level":"full","sampled":true}}"#;
        let read: RunSettings = serde_json::from_str(traced).unwrap();
        assert!(read.trace.sampled && read.options == RunOptions::default());
        assert_eq!(serde_json::to_string(&RunSettings::default()).unwrap(), "{}");
    }
}
