//! The one timer of all schedules: it waits for the earliest slot, fires what is due, and asks again. What has been decided is in the
//! journal, so a server that was away goes on where the last one was.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use spanwise_core::artifact::OnArtifact;
use spanwise_core::schedule::{self, Automation, Schedule};
use spanwise_core::trigger::{Facts, FiringRules, MISSED_AFTER, Overlap, Step, TriggerId, Why, next};
use spanwise_core::{Rejection, Timestamp};
use spanwise_engine::{RunHandle, TriggerQuery, TriggerRow};

mod versions;

use super::clock::wall_clock;
use super::triggers::Fire;
use super::{ControlPlane, Error};
use crate::readiness::in_one_line;

/// The clock of the machine may be set while the timer waits: it is looked at again after this, if any trigger is active.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(30);

/// What could not be done for a reason that may pass is tried again after this.
const TRIED_AGAIN: Duration = Duration::from_secs(5);

/// Missed slots that are fired in one round, of all triggers: whatever was missed, those that are due now are never far behind.
const CAUGHT_UP_A_ROUND: usize = 20;

/// What a trigger is worked out to be, as long as its revision counts.
struct Planned {
    revision: u64,
    /// None: no schedule, or one that makes no sense any more.
    schedule: Option<Schedule>,
    /// The artifact whose versions it waits for.
    on: Option<OnArtifact>,
    rules: FiringRules,
}

/// What became of a step.
enum Done {
    /// There may be more to do.
    Went,
    /// Nothing until then; none: until somebody says that something has changed.
    Waits(Option<Timestamp>),
}

/// What others ask about the timer, and what it is told by them.
#[derive(Default)]
pub(super) struct Timer {
    /// Wakes it: a trigger has changed, or a run has ended that one waits for.
    pub(super) wake: tokio::sync::Notify,
    /// The triggers that wait for the end of a run.
    awaiting: Mutex<HashSet<TriggerId>>,
    /// The triggers whose last slot could not be fired, in which revision, and why.
    troubles: Mutex<HashMap<TriggerId, (u64, String)>>,
}

impl Timer {
    /// A run has ended; whoever waits for that goes on.
    pub(super) fn ended(&self, run: &RunHandle) {
        let (Some(firing), Some(task)) = (&run.settings().firing, run.root_task()) else { return };
        let id = TriggerId { scope: run.id().scope(), task: task.to_string(), name: firing.trigger.clone() };
        if self.awaiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            self.wake.notify_one();
        }
    }

    fn awaits(&self, id: &TriggerId) {
        self.awaiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
    }

    fn note_trouble(&self, row: &TriggerRow, trouble: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => drop(troubles.insert(row.id.clone(), (row.revision, trouble))),
            None => drop(troubles.remove(&row.id)),
        }
    }
}

struct Scheduler {
    plane: ControlPlane,
    planned: HashMap<TriggerId, Arc<Planned>>,
    rounds: usize,
}

impl ControlPlane {
    /// Fires triggers by their schedules in the background, as long as the server goes on.
    pub(crate) fn keep_time(&self) {
        let plane = self.clone();
        let closing = self.inner.closing.clone();
        tokio::spawn(closing.run_until_cancelled_owned(async move {
            loop {
                let mut scheduler = Scheduler { plane: plane.clone(), planned: HashMap::new(), rounds: 0 };
                // It loses nothing: what it has decided is in the journal.
                let _ = AssertUnwindSafe(scheduler.run()).catch_unwind().await;
                tracing::error!("the timer of the triggers has panicked: it begins anew");
                tokio::time::sleep(TRIED_AGAIN).await;
            }
        }));
    }

    /// Why the last slot of a trigger could not be fired, if it could not, since this server was started and it was changed last.
    pub(crate) fn firing_trouble(&self, row: &TriggerRow) -> Option<String> {
        let troubles = self.inner.timer.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.get(&row.id).filter(|(revision, _)| *revision == row.revision).map(|(_, trouble)| trouble.clone())
    }
}

impl Scheduler {
    async fn run(&mut self) {
        loop {
            let waits = match self.round().await {
                Ok(Done::Went) => continue,
                Ok(Done::Waits(until)) => until,
                Err(error) => {
                    tracing::error!(error = in_one_line(&error), "triggers cannot be read: their slots wait");
                    Some(wall_clock().after(TRIED_AGAIN))
                }
            };
            let slept = async {
                match waits {
                    Some(at) => tokio::time::sleep(at.since(wall_clock()).min(LOOKED_AT_AGAIN)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.plane.inner.timer.wake.notified() => {}
                () = slept => {}
            }
        }
    }

    /// One step for each trigger, as it is now: one that has a lot to catch up delays no other, and one that was paused, deleted or
    /// deployed anew meanwhile is not fired as it was.
    async fn round(&mut self) -> Result<Done, Error> {
        let plane = self.plane.clone();
        let query = TriggerQuery { only_active: true, limit: usize::MAX, ..TriggerQuery::default() };
        let read = tokio::task::spawn_blocking(move || plane.triggers(&query)).await;
        let mut rows = read.map_err(|_| spanwise_engine::Error::Interrupted)??;
        let there: HashSet<&TriggerId> = rows.iter().map(|row| &row.id).collect();
        self.planned.retain(|id, _| there.contains(id));
        // Who is the first to catch up changes, as there is a limit to it.
        let first = self.rounds.checked_rem(rows.len()).unwrap_or(0);
        rows.rotate_left(first);
        self.rounds = self.rounds.wrapping_add(1);
        let (mut waits, mut went, mut catches_up): (Option<Timestamp>, _, _) = (None, false, CAUGHT_UP_A_ROUND);
        for row in rows {
            let done = match self.step(&row, &mut catches_up).await {
                // What one of them cannot read is no matter of the others.
                Err(Error::Engine(error)) if error.is_damage() => {
                    let trouble = in_one_line(&error);
                    tracing::error!(trigger = %row.id, trouble, "a trigger cannot be looked at");
                    self.plane.inner.timer.note_trouble(&row, Some(trouble));
                    later()
                }
                done => done?,
            };
            match done {
                Done::Went => went = true,
                Done::Waits(until) => waits = waits.into_iter().chain(until).min(),
            }
            tokio::task::yield_now().await;
        }
        Ok(if went { Done::Went } else { Done::Waits(waits) })
    }

    async fn step(&mut self, row: &TriggerRow, catches_up: &mut usize) -> Result<Done, Error> {
        let Some(planned) = self.planned(row) else { return Ok(later()) };
        if let Some(on) = &planned.on {
            return self.step_version(row, on, planned.rules).await;
        }
        let Some(schedule) = &planned.schedule else { return Ok(Done::Waits(None)) };
        let is_limited = planned.rules.overlap != Overlap::Allow;
        if is_limited {
            // Before it is looked whether one goes on: its end may come in between.
            self.plane.inner.timer.awaits(&row.id);
        }
        let is_running = is_limited && self.plane.is_running(&row.id)?;
        let now = wall_clock();
        let facts = Facts { since: row.since, settled: row.settled, is_running };
        let slot = match next(schedule, planned.rules, &facts, now) {
            Step::Wait(at) => return Ok(Done::Waits(at)),
            // Its end says so; more slots may be due before.
            Step::AwaitEnd => return Ok(Done::Waits(schedule.after(now))),
            Step::LeaveOut { until, count, why } => {
                let why = match why {
                    Why::Missed => "they were missed",
                    Why::Overlap => "a run of the trigger goes on",
                };
                let (trigger, last) = (tracing::field::display(&row.id), schedule::shown(until));
                tracing::warn!(trigger, project = row.id.scope.project, slots = count, last, why, "slots are left out");
                until
            }
            Step::Fire(slot) => {
                if slot < now.before(MISSED_AFTER) {
                    match catches_up.checked_sub(1) {
                        Some(left) => *catches_up = left,
                        None => return Ok(Done::Went),
                    }
                }
                let current = self.plane.trigger_revisions(&row.id, 0, 1)?.into_iter().next();
                if current.is_none_or(|current| current.revision != row.revision) {
                    return Ok(Done::Went);
                }
                if !self.fire(row, slot).await {
                    return Ok(later());
                }
                slot
            }
        };
        self.plane.inner.engine.settle_trigger(&row.id, slot)?;
        Ok(Done::Went)
    }

    /// The schedule of a trigger, worked out once for each of its revisions; none if it cannot be read now.
    fn planned(&mut self, row: &TriggerRow) -> Option<Arc<Planned>> {
        if let Some(planned) = self.planned.get(&row.id).filter(|planned| planned.revision == row.revision) {
            return Some(Arc::clone(planned));
        }
        let of_server = self.plane.inner.firing;
        let read = || {
            let definition = self.plane.trigger_definition(row)?;
            // A clock that was ahead when it was deployed delays it no longer than it was.
            let since = row.since.min(wall_clock());
            let on = match &definition.automation {
                Automation::Artifact(on) => Some(on.clone()),
                _ => None,
            };
            Ok::<_, Error>((definition.schedule(since)?, on, definition.rules(of_server)?))
        };
        let (schedule, on, rules) = match read() {
            Ok(planned) => planned,
            Err(Error::Invalid(error)) => {
                // It was looked at when it was deployed: another version of this program has another opinion of it.
                let trouble = in_one_line(&error);
                tracing::error!(trigger = %row.id, trouble, "a trigger has no schedule any more: it does not fire");
                self.plane.inner.timer.note_trouble(row, Some(trouble));
                (None, None, of_server)
            }
            Err(error) => {
                let trouble = in_one_line(&error);
                tracing::error!(trigger = %row.id, trouble, "a trigger cannot be read: its slots wait");
                self.plane.inner.timer.note_trouble(row, Some(trouble));
                return None;
            }
        };
        let planned = Arc::new(Planned { revision: row.revision, schedule, on, rules });
        self.planned.insert(row.id.clone(), Arc::clone(&planned));
        Some(planned)
    }

    /// Creates the run of a slot. False if that may go well later: the slot stays due.
    async fn fire(&self, row: &TriggerRow, slot: Timestamp) -> bool {
        let fire = Fire { slot: Some(slot), ..Fire::default() };
        self.create(row, fire, &schedule::shown(slot)).await
    }

    /// Creates a run of a trigger for what `of` says. False if that may go well later.
    async fn create(&self, row: &TriggerRow, fire: Fire, of: &str) -> bool {
        let timer = &self.plane.inner.timer;
        let error = match self.plane.fire(row, fire).await {
            Ok(run) => {
                tracing::info!(trigger = %row.id, at = of, run = %run.id().name, "a trigger has fired");
                timer.note_trouble(row, None);
                return true;
            }
            // Whoever has fired it: a server that was killed, a backfill.
            Err(Error::Engine(spanwise_engine::Error::AlreadyExists(_))) => return true,
            Err(error) => error,
        };
        let (trouble, may_pass) = (in_one_line(&error), may_pass(&error));
        tracing::error!(trigger = %row.id, slot = of, trouble, may_pass, "a slot could not be fired");
        timer.note_trouble(row, Some(format!("{of}: {trouble}")));
        !may_pass
    }
}

fn later() -> Done {
    Done::Waits(Some(wall_clock().after(TRIED_AGAIN)))
}

/// True if the same may go well later: nothing is wrong with the trigger.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::NotReady(_) | Error::Io { .. } | Error::Blobs(_) => true,
        Error::Engine(spanwise_engine::Error::Interrupted) => true,
        Error::Engine(spanwise_engine::Error::Store(source)) => source.may_pass(),
        Error::Engine(spanwise_engine::Error::Rejected(Rejection::Refused { refusal, .. })) => refusal.may_pass(),
        _ => false,
    }
}
