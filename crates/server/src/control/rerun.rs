//! Running a run again.

use spanwise_core::ActionName;
use spanwise_engine::{Relation, RunHandle};
use spanwise_wire::{CustomContext, Definition, options, relation, values};

use super::{ControlPlane, Error, NewRun};

impl ControlPlane {
    /// A new run of the same task with the same inputs and settings, in a trace of its own.
    pub(crate) async fn rerun(&self, source: &RunHandle) -> Result<RunHandle, Error> {
        let missing = || Error::Unmet(format!("run `{}` has no task that could be run again", source.id().name));
        let root = source.action(&ActionName::ROOT).ok_or_else(missing)?;
        let definition = self.inner.definitions.of(&root.spec)?.ok_or_else(missing)?;
        let Definition::Task(task) = &*definition else { return Err(missing()) };
        let (inputs, _) = source.payloads(&ActionName::ROOT).await?;
        let mut inputs = values::inputs(&inputs.unwrap_or_default())?;
        inputs.context = CustomContext::from_message(inputs.context).without_trace().to_message();
        let mut settings = options::decode(&self.sent_options(source)?)?;
        let relation = Relation::Rerun { run: source.id().name.clone() };
        settings.relation = relation::to_message(source.id(), &relation).into();
        self.create_run(NewRun {
            scope: source.id().scope(),
            name: None,
            task: (**task).clone(),
            inputs,
            settings,
            caller_trace: None,
            notes: Vec::new(),
            version: Some(source.settings().task_version.clone()).filter(|version| !version.is_empty()),
        })
        .await
    }
}
