//! Triggers that wait for versions of an artifact.

use spanwise_core::RunName;
use spanwise_core::artifact::{ArtifactId, OnArtifact, Partition};
use spanwise_core::schedule::Automation;
use spanwise_core::trigger::TriggerId;
use spanwise_proto::flyteidl2::task::{ArtifactTrigger, TriggerAutomationSpec, trigger_automation_spec};
use spanwise_proto::hash;

use super::TriggerDefinition;
use crate::artifact::{Version, triggered};
use crate::task::TaskDefinition;
use crate::{Invalid, TaskInputs, title};

impl TriggerDefinition {
    /// The inputs that are a version of an artifact and parts of its partition.
    pub(super) fn artifact_inputs(&self) -> (Option<&str>, impl Iterator<Item = &str>) {
        let artifact = self.artifact();
        let input = artifact.map(|artifact| artifact.input_arg.as_str()).filter(|input| !input.is_empty());
        (input, artifact.into_iter().flat_map(|artifact| artifact.partition_input_args.keys().map(String::as_str)))
    }

    /// The artifact that it waits for; none if it does not.
    fn artifact(&self) -> Option<&ArtifactTrigger> {
        match &self.message.automation_spec.automation {
            Some(trigger_automation_spec::Automation::Artifact(artifact)) => Some(artifact),
            _ => None,
        }
    }

    /// The inputs of a run with the version that it is started by where the trigger wants it.
    ///
    /// # Errors
    /// [`Invalid`] names the part that the version does not have.
    pub fn with_version(
        &self,
        task: &TaskDefinition,
        inputs: TaskInputs,
        version: (&Version, &Partition),
    ) -> Result<TaskInputs, Invalid> {
        match self.artifact() {
            Some(artifact) => triggered(artifact, task, inputs, version),
            None => Ok(inputs),
        }
    }
}

/// What waits for versions of an artifact.
pub(super) fn waits_for(spec: &TriggerAutomationSpec) -> Result<Automation, Invalid> {
    let Some(trigger_automation_spec::Automation::Artifact(artifact)) = &spec.automation else {
        return Err(Invalid::Missing("automation_spec.artifact"));
    };
    if artifact.artifact_name.is_empty() {
        return Err(Invalid::Missing("automation_spec.artifact.artifact_name"));
    }
    title("automation_spec.artifact.artifact_name", &artifact.artifact_name)?;
    title("automation_spec.artifact.version", &artifact.version)?;
    Ok(Automation::Artifact(OnArtifact {
        name: artifact.artifact_name.clone(),
        version: Some(artifact.version.clone()).filter(|version| !version.is_empty()),
        partition: artifact.partitions.clone().into_iter().collect(),
    }))
}

/// The name of the run that a version of an artifact starts by a trigger: made of both, so that it is one run whoever starts it. `key` is the version's own: one
/// that was deleted and registered again is another one.
///
/// # Errors
/// None for any version: the name is a letter and at most 25 digits.
pub fn run_of_version(id: &TriggerId, artifact: &ArtifactId, key: i64) -> Result<RunName, Invalid> {
    let TriggerId { scope, task, name } = id;
    let of = [
        &scope.org,
        &scope.project,
        &scope.domain,
        task,
        name,
        &artifact.name.name,
        &artifact.version,
        &key.to_string(),
    ];
    Ok(RunName::new(&hash::version_name(&of))?)
}
