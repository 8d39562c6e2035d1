//! Triggers: what is deployed, and how it is shown.

use std::time::Duration;

use bytes::Bytes;
use spanwise_core::artifact::OnArtifact;
use spanwise_core::schedule::{Automation, Schedule};
use spanwise_core::trace::{TRACEPARENT, TRACESTATE};
use spanwise_core::trigger::{CATCH_UP_LABEL, CatchUp, FiringRules, OVERLAP_LABEL, Overlap, TriggerChange, TriggerId};
use spanwise_core::{RunName, Scope, Timestamp};
use spanwise_proto::flyteidl2::common::TriggerIdentifier;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::{
    FixedRateUnit, Inputs, NamedLiteral, RunSpec, TaskTrigger, TriggerAutomationSpec, TriggerAutomationSpecType,
    schedule, task_trigger_spec, trigger_automation_spec,
};
use spanwise_proto::flyteidl2::trigger::{
    Trigger, TriggerDetails, TriggerMetadata, TriggerRevision, TriggerRevisionAction, TriggerSpec, TriggerStatus,
    trigger_spec,
};
use spanwise_proto::{Message, hash};

use crate::details::local_identity;
use crate::options::SentOptions;
use crate::task::TaskDefinition;
use crate::{CustomContext, Invalid, Stored, TaskInputs, ids, shown, times};

mod new;
mod version;

pub use new::TriggerOfTask;
pub use version::run_of_version;
use version::waits_for;

/// The key of the context under which the SDK says which input is the time of the firing.
const KICKOFF: &str = "_u_kickoff_time_input_arg";

/// A trigger, as it was deployed.
#[derive(Clone, Debug)]
pub struct TriggerDefinition {
    /// The form that is stored.
    pub stored: Stored,
    /// What fires it.
    pub automation: Automation,
    /// True if it fires by itself as soon as it is deployed.
    pub active: bool,
    /// The version of the task that it starts; empty if none is named.
    pub task_version: String,
    /// The message, whose inputs are in it.
    message: TriggerDetails,
}

impl TriggerDefinition {
    /// The trigger that is deployed with a task of a version.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn of_task(trigger: TaskTrigger, task_version: &str) -> Result<TriggerDefinition, Invalid> {
        let spec = trigger.spec.into_option().ok_or(Invalid::Missing("triggers.spec"))?;
        let input_wrapper = spec.input_wrapper.map(|inputs| match inputs {
            task_trigger_spec::InputWrapper::Inputs(inputs) => trigger_spec::InputWrapper::Inputs(inputs),
            task_trigger_spec::InputWrapper::OffloadedInputData(data) => {
                trigger_spec::InputWrapper::OffloadedInputData(data)
            }
        });
        let spec = TriggerSpec {
            run_spec: spec.run_spec,
            active: spec.active,
            task_version: task_version.to_owned(),
            description: spec.description,
            input_wrapper,
            ..TriggerSpec::default()
        };
        TriggerDefinition::of(spec, trigger.automation_spec.into_option().unwrap_or_default())
    }

    /// The trigger that is deployed by itself.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn of(spec: TriggerSpec, automation: TriggerAutomationSpec) -> Result<TriggerDefinition, Invalid> {
        let message =
            TriggerDetails { spec: spec.into(), automation_spec: automation.into(), ..TriggerDetails::default() };
        TriggerDefinition::new(Stored::of(&message), message)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Invalid`] if it is none.
    pub fn read(body: Bytes) -> Result<TriggerDefinition, Invalid> {
        let message = TriggerDetails::decode_from_slice(&body)
            .map_err(|source| Invalid::Decode { what: "trigger definition", source })?;
        TriggerDefinition::new(Stored::from(body), message)
    }

    fn new(stored: Stored, message: TriggerDetails) -> Result<TriggerDefinition, Invalid> {
        Ok(TriggerDefinition {
            stored,
            automation: automation(&message.automation_spec)?,
            active: message.spec.active,
            task_version: message.spec.task_version.clone(),
            message,
        })
    }

    /// Where its inputs were uploaded, if they are not in it: they have to be put there before it is stored, as what is uploaded for
    /// nothing that is known does not stay.
    pub fn inputs_uri(&self) -> Option<&str> {
        match &self.message.spec.input_wrapper {
            Some(trigger_spec::InputWrapper::OffloadedInputData(data)) => Some(&data.uri),
            _ => None,
        }
    }

    /// The same with its inputs in it.
    #[must_use]
    pub fn with_inputs(mut self, mut inputs: TaskInputs) -> TriggerDefinition {
        let mut values = std::mem::take(inputs.values_mut());
        values.context = inputs.context.to_message();
        self.message.spec.get_or_insert_default().input_wrapper = Some(values.into());
        TriggerDefinition { stored: Stored::of(&self.message), ..self }
    }

    /// Its schedule; none if nothing but a request fires it.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong with it.
    pub fn schedule(&self, since: Timestamp) -> Result<Option<Schedule>, Invalid> {
        Schedule::new(&self.automation, since)
            .map_err(|error| Invalid::field(format!("automation_spec.schedule: {error}")))
    }

    /// How it deals with slots, where its labels do not say otherwise as the server does.
    ///
    /// # Errors
    /// [`Invalid`] names the label.
    pub fn rules(&self, of_server: FiringRules) -> Result<FiringRules, Invalid> {
        let labels = &self.message.spec.run_spec.labels.values;
        let label = |key: &str| labels.get(key).map(String::as_str);
        let wrong =
            |key: &str, error: &dyn std::fmt::Display| Invalid::field(format!("run_spec.labels.{key}: {error}"));
        Ok(FiringRules {
            catch_up: match label(CATCH_UP_LABEL).map(str::parse::<CatchUp>) {
                Some(choice) => choice.map_err(|error| wrong(CATCH_UP_LABEL, &error))?,
                None => of_server.catch_up,
            },
            overlap: match label(OVERLAP_LABEL).map(str::parse::<Overlap>) {
                Some(choice) => choice.map_err(|error| wrong(OVERLAP_LABEL, &error))?,
                None => of_server.overlap,
            },
        })
    }

    /// What a run of it is created with, if whoever starts it says nothing about it.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn options(&self, scope: &Scope) -> Result<SentOptions, Invalid> {
        SentOptions::of(&self.run_spec(), scope)
    }

    /// The same for a run that it starts, with what is left out of it ([`SentOptions::of_accepted`]): it may have been deployed before that was
    /// refused.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn options_of_run(&self, scope: &Scope) -> Result<(SentOptions, Option<String>), Invalid> {
        SentOptions::of_accepted(self.run_spec(), scope)
    }

    fn run_spec(&self) -> RunSpec {
        let mut spec = self.message.spec.run_spec.clone().into_option().unwrap_or_default();
        spec.task_spec_source = spanwise_proto::flyteidl2::task::TaskSpecSource::TASK_SPEC_SOURCE_DEPLOYED.into();
        spec
    }

    /// What is asked for and not honoured, one sentence each; a trace that all of its runs would share among it.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = crate::support::not_honoured(&*self.message.spec.run_spec);
        warnings.extend(self.shared_trace());
        warnings
    }

    /// What is said of a trace in its context.
    pub fn shared_trace(&self) -> Option<String> {
        let context = self.values().map(|inputs| inputs.context.as_slice()).unwrap_or_default();
        let carried = context.iter().any(|pair| [TRACEPARENT, TRACESTATE].contains(&pair.key.as_str()));
        carried.then(|| {
            "custom_context: `traceparent` and `tracestate` of a trigger are left out: each run that it fires has a trace of its own"
                .to_owned()
        })
    }

    fn values(&self) -> Option<&Inputs> {
        match &self.message.spec.input_wrapper {
            Some(trigger_spec::InputWrapper::Inputs(inputs)) => Some(inputs),
            _ => None,
        }
    }

    /// The inputs of its runs, without the trace that all of them would share.
    pub fn inputs(&self) -> TaskInputs {
        TaskInputs::from(self.own_values())
    }

    fn own_values(&self) -> Inputs {
        let mut inputs = self.values().cloned().unwrap_or_default();
        inputs.context.retain(|pair| ![TRACEPARENT, TRACESTATE].contains(&pair.key.as_str()));
        inputs
    }

    /// The inputs of a run with the time that it is for where the trigger wants it. What whoever starts it has given instead stays.
    ///
    /// The SDK's mark goes: with it the time would be another one in a run that repeats this one.
    #[must_use]
    pub fn at_time(&self, mut inputs: TaskInputs, at: Timestamp) -> TaskInputs {
        let marked = inputs.context.pairs().iter().find(|(key, _)| key == KICKOFF).map(|(_, name)| name.clone());
        let is_marked = marked.is_some();
        let Some(name) = marked.or_else(|| self.kickoff().map(str::to_owned)) else { return inputs };
        let unmarked = inputs.context.pairs().iter().filter(|(key, _)| key != KICKOFF).cloned();
        inputs.context = CustomContext::from_pairs(unmarked.collect::<Vec<_>>());
        let literals = &mut inputs.values_mut().literals;
        let value = Literal::datetime(at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000) * 1000);
        match literals.iter_mut().find(|literal| literal.name == name) {
            // The SDK puts the default of the parameter there.
            Some(literal) if is_marked => literal.value = value.into(),
            Some(_) => {}
            None => literals.push(NamedLiteral::new(&name, value)),
        }
        inputs
    }

    /// Whether a run of a task can be started with what is in the trigger.
    ///
    /// # Errors
    /// [`Invalid`] names the input that the task does not have, or that it misses.
    pub fn check_inputs(&self, task: &TaskDefinition) -> Result<(), Invalid> {
        let spec = task.message();
        let inputs: Vec<&str> =
            spec.task_template.interface.inputs.variables.iter().map(|variable| variable.key.as_str()).collect();
        let own = self.own_values();
        let marked = own.context.iter().find(|pair| pair.key == KICKOFF).map(|pair| pair.value.as_str());
        let time = marked.or_else(|| self.kickoff());
        let (of_version, of_partition) = self.artifact_inputs();
        let given = own.literals.iter().map(|literal| literal.name.as_str()).chain(time);
        let given: Vec<&str> = given.chain(of_version).chain(of_partition).collect();
        if let Some(unknown) = given.iter().find(|name| !inputs.contains(name)) {
            let text = format!("inputs: task `{}` has no input `{}`", shown(&task.name), shown(unknown));
            return Err(Invalid::field(text));
        }
        let has_default = |name: &&&str| spec.default_inputs.iter().any(|default| default.name == **name);
        let missing = inputs.iter().filter(|name| !given.contains(name)).find(|name| !has_default(name));
        missing.map_or(Ok(()), |name| {
            Err(Invalid::field(format!("inputs: `{}` of task `{}` is missing", shown(name), shown(&task.name))))
        })
    }

    /// The input that is the time of the slot, by its schedule.
    fn kickoff(&self) -> Option<&str> {
        match &self.message.automation_spec.automation {
            Some(trigger_automation_spec::Automation::Schedule(schedule)) => Some(&schedule.kickoff_time_input_arg),
            _ => None,
        }
        .map(String::as_str)
        .filter(|name| !name.is_empty())
    }

    /// What its author says about it.
    pub fn description(&self) -> &str {
        &self.message.spec.description
    }
}

/// What fires a trigger, in words.
pub fn described(automation: &Automation) -> String {
    match automation {
        Automation::OnDemand => "on demand".to_owned(),
        Automation::Cron { expression, zone } => {
            format!("{expression} ({})", if zone.is_empty() { "UTC" } else { zone.as_str() })
        }
        Automation::Rate { every, start } => {
            let minutes = every.as_secs() / 60;
            let unit = if minutes == 1 { "minute" } else { "minutes" };
            let from = start.map(|at| format!(" from {} on", spanwise_core::schedule::shown(at)));
            format!("every {minutes} {unit}{}", from.unwrap_or_default())
        }
        Automation::Artifact(OnArtifact { name, version, partition }) => {
            let version = version.as_ref().map(|version| format!("@{}", shown(version))).unwrap_or_default();
            let parts: Vec<String> = partition.iter().map(|(key, value)| shown(&format!("{key}={value}"))).collect();
            let parts = if parts.is_empty() { String::new() } else { format!(" [{}]", parts.join(", ")) };
            format!("on artifact {}{version}{parts}", shown(name))
        }
    }
}

/// The slots of a trigger from a time on, before another one; `since` is when it was deployed or activated. One more than `most`, if
/// there are more.
///
/// # Errors
/// [`Invalid`] if the trigger has no schedule, or one that is wrong.
pub fn slots(
    spec: &TriggerAutomationSpec,
    since: Timestamp,
    (from, to): (Timestamp, Timestamp),
    most: usize,
) -> Result<Vec<Timestamp>, Invalid> {
    let schedule = Schedule::new(&automation(spec)?, since)
        .map_err(|error| Invalid::field(format!("automation_spec.schedule: {error}")))?;
    let schedule = schedule.ok_or_else(|| Invalid::field("it has no schedule: nothing but a request fires it"))?;
    // A moment before the first and before the last.
    let (after, until) = (Timestamp(from.0.saturating_sub(1)), Timestamp(to.0.saturating_sub(1)));
    Ok(schedule.between(after, until).take(most.saturating_add(1)).collect())
}

/// What fires a trigger, as its message says it.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn automation(spec: &TriggerAutomationSpec) -> Result<Automation, Invalid> {
    match spec.r#type.as_known() {
        Some(TriggerAutomationSpecType::TYPE_ARTIFACT) => return waits_for(spec),
        None => return Err(Invalid::field(format!("automation_spec.type: {} is not known", spec.r#type.to_i32()))),
        Some(_) => {}
    }
    let Some(trigger_automation_spec::Automation::Schedule(schedule)) = &spec.automation else {
        if spec.r#type.as_known() == Some(TriggerAutomationSpecType::TYPE_SCHEDULE) {
            return Err(Invalid::Missing("automation_spec.schedule"));
        }
        return Ok(Automation::OnDemand);
    };
    match &schedule.expression {
        Some(schedule::Expression::Cron(cron)) => {
            Ok(Automation::Cron { expression: cron.expression.clone(), zone: cron.timezone.clone() })
        }
        Some(schedule::Expression::CronExpression(expression)) => {
            Ok(Automation::Cron { expression: expression.clone(), zone: String::new() })
        }
        Some(schedule::Expression::Rate(rate)) => {
            let unit = match rate.unit.as_known() {
                Some(FixedRateUnit::FIXED_RATE_UNIT_MINUTE) => 60,
                Some(FixedRateUnit::FIXED_RATE_UNIT_HOUR) => 3600,
                Some(FixedRateUnit::FIXED_RATE_UNIT_DAY) => 24 * 3600,
                _ => {
                    return Err(Invalid::field(
                        "automation_spec.schedule.rate.unit: it is none of minute, hour and day",
                    ));
                }
            };
            if rate.value == 0 {
                return Err(Invalid::field("automation_spec.schedule.rate.value: 0 is no rate, 1 is the least"));
            }
            let start = rate.start_time.as_option().map(times::from_timestamp);
            Ok(Automation::Rate { every: Duration::from_secs(u64::from(rate.value) * unit), start })
        }
        None => Err(Invalid::Missing("automation_spec.schedule.expression")),
    }
}

/// The name of the run that a slot of a trigger is: Flyte's, so that a slot is one run whoever fires it.
///
/// # Errors
/// None for any slot: the name is a letter and at most 16 digits.
pub fn run_of_slot(id: &TriggerId, slot: Timestamp) -> Result<RunName, Invalid> {
    let name = hash::slot_name(&id.scope.project, &id.scope.domain, &id.task, &id.name, slot.0.div_euclid(1_000_000));
    Ok(RunName::new(&name)?)
}

/// A revision of a trigger with everything that showing it needs.
#[derive(Clone, Debug)]
pub struct ShownTrigger<'a> {
    /// The trigger.
    pub id: &'a TriggerId,
    /// The number of the revision.
    pub revision: u64,
    /// What made it.
    pub change: TriggerChange,
    /// True if it fires by itself.
    pub active: bool,
    /// When the revision was made.
    pub changed_at: Timestamp,
    /// From when on its slots are its own.
    pub since: Timestamp,
    /// When the trigger was deployed last.
    pub deployed_at: Timestamp,
    /// When it has fired last, if it has.
    pub triggered_at: Option<Timestamp>,
    /// What it is made from.
    pub definition: &'a TriggerDefinition,
}

impl ShownTrigger<'_> {
    fn identifier(&self) -> TriggerIdentifier {
        let (name, revision) = (ids::to_trigger_name(self.id).into(), self.revision);
        TriggerIdentifier { name, revision, ..TriggerIdentifier::default() }
    }

    fn metadata(&self) -> TriggerMetadata {
        let by = local_identity();
        TriggerMetadata { deployed_by: by.clone().into(), updated_by: by.into(), ..TriggerMetadata::default() }
    }

    fn status(&self) -> TriggerStatus {
        let deleted = (self.change == TriggerChange::Deleted).then_some(self.changed_at);
        TriggerStatus {
            deployed_at: times::timestamp(self.deployed_at).into(),
            // As Flyte has it: a deployment that changes nothing about when it fires does not move it.
            updated_at: times::timestamp(self.since).into(),
            triggered_at: self.triggered_at.map(times::timestamp).into(),
            deleted_at: deleted.map(times::timestamp).into(),
            ..TriggerStatus::default()
        }
    }

    /// All about it.
    pub fn details(&self) -> TriggerDetails {
        let mut spec = self.definition.message.spec.clone().into_option().unwrap_or_default();
        spec.active = self.active;
        spec.input_wrapper = spec.input_wrapper.map(|_| self.definition.own_values().into());
        TriggerDetails {
            id: self.identifier().into(),
            metadata: self.metadata().into(),
            description: Some(spec.description.clone()).filter(|text| !text.is_empty()),
            spec: spec.into(),
            status: self.status().into(),
            automation_spec: self.definition.message.automation_spec.clone(),
            ..TriggerDetails::default()
        }
    }

    /// It as lists show it.
    pub fn listed(&self) -> Trigger {
        Trigger {
            id: self.identifier().into(),
            metadata: self.metadata().into(),
            status: self.status().into(),
            active: self.active,
            automation_spec: self.definition.message.automation_spec.clone(),
            ..Trigger::default()
        }
    }

    /// It as a part of its history.
    pub fn revision(&self) -> TriggerRevision {
        let action = match self.change {
            TriggerChange::Deployed => TriggerRevisionAction::TRIGGER_REVISION_ACTION_DEPLOY,
            TriggerChange::Activated => TriggerRevisionAction::TRIGGER_REVISION_ACTION_ACTIVATE,
            TriggerChange::Deactivated => TriggerRevisionAction::TRIGGER_REVISION_ACTION_DEACTIVATE,
            TriggerChange::Deleted => TriggerRevisionAction::TRIGGER_REVISION_ACTION_DELETE,
        };
        TriggerRevision {
            id: self.identifier().into(),
            metadata: self.metadata().into(),
            status: self.status().into(),
            action: action.into(),
            created_at: times::timestamp(self.changed_at).into(),
            ..TriggerRevision::default()
        }
    }
}

/// What is said where a trigger is not there.
pub fn not_there(id: &TriggerId) -> String {
    format!(
        "trigger `{}` of task `{}` is not deployed in project `{}`, domain `{}`",
        shown(&id.name),
        shown(&id.task),
        id.scope.project,
        id.scope.domain
    )
}

#[cfg(test)]
#[path = "trigger/tests.rs"]
mod tests;
