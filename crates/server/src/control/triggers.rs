//! Triggers: deployed in revisions, activated, deactivated, deleted, and fired.

use std::time::{SystemTime, UNIX_EPOCH};

use spanwise_core::Timestamp;
use spanwise_core::lifecycle::Lifecycle;
use spanwise_core::trace::TraceParent;
use spanwise_core::trigger::{Firing, FiringRules, TriggerChange, TriggerId};
use spanwise_core::{Phase, RunName};
use spanwise_engine::{RunHandle, RunQuery, RunRow, RunSettings, TriggerQuery, TriggerRow};
use spanwise_wire::ids::TaskKey;
use spanwise_wire::options::SentOptions;
use spanwise_wire::trigger::{TriggerDefinition, not_there, run_of_slot};
use spanwise_wire::{Invalid, TaskInputs};

use super::{ControlPlane, Error, NewRun};
use crate::definitions::to_store;

/// How often a change is tried again that somebody else was quicker with.
const TRIES: usize = 8;

/// How far back the firing before is looked for, past those that were asked for.
const FIRINGS_LOOKED_AT: usize = 8;

/// The phases of a run that goes on.
const LIVE: [Phase; 5] =
    [Phase::Queued, Phase::WaitingForResources, Phase::Initializing, Phase::Running, Phase::Paused];

/// The time by the clock of the machine: schedules are about that one, however it jumps, and the engine's never does.
pub(crate) fn wall_clock() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// A trigger that somebody deploys.
pub(crate) struct NewTrigger {
    pub(crate) id: TriggerId,
    pub(crate) definition: TriggerDefinition,
    /// The revision that it is to follow; none: whichever there is.
    pub(crate) follows: Option<u64>,
    /// The span of who deploys it.
    pub(crate) deployed_by: Option<TraceParent>,
}

/// How a trigger is fired.
#[derive(Default)]
pub(crate) struct Fire {
    /// The slot; none if it is fired because somebody asks for it.
    pub(crate) slot: Option<Timestamp>,
    /// The name of the run; none: that of the slot, or one that the server makes.
    pub(crate) name: Option<RunName>,
    /// None: the trigger's own.
    pub(crate) inputs: Option<TaskInputs>,
    /// None: the trigger's own.
    pub(crate) options: Option<SentOptions>,
    /// The trace of the caller, from the request's header.
    pub(crate) caller_trace: Option<String>,
}

impl ControlPlane {
    /// Looks at a trigger before anything is changed for it, and puts its inputs into it. What is not honoured is refused by a strict
    /// server.
    pub(crate) async fn checked_trigger(&self, new: NewTrigger) -> Result<NewTrigger, Error> {
        let NewTrigger { id, mut definition, .. } = new;
        let of_trigger = |error: Error| match error {
            Error::Invalid(error) => Invalid::field(format!("trigger `{}`: {error}", id.name)).into(),
            other => other,
        };
        if let Some(uri) = definition.inputs_uri() {
            let inputs = self.read_offloaded("spec.offloaded_input_data.uri", uri).await.map_err(of_trigger)?;
            definition = definition.with_inputs(TaskInputs::read(&inputs)?);
        }
        let check = || {
            definition.schedule(wall_clock())?;
            definition.rules(self.inner.firing)?;
            definition.options(&id.scope)?;
            definition.inputs().context.check().map_err(Invalid::from)?;
            match definition.warnings() {
                warnings if self.inner.strict && !warnings.is_empty() => Err(Invalid::field(warnings.join("; "))),
                _ => Ok(()),
            }
        };
        check().map_err(Error::from).map_err(of_trigger)?;
        Ok(NewTrigger { definition, id, ..new })
    }

    /// Deploys a trigger that was looked at, as the next revision of its name.
    pub(crate) fn deploy_trigger(&self, new: &NewTrigger) -> Result<TriggerRow, Error> {
        let NewTrigger { id, definition, follows, deployed_by } = new;
        for warning in definition.warnings() {
            tracing::warn!(trigger = %id, warning);
        }
        for _ in 0..TRIES {
            let current = self.trigger_revisions(id, 0, 1)?.into_iter().next();
            let last = current.as_ref().map_or(0, |row| row.revision);
            if follows.is_some_and(|follows| follows != last) {
                let text = format!("revision: trigger `{id}` has revision {last} and not {}", follows.unwrap_or(0));
                return Err(Error::Unmet(text));
            }
            let now = wall_clock();
            let row = TriggerRow {
                id: id.clone(),
                revision: last + 1,
                change: TriggerChange::Deployed,
                active: definition.active,
                changed_at: now,
                deployed_at: now,
                deployed_by: *deployed_by,
                task_version: definition.task_version.clone(),
                definition: definition.stored.digest.clone(),
                settled: current.and_then(|row| row.settled),
            };
            if self.inner.engine.put_trigger(&row, Some(&to_store(definition.stored.clone())))? {
                self.inner.timer.notify_one();
                return Ok(row);
            }
        }
        Err(Error::Unmet(format!("trigger `{id}` is changed by others at this moment: try again")))
    }

    /// The triggers that a deployment of a task left out when it was broken off: of a version that is there already, only those that
    /// were never deployed with it. So a trigger that was paused or deleted since then stays so.
    pub(crate) fn complete_triggers(&self, triggers: &[NewTrigger]) -> Result<(), Error> {
        for new in triggers {
            let revisions = self.trigger_revisions(&new.id, 0, usize::MAX)?;
            if revisions.iter().all(|row| row.task_version != new.definition.task_version) {
                self.deploy_trigger(new)?;
            }
        }
        Ok(())
    }

    /// How a trigger deals with its slots.
    pub(crate) fn firing_rules(&self, definition: &TriggerDefinition) -> FiringRules {
        definition.rules(self.inner.firing).unwrap_or(self.inner.firing)
    }

    /// The triggers that a query asks for.
    pub(crate) fn triggers(&self, query: &TriggerQuery) -> Result<Vec<TriggerRow>, Error> {
        Ok(self.inner.engine.triggers(query)?)
    }

    /// The revisions of a trigger, the newest first.
    pub(crate) fn trigger_revisions(
        &self,
        id: &TriggerId,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<TriggerRow>, Error> {
        Ok(self.inner.engine.trigger_revisions(id, offset, limit)?)
    }

    /// A trigger in the revision that counts.
    pub(crate) fn trigger(&self, id: &TriggerId) -> Result<TriggerRow, Error> {
        let current = self.trigger_revisions(id, 0, 1)?.into_iter().next();
        current.filter(|row| row.change != TriggerChange::Deleted).ok_or_else(|| Error::NotFound(not_there(id)))
    }

    /// What a trigger was deployed with.
    pub(crate) fn trigger_definition(&self, row: &TriggerRow) -> Result<TriggerDefinition, Error> {
        let body = self.inner.engine.definition(&row.definition)?;
        let body = body.ok_or_else(|| Error::NotFound(format!("the definition of trigger `{}`", row.id)))?;
        Ok(TriggerDefinition::read(body)?)
    }

    /// Activates, deactivates or deletes triggers: all of them, or none if one is not there. One that is as it is wanted stays as it is.
    pub(crate) fn change_triggers(&self, ids: &[TriggerId], change: TriggerChange) -> Result<(), Error> {
        for id in ids {
            self.trigger(id)?;
        }
        ids.iter().try_for_each(|id| self.change_trigger(id, change))
    }

    fn change_trigger(&self, id: &TriggerId, change: TriggerChange) -> Result<(), Error> {
        for _ in 0..TRIES {
            let current = self.trigger(id)?;
            let active = change == TriggerChange::Activated;
            if change != TriggerChange::Deleted && current.active == active {
                return Ok(());
            }
            let revision = current.revision + 1;
            let row = TriggerRow { revision, change, active, changed_at: wall_clock(), ..current };
            if self.inner.engine.put_trigger(&row, None)? {
                self.inner.timer.notify_one();
                return Ok(());
            }
        }
        Err(Error::Unmet(format!("trigger `{id}` is changed by others at this moment: try again")))
    }

    /// Starts a run of a trigger. One that has been started for the same slot is [`spanwise_engine::Error::AlreadyExists`].
    pub(crate) async fn fire(&self, row: &TriggerRow, fire: Fire) -> Result<RunHandle, Error> {
        let definition = self.trigger_definition(row)?;
        let scope = row.id.scope.clone();
        let key = TaskKey { scope: scope.clone(), name: row.id.task.clone(), version: row.task_version.clone() };
        let task = self.deployed(&key)?;
        let mut inputs = fire.inputs.unwrap_or_else(|| definition.inputs());
        if let Some(slot) = fire.slot {
            inputs = definition.at_slot(inputs, slot);
        }
        let firing = Firing {
            trigger: row.id.name.clone(),
            revision: row.revision,
            scheduled_at: fire.slot,
            late_ms: fire.slot.map(|slot| u64::try_from(wall_clock().since(slot).as_millis()).unwrap_or(u64::MAX)),
            deployed_by: row.deployed_by,
            previous: self.firing_before(&row.id)?,
        };
        let of_slot = fire.slot.map(|slot| run_of_slot(&row.id, slot)).transpose()?;
        let new = NewRun {
            scope: scope.clone(),
            name: fire.name.or(of_slot),
            task,
            inputs,
            options: match fire.options {
                Some(options) => options,
                None => definition.options(&scope)?,
            },
            caller_trace: fire.caller_trace,
            version: Some(row.task_version.clone()),
            notes: definition.shared_trace().into_iter().collect(),
            firing: Some(firing),
        };
        self.create_run(new).await
    }

    /// The runs that a trigger has fired, the newest first.
    pub(crate) fn fired(&self, id: &TriggerId, limit: usize) -> Result<Vec<RunRow>, Error> {
        let query = RunQuery {
            task: Some(id.task.clone()),
            fired_by: Some(id.name.clone()),
            ..RunQuery::newest(limit).within(id.scope.clone())
        };
        Ok(self.runs(&query)?.into_iter().map(|(_, row)| row).collect())
    }

    /// True while a run of a trigger goes on.
    pub(crate) fn is_running(&self, id: &TriggerId) -> Result<bool, Error> {
        let query = RunQuery {
            task: Some(id.task.clone()),
            fired_by: Some(id.name.clone()),
            phases: LIVE.into(),
            ..RunQuery::newest(1).within(id.scope.clone())
        };
        Ok(!self.runs(&query)?.is_empty())
    }

    /// The span of the run that the last slot was, if that is traced. It has its run's own trace, as nobody's request is in it.
    fn firing_before(&self, id: &TriggerId) -> Result<Option<TraceParent>, Error> {
        for row in self.fired(id, FIRINGS_LOOKED_AT)? {
            let settings = RunSettings::of(&row);
            if settings.firing.is_some_and(|firing| firing.scheduled_at.is_some()) {
                return Ok(settings.trace.is_exported().then(|| Lifecycle::run_span(&row.id, None)));
            }
        }
        Ok(None)
    }
}
