//! What is defined of an attempt: by its task, its run, and the settings of its scope.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::{ActionSpec, Failure, RunDefaults, RunOptions};
use spanwise_engine::RunHandle;
use spanwise_wire::TaskInputs;
use spanwise_wire::task::Program;

use super::Shared;
use super::trouble::{bad_task, undefined};

impl Shared {
    /// Why there is no timer for an action of a task that only waits.
    pub(super) fn no_timer(&self, spec: &ActionSpec, inputs: &Bytes) -> Failure {
        let definition = match self.definitions.of(spec) {
            Ok(definition) => definition,
            Err(error) => return undefined("read the task's definition", &error),
        };
        let task = definition.and_then(|definition| definition.task().ok().flatten());
        let input = task.map(|task| task.timer_input(&TaskInputs::read(inputs)?));
        match input {
            Some(Err(error)) => bad_task(error.to_string()),
            _ => Failure::system("SystemError", "it only waits, and is no timer").terminal(),
        }
    }

    /// What is to be run, with what the run's scope has said of it.
    pub(super) fn program_of(&self, run: &RunHandle, spec: &ActionSpec) -> Result<Program, Failure> {
        let program = self.definitions.program(spec);
        let program = program.map_err(|error| undefined("read the task's definition", &error))?;
        let defaults = self.definitions.defaults(run.settings());
        let defaults = defaults.map_err(|error| undefined("read the run's settings", &error))?;
        Ok(program.under(&defaults))
    }

    /// What whoever started a run has chosen, and what the settings of its scope have given it.
    pub(super) fn settings_of(&self, run: &RunHandle) -> Result<(Arc<RunOptions>, Arc<RunDefaults>), Failure> {
        let options = self.definitions.options(run.settings());
        let settings = options.and_then(|options| Ok((options, self.definitions.defaults(run.settings())?)));
        settings.map_err(|error| undefined("read the run's settings", &error))
    }
}
