//! What runs and tasks have where they say nothing: what the settings of their project, domain and organisation come to.

use std::collections::BTreeMap;

use crate::RunOptions;
use crate::admission::Needs;
use crate::lifecycle::TRACE_LABEL;

/// What a run has where it and its tasks say nothing. Fixed when the run is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunDefaults {
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Variables of its task processes; the image's are below them, the task's own above.
    pub env: BTreeMap<String, String>,
    /// The queue of those of its tasks that name none.
    pub queue: Option<String>,
    /// How many of its actions may run at one time.
    pub max_action_concurrency: Option<u32>,
    /// What attempts of a task need that says nothing of it.
    pub needs: Needs,
    /// The memory that a process may use whose task says nothing of it, as Kubernetes writes it.
    pub memory_limit: Option<String>,
}

impl RunDefaults {
    /// What a run has that says this of itself.
    #[must_use]
    pub fn under(&self, own: RunOptions) -> RunOptions {
        let over = |own: BTreeMap<String, String>, below: &BTreeMap<String, String>| {
            let mut all = below.clone();
            all.extend(own);
            all
        };
        let labels = over(own.labels, &self.labels);
        RunOptions {
            trace: own.trace.or_else(|| labels.get(TRACE_LABEL).cloned()),
            labels,
            annotations: over(own.annotations, &self.annotations),
            queue: own.queue.or_else(|| self.queue.clone()),
            max_action_concurrency: own.max_action_concurrency.or(self.max_action_concurrency),
            ..own
        }
    }

    /// What attempts of a task need that says this of itself.
    #[must_use]
    pub fn needs_under(&self, own: Needs) -> Needs {
        let or = |own: u64, below: u64| if own == 0 { below } else { own };
        Needs {
            cpu: own.cpu.or(self.needs.cpu),
            memory: or(own.memory, self.needs.memory),
            gpu: or(own.gpu, self.needs.gpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn s19_2_what_a_run_says_of_itself_wins_and_the_rest_is_of_its_settings() {
        let defaults = RunDefaults {
            labels: map(&[("team", "a"), ("stage", "dev"), (TRACE_LABEL, "full")]),
            annotations: map(&[("owner", "ann")]),
            env: map(&[("A", "settings")]),
            queue: Some("gpu".to_owned()),
            max_action_concurrency: Some(4),
            needs: Needs { cpu: Some(500), memory: 1 << 20, gpu: 1 },
            memory_limit: None,
        };
        let own = RunOptions { labels: map(&[("team", "b")]), env: map(&[("A", "run")]), ..RunOptions::default() };
        let found = defaults.under(own.clone());
        assert_eq!(found.labels, map(&[("team", "b"), ("stage", "dev"), (TRACE_LABEL, "full")]));
        assert_eq!((found.annotations, found.trace.as_deref()), (map(&[("owner", "ann")]), Some("full")));
        assert_eq!((found.queue.as_deref(), found.max_action_concurrency), (Some("gpu"), Some(4)));
        assert_eq!(
            found.env, own.env,
            "variables of settings are below those of tasks, and no part of what the run says"
        );
        let own = RunOptions {
            queue: Some("small".to_owned()),
            max_action_concurrency: Some(2),
            trace: Some("off".to_owned()),
            ..RunOptions::default()
        };
        let found = defaults.under(own);
        assert_eq!((found.queue.as_deref(), found.max_action_concurrency), (Some("small"), Some(2)));
        assert_eq!(found.trace.as_deref(), Some("off"));
        assert_eq!(RunDefaults::default().under(RunOptions::default()), RunOptions::default());
    }

    #[test]
    fn s19_3_what_a_task_asks_for_wins() {
        let defaults = RunDefaults { needs: Needs { cpu: Some(500), memory: 9, gpu: 1 }, ..RunDefaults::default() };
        assert_eq!(defaults.needs_under(Needs::default()), defaults.needs);
        let own = Needs { cpu: Some(0), memory: 5, gpu: 2 };
        assert_eq!(defaults.needs_under(own), own);
        assert_eq!(RunDefaults::default().needs_under(own), own);
    }
}
