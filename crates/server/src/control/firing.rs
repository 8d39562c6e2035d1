//! The one timer of all schedules: it waits for the earliest slot, fires what is due, and asks again. What has been decided is in the
//! journal, so a server that was away goes on where the last one was.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use spanwise_core::Timestamp;
use spanwise_core::schedule::{self, Schedule};
use spanwise_core::trigger::{Facts, FiringRules, Overlap, Step, TriggerId, Why, next};
use spanwise_engine::{TriggerQuery, TriggerRow};

use super::triggers::{Fire, wall_clock};
use super::{ControlPlane, Error};
use crate::readiness::in_one_line;

/// The clock of the machine may be set while the timer waits: it is looked at again after this, if any trigger is active.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(30);

/// What could not be done for a reason that may pass is tried again after this.
const TRIED_AGAIN: Duration = Duration::from_secs(5);

/// What a trigger is worked out to be, as long as its revision counts.
struct Planned {
    revision: u64,
    /// None: no schedule, or one that makes no sense any more.
    schedule: Option<Schedule>,
    rules: FiringRules,
}

/// What became of a step.
enum Done {
    /// There may be more to do.
    Went,
    /// Nothing until then; none: until somebody says that something has changed.
    Waits(Option<Timestamp>),
}

struct Scheduler {
    plane: ControlPlane,
    planned: HashMap<TriggerId, Arc<Planned>>,
}

impl ControlPlane {
    /// Fires triggers by their schedules in the background, as long as the server goes on.
    pub(crate) fn keep_time(&self) {
        let mut scheduler = Scheduler { plane: self.clone(), planned: HashMap::new() };
        let closing = self.inner.closing.clone();
        tokio::spawn(closing.run_until_cancelled_owned(async move { scheduler.run().await }));
    }

    /// Why the last slot of a trigger could not be fired, if it could not, since this server was started.
    pub(crate) fn firing_trouble(&self, id: &TriggerId) -> Option<String> {
        self.inner.firing_trouble.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn note_trouble(&self, id: &TriggerId, trouble: Option<String>) {
        let mut troubles = self.inner.firing_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => troubles.insert(id.clone(), trouble),
            None => troubles.remove(id),
        };
    }
}

impl Scheduler {
    async fn run(&mut self) {
        loop {
            let wakes = self.pass().await.unwrap_or_else(|error| {
                tracing::error!(error = in_one_line(&error), "triggers cannot be read: their slots wait");
                Some(wall_clock().after(TRIED_AGAIN))
            });
            let slept = async {
                match wakes {
                    Some(at) => tokio::time::sleep(at.since(wall_clock()).min(LOOKED_AT_AGAIN)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.plane.inner.timer.notified() => {}
                () = slept => {}
            }
        }
    }

    /// Does what is due, a step for each trigger in turn, so that none with a lot to catch up delays the others. Says when to look again.
    async fn pass(&mut self) -> Result<Option<Timestamp>, Error> {
        let query = TriggerQuery { only_active: true, limit: usize::MAX, ..TriggerQuery::default() };
        let mut rows = self.plane.triggers(&query)?;
        let there: HashSet<&TriggerId> = rows.iter().map(|row| &row.id).collect();
        self.planned.retain(|id, _| there.contains(id));
        let mut wakes: Option<Timestamp> = None;
        while !rows.is_empty() {
            let mut more = Vec::new();
            for mut row in rows {
                match self.step(&mut row).await? {
                    Done::Went => more.push(row),
                    Done::Waits(at) => wakes = wakes.into_iter().chain(at).min(),
                }
            }
            rows = more;
        }
        Ok(wakes)
    }

    async fn step(&mut self, row: &mut TriggerRow) -> Result<Done, Error> {
        let planned = self.planned(row);
        let Some(schedule) = &planned.schedule else { return Ok(Done::Waits(None)) };
        let is_running = planned.rules.overlap != Overlap::Allow && self.plane.is_running(&row.id)?;
        let facts = Facts { since: row.changed_at, settled: row.settled, is_running };
        let slot = match next(schedule, planned.rules, &facts, wall_clock()) {
            Step::Wait(at) => return Ok(Done::Waits(at)),
            // Its end says so; more slots may be due before.
            Step::AwaitEnd => return Ok(Done::Waits(schedule.after(wall_clock()))),
            Step::LeaveOut { until, count, why } => {
                let why = match why {
                    Why::Missed => "they were missed",
                    Why::Overlap => "a run of the trigger goes on",
                };
                let (trigger, last) = (tracing::field::display(&row.id), schedule::shown(until));
                tracing::warn!(trigger, project = row.id.scope.project, slots = count, last, why, "slots are left out");
                until
            }
            Step::Fire(slot) => match self.fire(row, slot).await {
                true => slot,
                false => return Ok(Done::Waits(Some(wall_clock().after(TRIED_AGAIN)))),
            },
        };
        self.plane.inner.engine.settle_trigger(&row.id, slot)?;
        row.settled = Some(slot);
        Ok(Done::Went)
    }

    /// The schedule of a trigger, worked out once for each of its revisions.
    fn planned(&mut self, row: &TriggerRow) -> Arc<Planned> {
        if let Some(planned) = self.planned.get(&row.id).filter(|planned| planned.revision == row.revision) {
            return Arc::clone(planned);
        }
        let of_server = self.plane.inner.firing;
        let read = || {
            let definition = self.plane.trigger_definition(row)?;
            Ok::<_, Error>((definition.schedule(row.changed_at)?, definition.rules(of_server)?))
        };
        let (schedule, rules) = read().unwrap_or_else(|error| {
            // It was looked at when it was deployed: another version of this program has another opinion of it.
            let trouble = in_one_line(&error);
            tracing::error!(trigger = %row.id, trouble, "a trigger has no schedule any more: it does not fire");
            self.plane.note_trouble(&row.id, Some(trouble));
            (None, of_server)
        });
        let planned = Arc::new(Planned { revision: row.revision, schedule, rules });
        self.planned.insert(row.id.clone(), Arc::clone(&planned));
        planned
    }

    /// Creates the run of a slot. False if that may go well later: the slot stays due.
    async fn fire(&self, row: &TriggerRow, slot: Timestamp) -> bool {
        let fired = self.plane.fire(row, Fire { slot: Some(slot), ..Fire::default() }).await;
        let error = match fired {
            Ok(run) => {
                let (trigger, at) = (tracing::field::display(&row.id), schedule::shown(slot));
                tracing::info!(trigger, at, run = %run.id().name, "a trigger has fired");
                self.plane.note_trouble(&row.id, None);
                return true;
            }
            // Whoever has fired it: a server that was killed, a backfill.
            Err(Error::Engine(spanwise_engine::Error::AlreadyExists(_))) => return true,
            Err(error) => error,
        };
        let (trouble, may_pass) = (in_one_line(&error), may_pass(&error));
        tracing::error!(trigger = %row.id, slot = schedule::shown(slot), trouble, may_pass, "a slot could not be fired");
        self.plane.note_trouble(&row.id, Some(format!("{}: {trouble}", schedule::shown(slot))));
        !may_pass
    }
}

/// True if the same may go well later: nothing is wrong with the trigger.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::NotReady(_) | Error::Io { .. } | Error::Blobs(_) => true,
        Error::Engine(spanwise_engine::Error::Interrupted) => true,
        Error::Engine(spanwise_engine::Error::Store(source)) => source.may_pass(),
        _ => false,
    }
}
