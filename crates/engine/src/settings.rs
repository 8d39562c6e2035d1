//! The settings that a run was started with, as they are stored with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spanwise_core::lifecycle::{Lifecycle, RunTrace};
use spanwise_core::trigger::Firing;
use spanwise_core::{Relation, RunId, RunLimits, RunOptions, Timestamp};
use spanwise_store::{ArtifactKey, RunRow};

use crate::error::Error;

/// The settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// What its starter has chosen, as far as it is shown with the run. The labels are a field of the run's row.
    #[serde(flatten)]
    pub options: RunOptions,
    /// Where the run comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// The trigger that has fired it, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing: Option<Firing>,
    /// Its program runs elsewhere and reports how it stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tracked: bool,
    /// The time that the run is for, if that is not when it was accepted: a slot's, or that of the run that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// The digest of what the run was created with, where a remote client sent it.
    #[serde(skip)]
    pub definition: Option<String>,
    /// The digest of what its project, domain and organisation give to it, if they give anything: one of its definitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<String>,
    /// The version of the root's task, where it has one.
    #[serde(skip)]
    pub task_version: String,
    /// Who is to be notified of its end, as people may read it, with the numbers of the rules. Of a run that is created: what has become
    /// of them since is told by [`RunHandle::notifications`](crate::RunHandle::notifications).
    #[serde(skip)]
    pub receivers: Vec<(u32, String)>,
    /// The versions of artifacts that it is given. Of a run that is created: later they are asked for, see
    /// [`Engine::artifacts_of_run`](crate::Engine::artifacts_of_run).
    #[serde(skip)]
    pub artifacts: Vec<ArtifactKey>,
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
    /// The settings as a run's row has them. Those of a damaged row are empty, and [`RunRow::unreadable`] says so.
    pub fn of(row: &RunRow) -> RunSettings {
        let settings: RunSettings = serde_json::from_str(&row.settings).unwrap_or_default();
        settings.with_fields_of(row)
    }

    /// The settings as a run's row has them.
    ///
    /// # Errors
    /// [`spanwise_store::Error::Corrupt`] if they cannot be understood.
    pub(crate) fn read(row: &RunRow) -> Result<RunSettings, spanwise_store::Error> {
        let settings: RunSettings = serde_json::from_str(&row.settings).map_err(|error| {
            spanwise_store::Error::Corrupt { what: format!("settings of run {}: {error}", row.id.name) }
        })?;
        Ok(settings.with_fields_of(row))
    }

    fn with_fields_of(self, row: &RunRow) -> RunSettings {
        let options = RunOptions { labels: row.labels.clone(), ..self.options };
        let (definition, task_version) = (row.definition.clone(), row.task_version.clone());
        RunSettings { options, definition, task_version, ..self }
    }

    /// What is stored of them beside the fields of the run's row.
    ///
    /// # Errors
    /// [`Error::Settings`] if they have no stored form.
    pub(crate) fn stored(&self) -> Result<String, Error> {
        let rerun_actions = self.options.rerun_actions.clone();
        let options = RunOptions { labels: BTreeMap::new(), rerun_actions, ..self.options.shown() };
        stored(&RunSettings { options, ..self.clone() })
    }

    /// The lifecycle of the run before its first event.
    pub(crate) fn lifecycle(&self, run: RunId) -> Lifecycle {
        Lifecycle::new(run, self.trace.clone()).fired_by(self.firing.clone())
    }

    /// True if the run has a limit of running actions.
    pub fn is_limited(&self) -> bool {
        self.limits().max_action_concurrency.is_some()
    }

    /// The limits, as the rules know them.
    pub(crate) fn limits(&self) -> RunLimits {
        let limit = self.options.max_action_concurrency.filter(|limit| *limit > 0);
        // What runs elsewhere is limited there.
        RunLimits { max_action_concurrency: limit.filter(|_| !self.tracked) }
    }
}

fn stored(settings: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|error| Error::Settings(Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_a_stored_form_are_refused_not_stored_as_nothing() {
        // JSON has no keys that are no text.
        let refused = stored(&BTreeMap::from([((1, 2), "x")]));
        assert!(matches!(refused, Err(Error::Settings(_))), "{refused:?}");
    }

    #[test]
    fn the_stored_form_has_the_options_beside_the_rest() {
        let stored = r#"{"max_action_concurrency":3,"later":[]}"#;
        let read: RunSettings = serde_json::from_str(stored).unwrap();
        let options = RunOptions { max_action_concurrency: Some(3), ..RunOptions::default() };
        assert_eq!(read, RunSettings { options, ..RunSettings::default() });
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let options = RunOptions { labels, ..read.options };
        assert_eq!(RunSettings { options, ..read }.stored().unwrap(), r#"{"max_action_concurrency":3}"#);
        // What a recovering run runs again has to be known to whoever takes it up.
        let options = RunOptions { rerun_actions: vec!["x".to_owned()], ..RunOptions::default() };
        let recovering = RunSettings { options, ..RunSettings::default() };
        let read: RunSettings = serde_json::from_str(&recovering.stored().unwrap()).unwrap();
        assert_eq!(read, recovering);
        let traced = r#"{"trace":{"level":"full","sampled":true}}"#;
        let read: RunSettings = serde_json::from_str(traced).unwrap();
        assert!(read.trace.sampled && read.options == RunOptions::default());
        assert_eq!(serde_json::to_string(&RunSettings::default()).unwrap(), "{}");
    }
}
