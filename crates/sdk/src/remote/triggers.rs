//! The triggers of tasks that are deployed: looked at here, before anything of a deployment is sent.

use std::fmt::Display;

use spanwise_core::trigger::FiringRules;
use spanwise_core::{Scope, Timestamp};
use spanwise_proto::flyteidl2::core::LiteralType;
use spanwise_proto::flyteidl2::task::{TaskSpec, TaskTrigger};
use spanwise_wire::task::TaskDefinition;
use spanwise_wire::trigger::{TriggerDefinition, TriggerOfTask};
use spanwise_wire::{task, title};

use super::reference::check_type;
use crate::error::{Error, Result};
use crate::task::AnyTask;
use crate::trigger::Trigger;

/// The triggers of a task with this definition.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) names the trigger that makes no sense, and what of it.
pub(super) fn of_task(task: &dyn AnyTask, definition: &TaskSpec, scope: &Scope) -> Result<Vec<TaskTrigger>> {
    let triggers = task.triggers();
    let mut messages: Vec<TaskTrigger> = Vec::with_capacity(triggers.len());
    for trigger in triggers {
        let refused = |why: &dyn Display| {
            let name = task.described().name.as_str();
            Error::usage(format!("triggers: `{}` of task `{name}`: {why}", trigger.name))
        };
        if trigger.name.is_empty() {
            return Err(refused(&"it has no name: `.name(\"daily\")`"));
        }
        if messages.iter().any(|other| other.name == trigger.name) {
            return Err(refused(&"another trigger of the task has this name"));
        }
        title("name", &trigger.name).map_err(|error| refused(&error))?;
        messages.push(message(&trigger, definition, scope).map_err(|why| refused(&why))?);
    }
    Ok(messages)
}

fn message(trigger: &Trigger, definition: &TaskSpec, scope: &Scope) -> Result<TaskTrigger, String> {
    let text = |error: &dyn Display| error.to_string();
    if let Some(misfit) = trigger.misfit {
        return Err(misfit.to_owned());
    }
    let interface = task::interface(definition);
    let variable = |name: &str| interface.inputs.variables.iter().find(|variable| variable.key == name);
    let mut inputs = Vec::with_capacity(trigger.inputs.len());
    for (kind, literal) in &trigger.inputs {
        let literal = literal.clone().map_err(|error| text(&error))?;
        // One that the task does not have is refused below.
        if let Some(variable) = variable(&literal.name) {
            check_type(&literal.name, kind, &variable.value.r#type).map_err(|error| text(&error))?;
        }
        inputs.push(literal);
    }
    if let Some(variable) = variable(&trigger.time_input) {
        let time = LiteralType::datetime();
        check_type(&trigger.time_input, &time, &variable.value.r#type).map_err(|error| text(&error))?;
    }
    let message = TriggerOfTask {
        name: &trigger.name,
        description: &trigger.description,
        automation: trigger.automation.as_ref().map_err(|error| text(error))?,
        active: trigger.active,
        inputs,
        time_input: &trigger.time_input,
        context: &trigger.context,
        options: &trigger.options,
    };
    let message = message.into_message().map_err(|error| text(&error))?;
    let check = || {
        let task = TaskDefinition::of(definition.clone())?;
        let read = TriggerDefinition::of_task(message.clone(), &task.version)?;
        read.schedule(Timestamp(0))?;
        read.options(scope)?;
        read.rules(FiringRules::default())?;
        read.check_inputs(&task)
    };
    check().map_err(|error| text(&error))?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use spanwise_core::settings::TaskSettings;
    use spanwise_proto::flyteidl2::core::TypedInterface;
    use spanwise_wire::task::NewTask;

    use super::*;
    use crate::trigger::{cron, every, on_demand};

    fn sent(trigger: Trigger) -> Result<TaskTrigger, String> {
        let scope = Scope { org: String::new(), project: "p".to_owned(), domain: "d".to_owned() };
        let inputs = [("at", LiteralType::datetime()), ("factor", LiteralType::integer())];
        let definition = NewTask {
            scope: &scope,
            name: "e.f",
            version: "v1",
            function: "f",
            environment: "e",
            image: String::new(),
            arguments: Vec::new(),
            interface: TypedInterface::new(inputs, [] as [(&str, LiteralType); 0]),
            docs: "",
            retry: &Default::default(),
            timeouts: &Default::default(),
            settings: &TaskSettings::default(),
            cache_version: None,
        };
        message(&trigger.name("one"), &definition.into_spec(), &scope)
    }

    #[test]
    fn s11_10_a_trigger_that_makes_no_sense_is_refused_with_what_of_it() {
        let given = |trigger: Trigger| trigger.input("factor", 1_i64).time_input("at");
        for good in [cron("0 9 * * *").tz("Europe/Berlin"), cron("@daily"), every("90m").starting_at(UNIX_EPOCH)] {
            let name = sent(given(good)).unwrap().name;
            assert_eq!(name, "one");
        }
        assert!(sent(on_demand().input("factor", 1_i64).input("at", UNIX_EPOCH)).is_ok());
        for (wrong, said) in [
            (given(cron("61 * * * *")), "cron expression `61 * * * *`"),
            (given(cron("0 9 * * *").tz("Europe/Nowhere")), "`Europe/Nowhere` is no time zone"),
            (given(every("soon")), "`soon` is no duration"),
            (given(every("90s")), "every: 90s are no whole minutes"),
            (given(every("1h").tz("UTC")), "tz: only a cron expression"),
            (given(cron("@daily").starting_at(UNIX_EPOCH)), "starting_at: only `every`"),
            (given(on_demand()), "inputs: `at` cannot be the time of a slot"),
            (cron("@daily").time_input("at"), "`factor` of task `e.f` is missing"),
            (given(cron("@daily")).input("other", 1_i64), "has no input `other`"),
            (cron("@daily").time_input("at").input("factor", "x".to_owned()), "`factor`: the task takes"),
            (cron("@daily").time_input("factor").input("at", UNIX_EPOCH), "`factor`: the task takes"),
            (given(cron("@daily").label("spanwise.overlap", "no")), "run_spec.labels.spanwise.overlap"),
        ] {
            let why = sent(wrong).unwrap_err();
            assert!(why.contains(said), "{said}: {why}");
        }
    }
}
