//! Where a run comes from.

use serde::{Deserialize, Serialize};

use crate::RunName;

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
    /// It repeats that run and keeps what has succeeded there.
    Recover {
        /// The run it recovers.
        run: RunName,
    },
}
