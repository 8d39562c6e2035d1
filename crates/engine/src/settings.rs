//! What a run was started with, as it is stored beside it.

use serde::{Deserialize, Serialize};
use spanwise_core::{RunLimits, RunName};

/// The settings of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// How many of its actions may run at one time; none or 0 means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_action_concurrency: Option<u32>,
    /// Where the run comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
}

/// The run that another run comes from (Flyte's `RunSpec.relation`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Relation {
    /// It was started by a task of that run.
    Spawn {
        /// The run whose task started it.
        run: RunName,
    },
    /// It repeats that run with the same inputs.
    Rerun {
        /// The run it repeats.
        run: RunName,
    },
}

impl RunSettings {
    /// True if the run has a limit of running actions.
    pub fn is_limited(&self) -> bool {
        self.limits().max_action_concurrency.is_some()
    }

    /// The limits, as the rules know them.
    pub(crate) fn limits(&self) -> RunLimits {
        RunLimits { max_action_concurrency: self.max_action_concurrency.filter(|limit| *limit > 0) }
    }
}
