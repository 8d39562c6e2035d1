//! Triggers: deployed in revisions, activated, deactivated, deleted, and fired.

use spanwise_core::Timestamp;
use spanwise_core::lifecycle::Lifecycle;
use spanwise_core::trace::TraceParent;
use spanwise_core::trigger::{Firing, FiringRules, FiringVersion, TriggerChange, TriggerId};
use spanwise_core::{RunName, schedule};
use spanwise_engine::{ArtifactRow, RunHandle, RunQuery, RunRow, RunSettings, TriggerQuery, TriggerRow};
use spanwise_wire::ids::TaskKey;
use spanwise_wire::options::SentOptions;
use spanwise_wire::task::TaskDefinition;
use spanwise_wire::trigger::{TriggerDefinition, not_there, run_of_slot, run_of_version};
use spanwise_wire::{Invalid, TaskInputs};

use super::clock::wall_clock;
use super::{ControlPlane, Error, NewRun, version};
use crate::definitions::to_store;
use crate::queues;

/// How often a change is tried again that somebody else was quicker with.
const TRIES: usize = 8;

/// How far back the firing before is looked for: past those that were asked for, and those of a backfill.
const FIRINGS_LOOKED_AT: usize = 64;

/// Runs under way of one trigger that are looked at for one that can be read.
const LIVE_LOOKED_AT: usize = 16;

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
    /// The slot; none if something else fires it.
    pub(crate) slot: Option<Timestamp>,
    /// The version of an artifact that fires it; none if something else does.
    pub(crate) version: Option<ArtifactRow>,
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
    pub(crate) async fn checked_trigger(&self, new: NewTrigger, task: &TaskDefinition) -> Result<NewTrigger, Error> {
        let NewTrigger { id, mut definition, .. } = new;
        let of_trigger = |error: Error| match error {
            Error::Invalid(error) => Invalid::field(format!("trigger `{}`: {error}", id.name)).into(),
            Error::Engine(error @ spanwise_engine::Error::ConcurrencyOfOne) => {
                Invalid::field(format!("trigger `{}`: {error}", id.name)).into()
            }
            other => other,
        };
        if let Some(uri) = definition.inputs_uri() {
            let inputs = self.read_offloaded("spec.offloaded_input_data.uri", uri).await.map_err(of_trigger)?;
            definition = definition.with_inputs(TaskInputs::read(&inputs)?);
        }
        let check = || {
            definition.schedule(wall_clock())?;
            definition.rules(self.inner.firing)?;
            definition.check_inputs(task)?;
            definition.inputs().context.check().map_err(Invalid::from)?;
            let options = definition.options(&id.scope)?;
            self.check_options(&id.scope, &options.options)?;
            let notified = self.inner.courier.receivers(&options.rules)?;
            let warnings = definition.warnings().into_iter().chain(task.not_honoured()).chain(notified.not_honoured);
            let no_queue = queues::not_there(&self.inner.engine, options.options.queue.as_deref());
            if let Some(warning) = &no_queue {
                tracing::warn!(trigger = %id, warning);
            }
            let warnings: Vec<String> = warnings.chain(no_queue).collect();
            match self.inner.strict && !warnings.is_empty() {
                true => Err(Error::from(Invalid::field(warnings.join("; ")))),
                false => Ok(()),
            }
        };
        check().map_err(of_trigger)?;
        Ok(NewTrigger { definition, id, ..new })
    }

    /// Deploys a trigger that was looked at, as the next revision of its name. Where nothing changes about when it fires, its slots go on
    /// as they were; a paused one may stay so.
    pub(crate) fn deploy_trigger(&self, new: &NewTrigger, stays_paused: bool) -> Result<TriggerRow, Error> {
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
            let there = current.as_ref().filter(|row| row.change != TriggerChange::Deleted);
            let active = definition.active && (!stays_paused || there.is_none_or(|row| row.active));
            let goes_on = there.filter(|row| row.active && active && self.fires_as(row, definition));
            let row = TriggerRow {
                id: id.clone(),
                revision: last + 1,
                change: TriggerChange::Deployed,
                active,
                changed_at: now,
                since: goes_on.map_or(now, |row| row.since.min(now)),
                deployed_at: now,
                deployed_by: *deployed_by,
                task_version: definition.task_version.clone(),
                definition: definition.stored.digest.clone(),
                settled: current.as_ref().and_then(|row| row.settled),
                after_artifact: match goes_on {
                    Some(row) => row.after_artifact,
                    None => self.inner.engine.newest_artifact()?,
                },
            };
            if self.inner.engine.put_trigger(&row, Some(&to_store(definition.stored.clone())))? {
                self.inner.timer.wake.notify_one();
                return Ok(row);
            }
        }
        Err(Error::Unmet(format!("trigger `{id}` is changed by others at this moment: try again")))
    }

    /// True if a trigger as it is fires at the same times as one that takes its place.
    fn fires_as(&self, row: &TriggerRow, other: &TriggerDefinition) -> bool {
        self.trigger_definition(row).is_ok_and(|definition| definition.automation == other.automation)
    }

    /// Deploys the triggers of a new version of a task, and deletes those that it does not have any more, as Flyte does: if it has any.
    /// What is to be said of those that stay.
    pub(crate) fn deploy_triggers(&self, key: &TaskKey, triggers: &[NewTrigger]) -> Result<Vec<String>, Error> {
        for new in triggers {
            self.deploy_trigger(new, false)?;
        }
        self.detach_others(key, triggers)
    }

    /// Makes the triggers of a task those of a version that was deployed before: what a deployment that was broken off has left out, or
    /// another version has changed since. One that was paused or deleted by hand stays so. What is to be said of those that differ.
    pub(crate) fn redeploy_triggers(&self, key: &TaskKey, triggers: &[NewTrigger]) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        for new in triggers {
            let current = self.trigger_revisions(&new.id, 0, 1)?.into_iter().next();
            match current {
                Some(row) if row.task_version == key.version => {
                    if row.change != TriggerChange::Deleted && row.definition != new.definition.stored.digest {
                        let version = &key.version;
                        warnings.push(format!(
                            "trigger `{}` is deployed in version `{version}` with other content, which it keeps: deploy under another version",
                            new.id.name
                        ));
                    }
                }
                _ => drop(self.deploy_trigger(new, true)?),
            }
        }
        warnings.extend(self.detach_others(key, triggers)?);
        Ok(warnings)
    }

    /// Deletes the triggers of a task that start another version of it and are not among these; without any they stay, which is said.
    fn detach_others(&self, key: &TaskKey, triggers: &[NewTrigger]) -> Result<Vec<String>, Error> {
        let (scope, task) = (Some(key.scope.clone()), Some(key.name.clone()));
        let query = TriggerQuery { scope, task, limit: usize::MAX, ..TriggerQuery::default() };
        let mut others = self.triggers(&query)?;
        others.retain(|row| row.task_version != key.version && triggers.iter().all(|new| new.id != row.id));
        if triggers.is_empty() {
            let stays = |row: &TriggerRow| {
                format!(
                    "trigger `{}` stays, and starts version `{}` of the task: delete it if it is not wanted",
                    row.id.name, row.task_version
                )
            };
            return Ok(others.iter().map(stays).collect());
        }
        for row in others {
            tracing::warn!(trigger = %row.id, version = key.version, "a version of its task does not have the trigger any more: it is deleted");
            // Of this version: should the one before come again, so does its trigger.
            self.change_trigger(&row.id, TriggerChange::Deleted, Some(&key.version))?;
        }
        Ok(Vec::new())
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
        ids.iter().try_for_each(|id| self.change_trigger(id, change, None))
    }

    /// `version` is that of the task whose deployment asks for it.
    fn change_trigger(&self, id: &TriggerId, change: TriggerChange, version: Option<&str>) -> Result<(), Error> {
        for _ in 0..TRIES {
            let current = self.trigger(id)?;
            let active = change == TriggerChange::Activated;
            if change != TriggerChange::Deleted && current.active == active {
                return Ok(());
            }
            let revision = current.revision + 1;
            let (now, of_task) = (wall_clock(), current.task_version.clone());
            let task_version = version.map_or(of_task, str::to_owned);
            let after_artifact = self.inner.engine.newest_artifact()?;
            let row = TriggerRow {
                revision,
                change,
                active,
                changed_at: now,
                since: now,
                after_artifact,
                task_version,
                ..current
            };
            if self.inner.engine.put_trigger(&row, None)? {
                self.inner.timer.wake.notify_one();
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
        // One that nobody has scheduled is for the time at which it is asked for.
        let at = fire.slot.unwrap_or_else(|| self.now());
        let mut inputs = definition.at_time(fire.inputs.unwrap_or_else(|| definition.inputs()), at);
        if let Some(row) = &fire.version {
            inputs = definition.with_version(&task, inputs, (&version(row)?, &row.artifact.partition))?;
        }
        let firing = Firing {
            trigger: row.id.name.clone(),
            revision: row.revision,
            scheduled_at: fire.slot,
            version: fire.version.as_ref().map(|row| FiringVersion {
                name: row.artifact.id.name.name.clone(),
                version: row.artifact.id.version.clone(),
            }),
            late_ms: fire.slot.map(|slot| u64::try_from(wall_clock().since(slot).as_millis()).unwrap_or(u64::MAX)),
            deployed_by: row.deployed_by,
            previous: self.firing_before(&row.id, fire.slot)?,
        };
        let of_slot = fire.slot.map(|slot| run_of_slot(&row.id, slot)).transpose()?;
        let of_version =
            fire.version.as_ref().map(|fired| run_of_version(&row.id, &fired.artifact.id, fired.key.0)).transpose()?;
        let (options, left_out) = match fire.options {
            Some(options) => (options, None),
            None => definition.options_of_run(&scope)?,
        };
        let new = NewRun {
            scope: scope.clone(),
            name: fire.name.or(of_slot).or(of_version),
            task,
            inputs,
            options,
            // A slot has a trace of its own, whoever fires it.
            caller_trace: fire.caller_trace.filter(|_| fire.slot.is_none()),
            version: Some(row.task_version.clone()),
            notes: definition.shared_trace().into_iter().chain(left_out).collect(),
            firing: Some(firing),
            start_time: Some(at),
            tracked: false,
        };
        self.create_run(new).await
    }

    /// Whether a request may fire a slot as the schedule does.
    pub(crate) fn check_slot(&self, row: &TriggerRow, slot: Timestamp, name: Option<&RunName>) -> Result<(), Error> {
        let refused = |what: &str| {
            let at = schedule::shown(slot);
            Err(Invalid::field(format!("run_start_time: {at} {what} of trigger `{}`", row.id)).into())
        };
        let Some(schedule) = self.trigger_definition(row)?.schedule(row.since)? else {
            return refused("is no slot, as there is no schedule,");
        };
        if slot > wall_clock() {
            return refused("lies in the future, and is the server's to fire: a slot");
        }
        if schedule.after(Timestamp(slot.0 - 1)) != Some(slot) {
            return refused("is no slot");
        }
        let of_slot = run_of_slot(&row.id, slot)?;
        match name.filter(|name| **name != of_slot) {
            Some(name) => {
                Err(Invalid::field(format!("run_id.name: the run of this slot is `{of_slot}`, not `{name}`")).into())
            }
            None => Ok(()),
        }
    }

    /// The runs that a trigger has fired, the newest first.
    pub(crate) fn fired(&self, id: &TriggerId, limit: usize) -> Result<Vec<RunRow>, Error> {
        Ok(self.runs(&RunQuery { limit, ..runs_of(id) })?.into_iter().map(|(_, row)| row).collect())
    }

    /// True while a run of a trigger goes on. One that cannot be read goes nowhere.
    pub(crate) fn is_running(&self, id: &TriggerId) -> Result<bool, Error> {
        let live = self.runs(&RunQuery { only_live: true, limit: LIVE_LOOKED_AT, ..runs_of(id) })?;
        Ok(live.iter().any(|(_, row)| row.unreadable.is_none()))
    }

    /// The span of the run that the slot before was, if that is traced. It has its run's own trace, as nobody's request is in it.
    fn firing_before(&self, id: &TriggerId, slot: Option<Timestamp>) -> Result<Option<TraceParent>, Error> {
        let mut last = None;
        for row in self.fired(id, FIRINGS_LOOKED_AT)? {
            let settings = RunSettings::of(&row);
            let Some(at) = settings.firing.as_ref().and_then(|firing| firing.scheduled_at) else { continue };
            if slot.is_none_or(|slot| at < slot) && last.as_ref().is_none_or(|(latest, _)| at > *latest) {
                last = Some((at, settings.trace.is_exported().then(|| Lifecycle::run_span(&row.id, None))));
            }
        }
        Ok(last.and_then(|(_, span)| span))
    }
}

fn runs_of(id: &TriggerId) -> RunQuery {
    RunQuery {
        org: Some(id.scope.org.clone()),
        task: Some(id.task.clone()),
        fired_by: Some(id.name.clone()),
        ..RunQuery::default().within(id.scope.clone())
    }
}
