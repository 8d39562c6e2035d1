//! The triggers that a task is deployed with, as the stock SDK sends them (`trigger_serde.py`).

use spanwise_core::RunOptions;
use spanwise_core::artifact::OnArtifact;
use spanwise_core::schedule::Automation;
use spanwise_proto::flyteidl2::task::{
    ArtifactTrigger, Cron, FixedRate, FixedRateUnit, Inputs, NamedLiteral, Schedule, TaskTrigger, TaskTriggerSpec,
    TriggerAutomationSpec, TriggerAutomationSpecType,
};

use crate::{CustomContext, Invalid, options, times};

/// A trigger of a task that is to be deployed.
#[derive(Clone, Debug)]
pub struct TriggerOfTask<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is said about it.
    pub description: &'a str,
    /// What fires it.
    pub automation: &'a Automation,
    /// True if it fires as soon as it is deployed.
    pub active: bool,
    /// The inputs of its runs.
    pub inputs: Vec<NamedLiteral>,
    /// The input that is the time of the slot; empty if none is.
    pub time_input: &'a str,
    /// The map of its runs.
    pub context: &'a CustomContext,
    /// What else its runs are started with.
    pub options: &'a RunOptions,
}

impl TriggerOfTask<'_> {
    /// The message.
    ///
    /// # Errors
    /// [`Invalid::Field`] if it is a rate of no whole minutes, or names an input for the time of a slot that it does not have.
    pub fn into_message(self) -> Result<TaskTrigger, Invalid> {
        let context = self.context.to_message();
        let inputs = Inputs { literals: self.inputs, context, ..Inputs::default() };
        let spec = TaskTriggerSpec {
            active: self.active,
            description: self.description.to_owned(),
            run_spec: options::to_message(self.options).into(),
            input_wrapper: Some(inputs.into()),
            ..TaskTriggerSpec::default()
        };
        Ok(TaskTrigger {
            name: self.name.to_owned(),
            spec: spec.into(),
            automation_spec: to_message(self.automation, self.time_input)?.into(),
            ..TaskTrigger::default()
        })
    }
}

fn to_message(automation: &Automation, time_input: &str) -> Result<TriggerAutomationSpec, Invalid> {
    let expression = match automation {
        Automation::OnDemand if time_input.is_empty() => {
            let kind = TriggerAutomationSpecType::TYPE_NONE.into();
            return Ok(TriggerAutomationSpec { r#type: kind, ..TriggerAutomationSpec::default() });
        }
        Automation::OnDemand => {
            return Err(Invalid::field(format!(
                "inputs: `{time_input}` cannot be the time of a slot: nothing but a request fires it"
            )));
        }
        Automation::Artifact(_) if !time_input.is_empty() => {
            return Err(Invalid::field(format!(
                "inputs: `{time_input}` cannot be the time of a slot: nothing but a version of an artifact fires it"
            )));
        }
        Automation::Artifact(OnArtifact { name, version, partition }) => {
            let artifact = ArtifactTrigger {
                artifact_name: name.clone(),
                version: version.clone().unwrap_or_default(),
                partitions: partition.clone().into_iter().collect(),
                ..ArtifactTrigger::default()
            };
            return Ok(TriggerAutomationSpec {
                r#type: TriggerAutomationSpecType::TYPE_ARTIFACT.into(),
                automation: Some(artifact.into()),
                ..TriggerAutomationSpec::default()
            });
        }
        Automation::Cron { expression, zone } => {
            let zone = if zone.is_empty() { "UTC" } else { zone };
            Cron { expression: expression.clone(), timezone: zone.to_owned(), ..Cron::default() }.into()
        }
        Automation::Rate { every, start } => {
            let minutes = every.as_secs() / 60;
            let value =
                u32::try_from(minutes).ok().filter(|_| minutes * 60 * 1000 == every.as_millis() as u64 && minutes > 0);
            let value = value.ok_or_else(|| {
                Invalid::field(format!("every: {every:?} are no whole minutes: a cron expression can say `@every 90s`"))
            })?;
            let unit = FixedRateUnit::FIXED_RATE_UNIT_MINUTE.into();
            FixedRate { value, unit, start_time: start.map(times::timestamp).into(), ..FixedRate::default() }.into()
        }
    };
    let schedule =
        Schedule { expression: Some(expression), kickoff_time_input_arg: time_input.to_owned(), ..Schedule::default() };
    Ok(TriggerAutomationSpec {
        r#type: TriggerAutomationSpecType::TYPE_SCHEDULE.into(),
        automation: Some(schedule.into()),
        ..TriggerAutomationSpec::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spanwise_core::Timestamp;

    use super::super::{TriggerDefinition, automation};
    use super::*;

    #[test]
    fn s11_3_what_is_sent_is_read_again() {
        let cron = |zone: &str| Automation::Cron { expression: "0 9 * * *".to_owned(), zone: zone.to_owned() };
        let rate = |seconds, start| Automation::Rate { every: Duration::from_secs(seconds), start };
        let artifact = |version: Option<&str>| {
            let (name, version) = ("model".to_owned(), version.map(str::to_owned));
            let partition = [("region".to_owned(), "us".to_owned())].into();
            Automation::Artifact(OnArtifact { name, version, partition })
        };
        for (sent, read) in [
            (Automation::OnDemand, Automation::OnDemand),
            (cron("Europe/Berlin"), cron("Europe/Berlin")),
            (cron(""), cron("UTC")),
            (rate(60, None), rate(60, None)),
            (artifact(Some("v1")), artifact(Some("v1"))),
            (artifact(None), artifact(None)),
            (rate(3 * 24 * 3600, Some(Timestamp(5))), rate(3 * 24 * 3600, Some(Timestamp(5)))),
        ] {
            assert_eq!(automation(&to_message(&sent, "").unwrap()).unwrap(), read);
        }
        for (wrong, named) in [(rate(90, None), "every: 90s"), (rate(0, None), "every: 0ns")] {
            let refused = to_message(&wrong, "").unwrap_err().to_string();
            assert!(refused.starts_with(named), "{refused}");
        }
        assert!(to_message(&Automation::OnDemand, "at").unwrap_err().to_string().starts_with("inputs: `at`"));
    }

    #[test]
    fn s11_a_trigger_of_a_task_has_its_inputs_and_its_settings() {
        let options = RunOptions { queue: Some("gpu".to_owned()), ..RunOptions::default() };
        let new = TriggerOfTask {
            name: "daily",
            description: "Every day.",
            automation: &Automation::Cron { expression: "@daily".to_owned(), zone: String::new() },
            active: false,
            inputs: Vec::new(),
            time_input: "at",
            context: &CustomContext::from([("key", "value")]),
            options: &options,
        };
        let read = TriggerDefinition::of_task(new.into_message().unwrap(), "v1").unwrap();
        assert!(!read.active);
        assert_eq!((read.description(), read.kickoff(), read.task_version.as_str()), ("Every day.", Some("at"), "v1"));
        assert_eq!(read.inputs().context.get("key"), Some("value"));
        assert_eq!(read.run_spec().queue, "gpu");
    }
}
