//! What may happen next: each command against each state, in one place.

use std::sync::Arc;
use std::time::Duration;

use super::{Command, Rejection, Run, SYSTEM_FAILURE_BUDGET, UNBLAMED_BUDGET, UNBLAMED_PAUSE};
use crate::action::{Action, End, State};
use crate::admission::NAMED;
use crate::event::{ActionKind, ActionSpec, Event, Fact, Lookup, Source, Wait};
use crate::failure::{Failure, FailureKind, code};
use crate::{ActionName, AttemptNo, Timeouts, Timestamp};

impl Run {
    /// Refuses a command or says what becomes true. Deterministic; changes nothing.
    ///
    /// # Errors
    /// A [`Rejection`]; the run is as it was.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        let mut facts = Facts { run: self, now, events: Vec::new() };
        match command {
            Command::Enqueue { action, spec } => facts.enqueue(*action, spec)?,
            Command::Launch { action } => facts.launch(*action)?,
            Command::ReportStarted { action, attempt } => {
                if let State::Launched { .. } = facts.under_way(*action, *attempt)?.state {
                    facts.push(*action, Fact::Started { attempt: *attempt });
                }
            }
            Command::ReportSucceeded { action, attempt } => {
                facts.under_way(*action, *attempt)?;
                facts.end(*action, Fact::Succeeded { attempt: *attempt });
            }
            Command::ReportFailed { action, attempt, failure } => facts.attempt_failed(*action, *attempt, failure)?,
            Command::ReportLost { action, attempt, reason, blamed } => {
                facts.attempt_lost(*action, *attempt, reason, *blamed)?;
            }
            Command::Release { action, attempt } => {
                facts.under_way(*action, *attempt)?;
                facts.push(*action, Fact::AttemptReleased { attempt: *attempt });
            }
            Command::Hold { action, wait } => {
                if let State::Queued { waits_for_slot: false, .. } = facts.existing(*action)?.state {
                    facts.push(*action, Fact::WaitsForSlot { wait: wait.clone() });
                }
            }
            Command::Reuse { action, source, lookup } => facts.reuse(*action, source, lookup.as_ref())?,
            Command::Miss { action, lookup } => facts.miss(*action, lookup)?,
            Command::Signal { action, by, from } => {
                let State::Paused = facts.existing(*action)?.state else {
                    return Err(facts.wrong_state("signal", *action));
                };
                facts.end(*action, Fact::Signalled { by: by.clone(), from: *from });
            }
            Command::Tick { action, clock } => facts.tick(*action, *clock)?,
            Command::Report { action, spec, report } => facts.report(*action, spec.as_ref(), report)?,
            Command::Abort { action, by, reason } => {
                let current = facts.existing(*action)?;
                if current.spec.tracked.is_some() && !action.is_root() {
                    return Err(Rejection::Tracked(*action));
                }
                if !current.is_finished() {
                    facts.end(*action, Fact::Aborted { by: by.clone(), reason: reason.clone() });
                }
            }
            Command::RecordStep { action, spec, started, outcome, observed } => {
                if facts.may_record_step(*action, spec)? {
                    let (spec, outcome) = (Arc::clone(spec), outcome.clone().shortened());
                    let (started, ended, observed) = (*started, now, *observed);
                    facts.push(*action, Fact::StepRecorded { spec, started, ended, outcome, observed });
                }
            }
        }
        Ok(facts.events)
    }
}

/// The events of one decision, as they come together.
pub(super) struct Facts<'run> {
    pub(super) run: &'run Run,
    pub(super) now: Timestamp,
    events: Vec<Event>,
}

impl<'run> Facts<'run> {
    fn push(&mut self, action: ActionName, fact: Fact) {
        self.push_at(action, self.now, fact);
    }

    /// The same for what happened earlier.
    pub(super) fn push_at(&mut self, action: ActionName, at: Timestamp, fact: Fact) {
        self.events.push(Event { action, at, fact });
    }

    pub(super) fn existing(&self, action: ActionName) -> Result<&'run Action, Rejection> {
        self.run.action(&action).ok_or(Rejection::NotFound(action))
    }

    /// The action, if this attempt is the one under way. A late report of an earlier attempt is refused here.
    fn under_way(&self, action: ActionName, attempt: AttemptNo) -> Result<&'run Action, Rejection> {
        let current = self.existing(action)?;
        if current.attempt() == Some(attempt) {
            return Ok(current);
        }
        Err(Rejection::Stale { action, attempt })
    }

    fn enqueue(&mut self, action: ActionName, spec: &Arc<ActionSpec>) -> Result<(), Rejection> {
        if self.run.action(&action).is_some() {
            return Ok(());
        }
        self.parent_accepts(action, spec)?;
        self.push(action, Fact::Enqueued { spec: Arc::clone(spec) });
        if let Some(limit) = self.run.limits.max_action_concurrency.filter(|_| spec.kind == ActionKind::Task)
            && self.is_full_for(spec.parent, limit)
        {
            self.push(action, Fact::WaitsForSlot { wait: Some(self.wait_for_run(spec.parent, limit)) });
        }
        Ok(())
    }

    /// The run itself is the pool that is full: those who are under way, but for the parent, and those who are before it in line.
    fn wait_for_run(&self, parent: Option<ActionName>, limit: u32) -> Wait {
        let others = self.run.holders.iter().copied().filter(|holder| Some(*holder) != parent);
        Wait { pool: format!("run {limit} of {limit}"), actions: others.take(NAMED).collect(), ..Wait::default() }
    }

    pub(super) fn parent_accepts(&self, action: ActionName, spec: &ActionSpec) -> Result<(), Rejection> {
        if self.run.is_finished() {
            return Err(Rejection::RunEnded(action));
        }
        let Some(parent) = spec.parent else { return Ok(()) };
        let current = self.existing(parent)?;
        if current.spec.tracked.is_some() && spec.tracked.is_none() {
            return Err(Rejection::Tracked(parent));
        }
        if current.is_finished() {
            return Err(Rejection::ParentEnded { parent, action });
        }
        Ok(())
    }

    /// True if a new child of `parent` has to wait for a slot. The parent's own becomes free, because it waits for the child.
    fn is_full_for(&self, parent: Option<ActionName>, limit: u32) -> bool {
        let parent = parent.and_then(|parent| self.run.action(&parent));
        let given_up = u32::from(parent.is_some_and(Action::occupies_slot));
        self.run.occupied - given_up + self.run.queue.len() as u32 >= limit
    }

    fn reuse(&mut self, action: ActionName, source: &Source, lookup: Option<&Lookup>) -> Result<(), Rejection> {
        let (State::Queued { .. } | State::Backoff { .. } | State::Asleep { .. }) = self.existing(action)?.state else {
            return Err(self.wrong_state("reuse outputs for", action));
        };
        if let Some(lookup) = lookup {
            self.push(action, Fact::LookedUp { lookup: lookup.clone(), hit: true });
        }
        self.end(action, Fact::Reused { source: source.clone() });
        Ok(())
    }

    fn miss(&mut self, action: ActionName, lookup: &Lookup) -> Result<(), Rejection> {
        let State::Queued { .. } = self.existing(action)?.state else {
            return Err(self.wrong_state("look up outputs for", action));
        };
        self.push(action, Fact::LookedUp { lookup: lookup.clone(), hit: false });
        Ok(())
    }

    fn launch(&mut self, action: ActionName) -> Result<(), Rejection> {
        let current = self.existing(action)?;
        match current.state {
            State::Queued { .. } if !self.run.has_free_slot() => Err(Rejection::NoSlot(action)),
            State::Queued { .. } => {
                self.push(action, Fact::Launched { attempt: current.next_attempt() });
                Ok(())
            }
            _ => Err(self.wrong_state("launch", action)),
        }
    }

    pub(super) fn wrong_state(&self, command: &'static str, action: ActionName) -> Rejection {
        match self.run.action(&action) {
            Some(current) => Rejection::WrongState { command, action, phase: current.phase() },
            None => Rejection::NotFound(action),
        }
    }

    fn attempt_failed(&mut self, action: ActionName, attempt: AttemptNo, failure: &Failure) -> Result<(), Rejection> {
        let current = self.under_way(action, attempt)?;
        let mut failure = failure.clone().shortened();
        if failure.kind == FailureKind::System && self.is_of_a_child(current, &failure) {
            failure.kind = FailureKind::User;
        }
        self.push(action, Fact::AttemptFailed { attempt, failure: failure.clone() });
        if !failure.recoverable {
            self.end(action, Fact::Failed { failure });
        } else if failure.kind == FailureKind::System {
            self.after_system_failure(action, current, &failure.message);
        } else {
            self.retry_or(action, current, Fact::Failed { failure });
        }
        Ok(())
    }

    /// True if the failure is that of a child, which the body has passed on. The child has had the attempts of the system's budget; that the body
    /// does not handle its failure is the user's.
    fn is_of_a_child(&self, current: &Action, failure: &Failure) -> bool {
        let is_it = |child: &Action| match child.end() {
            Some(End::Failed(of_child) | End::TimedOut(of_child)) if child.spec.kind == ActionKind::Task => {
                of_child.code == failure.code && failure.message.contains(&of_child.message)
            }
            _ => false,
        };
        current.children.iter().filter_map(|child| self.run.action(child)).any(is_it)
    }

    fn attempt_lost(
        &mut self,
        action: ActionName,
        attempt: AttemptNo,
        reason: &str,
        blamed: bool,
    ) -> Result<(), Rejection> {
        let current = self.under_way(action, attempt)?;
        let waits = self.waits_for_a_child(current);
        self.push(action, Fact::AttemptLost { attempt, reason: reason.to_owned(), blamed: blamed && !waits });
        if blamed && !waits {
            self.after_system_failure(action, current, reason);
        } else if blamed {
            self.requeue(action);
        } else {
            self.after_unblamed_loss(action, current, reason);
        }
        Ok(())
    }

    /// Tries again after a loss without blame: at once after the first one, then after growing pauses. In the end the action fails.
    fn after_unblamed_loss(&mut self, action: ActionName, current: &Action, last: &str) {
        let (lost, lasts) =
            (current.unblamed_losses.saturating_add(1), current.unblamed_since.map(|at| self.now.since(at)));
        let (most, longest) = UNBLAMED_BUDGET;
        match lasts.filter(|lasts| lost > most && *lasts > longest) {
            Some(lasts) => {
                let minutes = lasts.as_secs() / 60;
                let message = format!(
                    "the machine has failed {lost} attempts in a row for {minutes} minutes, without blame on them, the last one: {last}"
                );
                self.end(
                    action,
                    Fact::Failed { failure: Failure::system(code::MAX_SYSTEM_FAILURES, message).terminal() },
                );
            }
            None => {
                let pause = current.unblamed_losses.checked_sub(1).map(|n| UNBLAMED_PAUSE.delay(n));
                self.requeue_after(action, pause.unwrap_or_default());
            }
        }
    }

    /// True if a child of the action is under way: the action itself only waited when its process ended. A child that is only queued does not count,
    /// because the next attempt of the action may never ask for it.
    fn waits_for_a_child(&self, current: &Action) -> bool {
        let on_its_way = |child: &Action| {
            child.attempt().is_some()
                || matches!(
                    child.state,
                    State::Backoff { .. }
                        | State::Paused
                        | State::Asleep { .. }
                        | State::Queued { waits_for_slot: true, .. }
                )
        };
        current.children.iter().filter_map(|child| self.run.action(child)).any(on_its_way)
    }

    /// The system's budget is its own: it does not cost a retry of the user.
    fn after_system_failure(&mut self, action: ActionName, current: &Action, last: &str) {
        if current.system_failures + 1 < SYSTEM_FAILURE_BUDGET {
            self.requeue(action);
            return;
        }
        let message =
            format!("{SYSTEM_FAILURE_BUDGET} attempts in a row were lost to the system, the last one: {last}");
        let failure = Failure::system(code::MAX_SYSTEM_FAILURES, message).terminal();
        self.end(action, Fact::Failed { failure });
    }

    /// Another attempt if the policy has one left, else the given end.
    fn retry_or(&mut self, action: ActionName, current: &Action, end: Fact) {
        let retry = &current.spec.retry;
        if current.failures >= retry.retries {
            self.end(action, end);
            return;
        }
        let delay = retry.backoff.as_ref().map(|backoff| backoff.delay(current.failures)).unwrap_or_default();
        self.requeue_after(action, delay);
    }

    fn requeue_after(&mut self, action: ActionName, delay: Duration) {
        if delay.is_zero() {
            self.requeue(action);
        } else {
            self.push(action, Fact::BackedOff { until: self.now.after(delay) });
        }
    }

    fn requeue(&mut self, action: ActionName) {
        self.push(action, Fact::Requeued);
    }

    fn tick(&mut self, action: ActionName, clock: Timestamp) -> Result<(), Rejection> {
        let current = self.existing(action)?;
        if let State::Asleep { until, over } = current.state {
            self.tick_timer(action, current, (until, over), clock);
            return Ok(());
        }
        if current.due().is_none_or(|due| due > self.now) {
            return Ok(());
        }
        if current.spec.tracked.is_some() {
            self.tick_tracked(action, current);
            return Ok(());
        }
        let timeouts = current.spec.timeouts;
        if current.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.end(action, timed_out(code::DEADLINE_EXCEEDED, "deadline", timeouts.deadline));
            return Ok(());
        }
        match current.state {
            State::Queued { .. } => {
                self.push(action, Fact::QueueTimedOut);
                let end = timed_out(code::QUEUED_TIMEOUT_EXCEEDED, "max_queued_time", timeouts.max_queued_time);
                self.retry_or(action, current, end);
            }
            State::Running { attempt, .. } => {
                self.push(action, Fact::AttemptTimedOut { attempt });
                let end = timed_out(code::MAX_RUNTIME_EXCEEDED, "max_runtime", timeouts.max_runtime);
                self.retry_or(action, current, end);
            }
            State::Backoff { .. } => self.requeue(action),
            State::Launched { .. } | State::Paused | State::Asleep { .. } | State::Judged | State::InDoubt { .. } => {}
            State::Finished(_) => {}
        }
        Ok(())
    }

    /// A timer ends at its moment, or before it by a limit of its own: what was over first counts, whenever somebody looks.
    fn tick_timer(
        &mut self,
        action: ActionName,
        current: &Action,
        (until, over): (Timestamp, Option<Timestamp>),
        clock: Timestamp,
    ) {
        let is_elapsed = until <= clock || over.is_some_and(|over| over <= self.now);
        let elapsed_at = over.map_or(until, |over| over.min(until));
        let Timeouts { max_runtime, deadline, .. } = current.spec.timeouts;
        let limits = [
            (current.runtime_over(), code::MAX_RUNTIME_EXCEEDED, "max_runtime", max_runtime),
            (current.deadline(), code::DEADLINE_EXCEEDED, "deadline", deadline),
        ];
        let expired = |at: &Timestamp| *at <= self.now && !(is_elapsed && elapsed_at <= *at);
        let first =
            limits.into_iter().filter_map(|(at, code, field, limit)| Some((at.filter(expired)?, code, field, limit)));
        match first.min_by_key(|(at, ..)| *at) {
            Some((_, code, field, limit)) => self.end(action, timed_out(code, field, limit)),
            None if is_elapsed => self.end(action, Fact::Elapsed),
            None => {}
        }
    }

    /// False if the step stands as it is: only a recoverable failure is tried again and recorded over (semantics S6).
    fn may_record_step(&self, action: ActionName, spec: &Arc<ActionSpec>) -> Result<bool, Rejection> {
        match self.run.action(&action).map(|current| (current.spec.kind, current.end())) {
            Some((ActionKind::Step, Some(End::Failed(failure)))) if failure.recoverable => {}
            Some(_) => return Ok(false),
            None => {}
        }
        self.parent_accepts(action, spec)?;
        Ok(true)
    }

    /// Ends an action and aborts descendants: all of them below a root, or below an action that was aborted or timed out; below one that failed only
    /// those that are not launched yet, because nobody will ask for them any more.
    fn end(&mut self, action: ActionName, end: Fact) {
        let cut_short = matches!(end, Fact::Aborted { .. } | Fact::TimedOut { .. });
        let failed = matches!(end, Fact::Failed { .. });
        self.push(action, end);
        if action.is_root() || cut_short {
            self.abort_descendants(action, |_| true);
        } else if failed {
            self.abort_descendants(action, |child| child.attempt().is_none());
        }
    }

    pub(super) fn abort_descendants(&mut self, ended: ActionName, which: impl Fn(&Action) -> bool) {
        let mut pending = vec![ended];
        while let Some(name) = pending.pop() {
            let Some(action) = self.run.action(&name) else { continue };
            for child in &action.children {
                let Some(current) = self.run.action(child) else { continue };
                let live = !current.is_finished();
                if live && !which(current) {
                    continue;
                }
                if live {
                    let (at, end) = self.end_of_descendant(current, ended);
                    self.push_at(*child, at, end);
                }
                if !current.children.is_empty() {
                    pending.push(*child);
                }
            }
        }
    }
}

impl Facts<'_> {
    /// How a descendant ends with an action: as it stands if that is in doubt, else aborted.
    fn end_of_descendant(&self, current: &Action, ended: ActionName) -> (Timestamp, Fact) {
        let by = "spanwise".to_owned();
        match &current.state {
            State::InDoubt { failure, since, .. } => (*since, Fact::Failed { failure: failure.as_ref().clone() }),
            _ if current.spec.tracked.is_some() => {
                let reason = format!("`{ended}` ended, and no end of this was reported");
                (self.now, Fact::Aborted { by, reason })
            }
            _ => (self.now, Fact::Aborted { by, reason: format!("`{ended}` ended") }),
        }
    }
}

fn timed_out(code: &'static str, field: &str, limit: Option<Duration>) -> Fact {
    let message = format!("{field} of {} exceeded", crate::text::seconds(limit.unwrap_or_default()));
    Fact::TimedOut { failure: Failure::user(code, message) }
}
