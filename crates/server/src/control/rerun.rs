//! Running a run again.

use spanwise_core::ActionName;
use spanwise_engine::RunHandle;
use spanwise_wire::TaskInputs;
use spanwise_wire::options::SentOptions;

use super::{ControlPlane, Error, NewRun};

impl ControlPlane {
    /// A new run of the same task with the same inputs and settings, in a trace of its own.
    pub(crate) async fn rerun(&self, source: &RunHandle) -> Result<RunHandle, Error> {
        let missing = || Error::Unmet(format!("run `{}` has no task that could be run again", source.id().name));
        if source.settings().tracked {
            let text = "was tracked: its program is not here, start it again where it ran";
            return Err(Error::Unmet(format!("run `{}` {text}", source.id().name)));
        }
        let root = source.action(&ActionName::ROOT).ok_or_else(missing)?;
        let definition = self.inner.definitions.of(&root.spec)?.ok_or_else(missing)?;
        let task = definition.task()?.ok_or_else(missing)?;
        let (inputs, _) = source.payloads(&ActionName::ROOT).await?;
        let mut inputs = TaskInputs::read(&inputs.unwrap_or_default())?;
        inputs.context = inputs.context.without_trace();
        let (options, notes) = SentOptions::of_rerun(source.id(), &self.sent_options(source)?)?;
        self.create_run(NewRun {
            scope: source.id().scope(),
            name: None,
            task,
            inputs,
            options,
            caller_trace: None,
            notes,
            firing: None,
            tracked: false,
            start_time: None,
            version: Some(source.settings().task_version.clone()).filter(|version| !version.is_empty()),
        })
        .await
    }
}
