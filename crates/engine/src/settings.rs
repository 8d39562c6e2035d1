//! What a run was started with, as it is stored beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spanwise_core::lifecycle::RunTrace;
use spanwise_core::{Relation, RunLimits};
use spanwise_store::RunRow;

/// The settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// How many of its actions may run at one time; none or 0 means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_action_concurrency: Option<u32>,
    /// Where the run comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// Free labels, by which lists can be filtered. A field of the run's row, as the next two are.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
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
        let (labels, definition, task_version) = (row.labels.clone(), row.definition.clone(), row.task_version.clone());
        RunSettings { labels, definition, task_version, ..self }
    }

    /// True if the run has a limit of running actions.
    pub fn is_limited(&self) -> bool {
        self.limits().max_action_concurrency.is_some()
    }

    /// The limits, as the rules know them.
    pub(crate) fn limits(&self) -> RunLimits {
        RunLimits { max_action_concurrency: self.max_action_concurrency.filter(|limit| *limit > 0) }
    }
}
