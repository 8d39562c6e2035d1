//! Triggers: what starts runs of a deployed task, by a schedule or by its name (semantics S11).

use std::time::{SystemTime, UNIX_EPOCH};

use spanwise_core::schedule::{Automation, BadSchedule, interval};
use spanwise_core::{RunOptions, Timestamp};
use spanwise_proto::flyteidl2::core::LiteralType;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_wire::CustomContext;

use crate::value::{Value, ValueError};

/// Fires at the times of day that a cron expression names, in UTC unless there is a zone: `cron("0 9 * * *").tz("Europe/Berlin")`.
pub fn cron(expression: impl Into<String>) -> Trigger {
    Trigger::new(Ok(Automation::Cron { expression: expression.into(), zone: String::new() }))
}

/// Fires every so often, in whole minutes: `every("90m")`, `every("24h")`. It counts from when it is deployed, unless it has a start.
pub fn every(length: &str) -> Trigger {
    Trigger::new(interval(length).map(|every| Automation::Rate { every, start: None }))
}

/// Fires when somebody asks for it by its name, and by nothing else.
pub fn on_demand() -> Trigger {
    Trigger::new(Ok(Automation::OnDemand))
}

/// What starts runs of a task (Flyte: `flyte.Trigger`). [`deploy`](crate::deploy) deploys it with its task; where there is no server, nothing
/// fires it. What makes no sense is refused then, by the name of the trigger.
#[derive(Clone, Debug)]
#[must_use = "a trigger belongs to a task: `#[task(triggers = [..])]`"]
pub struct Trigger {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) automation: Result<Automation, BadSchedule>,
    pub(crate) active: bool,
    pub(crate) inputs: Vec<(LiteralType, Result<NamedLiteral, ValueError>)>,
    pub(crate) time_input: String,
    pub(crate) context: CustomContext,
    pub(crate) options: RunOptions,
    /// What was said of it that its kind does not have.
    pub(crate) misfit: Option<&'static str>,
}

impl Trigger {
    fn new(automation: Result<Automation, BadSchedule>) -> Trigger {
        Trigger {
            name: String::new(),
            description: String::new(),
            automation,
            active: true,
            inputs: Vec::new(),
            time_input: String::new(),
            context: CustomContext::new(),
            options: RunOptions::default(),
            misfit: None,
        }
    }

    /// Its name, which every trigger needs and no other of the task has.
    pub fn name(mut self, name: impl Into<String>) -> Trigger {
        self.name = name.into();
        self
    }

    /// The zone of a cron expression, by its name in the IANA database.
    pub fn tz(mut self, name: impl Into<String>) -> Trigger {
        match &mut self.automation {
            Ok(Automation::Cron { zone, .. }) => *zone = name.into(),
            _ => self.misfit = Some("tz: only a cron expression has a time zone"),
        }
        self
    }

    /// The first moment of an interval.
    pub fn starting_at(mut self, moment: impl Into<SystemTime>) -> Trigger {
        let since = moment.into().duration_since(UNIX_EPOCH).unwrap_or_default();
        let moment = Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        match &mut self.automation {
            Ok(Automation::Rate { start, .. }) => *start = Some(moment),
            _ => self.misfit = Some("starting_at: only `every` has a start"),
        }
        self
    }

    /// What is said about it.
    pub fn description(mut self, description: impl Into<String>) -> Trigger {
        self.description = description.into();
        self
    }

    /// Is deployed paused.
    pub fn paused(mut self) -> Trigger {
        self.active = false;
        self
    }

    /// Gives an input of the task to its runs.
    pub fn input<T: Value>(mut self, name: impl Into<String>, value: T) -> Trigger {
        let name = name.into();
        let literal = value.to_literal().map_err(|error| error.at(&name));
        let literal = literal.map(|literal| NamedLiteral::new(name.clone(), literal));
        self.inputs.push((T::literal_type(), literal));
        self
    }

    /// Gives the time that a run is for as this input, which is a time (Flyte: `flyte.TriggerTime`).
    pub fn time_input(mut self, name: impl Into<String>) -> Trigger {
        self.time_input = name.into();
        self
    }

    /// The custom context of its runs.
    pub fn custom_context(mut self, context: impl Into<CustomContext>) -> Trigger {
        self.context = context.into();
        self
    }

    /// A label of its runs. `spanwise.catch_up` and `spanwise.overlap` say what becomes of slots that were missed, and of those that overlap.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Trigger {
        self.options.labels.insert(key.into(), value.into());
        self
    }

    /// A variable of the processes of its runs.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Trigger {
        self.options.env.insert(name.into(), value.into());
        self
    }

    /// The queue of its runs.
    pub fn queue(mut self, queue: impl Into<String>) -> Trigger {
        self.options.queue = Some(queue.into());
        self
    }

    /// How many actions of one of its runs may run at one time.
    pub fn max_action_concurrency(mut self, limit: u32) -> Trigger {
        self.options.max_action_concurrency = Some(limit);
        self
    }
}
