//! What follows from a report about an action of a tracked run, and from a silence of its program (semantics S16).

use std::sync::Arc;
use std::time::Duration;

use super::Rejection;
use super::decide::Facts;
use crate::action::{Action, State};
use crate::event::{ActionSpec, Fact};
use crate::failure::{Failure, code};
use crate::text::seconds;
use crate::tracked::{NEXT_ATTEMPT_WITHIN, Report, Reported, ReportedPhase, TAKEN_UP_WITHIN};
use crate::{ActionName, AttemptNo, Backoff, Timestamp};

/// The pauses that the stock SDK makes before the next attempt of a task without a backoff of its own.
const USUAL_PAUSE: Backoff = Backoff { base: Duration::from_millis(500), factor: 2.0, cap: None };

/// A report, with the times of its facts: never later than now, and never earlier than what is recorded of the action.
struct Times {
    /// When what it says began.
    began: Timestamp,
    /// When it became so.
    at: Timestamp,
}

impl Times {
    fn of(report: &Report, current: Option<&Action>, root: &Action, now: Timestamp) -> Times {
        let earliest = current.map_or(root.enqueued_at, |current| current.updated_at);
        let at = report.at.min(now).max(earliest);
        // What is said is when the action began, which is not when a later attempt did.
        let began = report.began.filter(|_| current.is_none_or(|current| current.attempts == 0));
        Times { began: began.unwrap_or(at).min(at).max(earliest), at }
    }
}

/// Where an action is before a report, as far as its attempts go.
struct Before<'run> {
    state: Option<&'run State>,
    /// The attempt under way.
    open: Option<AttemptNo>,
    /// The attempt that the report is about has failed already.
    has_failed: bool,
}

impl Before<'_> {
    fn of<'run>(current: Option<&'run Action>, report: &Report) -> Before<'run> {
        let open = current.and_then(Action::attempt);
        let is_last = |current: &Action| current.attempts == report.attempt.0;
        let has_failed = open.is_none() && current.is_some_and(is_last);
        Before { state: current.map(|current| current.state.before_doubt()), open, has_failed }
    }
}

impl Facts<'_> {
    pub(super) fn report(
        &mut self,
        action: ActionName,
        spec: Option<&Arc<ActionSpec>>,
        report: &Report,
    ) -> Result<(), Rejection> {
        let root = self.run.root().filter(|root| root.spec.tracked.is_some()).ok_or(Rejection::NotTracked(action))?;
        let current = self.run.action(&action);
        if let Some(current) = current {
            let says_the_same = current.is_finished() && current.phase() == report.phase.phase();
            if !current.is_news(report) || says_the_same {
                return Ok(());
            }
            if self.is_done_again(&action, current, report) {
                return Ok(());
            }
            if current.is_finished() {
                return Err(self.wrong_state("take a report about", action));
            }
        }
        let times = Times::of(report, current, root, self.now);
        match (current, spec) {
            (Some(current), _) if is_silent(current) => self.push_at(action, times.began, Fact::HeardAgain),
            (Some(_), _) => {}
            (None, None) => return Err(Rejection::Unintroduced(action)),
            (None, Some(spec)) => {
                self.parent_accepts(action, spec)?;
                self.push_at(action, times.began, Fact::Enqueued { spec: Arc::clone(spec) });
            }
        }
        self.push_at(action, times.began, Fact::Reported { report: self.noted(report) });
        let spec = current.map(|current| &current.spec).or(spec).ok_or(Rejection::Unintroduced(action))?;
        let has_ended = self.follow(action, spec, report, &Before::of(current, report), &times)?;
        if is_silent(root) && !(has_ended && action.is_root()) {
            self.hear_the_others(action);
        }
        Ok(())
    }

    /// True for what a program says of an action on the way to an end that it has had: another attempt of a parent calls its children again, and each
    /// has the number that its attempt had. The end that it comes to is what counts.
    fn is_done_again(&self, action: &ActionName, current: &Action, report: &Report) -> bool {
        let has_ended = current.is_finished() || current.is_in_doubt() && current.attempt().is_none();
        let is_again = || self.is_called_again(action) && report.attempt.0 <= current.attempts;
        has_ended && !report.phase.phase().is_terminal() && is_again()
    }

    /// True if a parent of the action has made more than one attempt.
    fn is_called_again(&self, action: &ActionName) -> bool {
        self.run.parents(action).any(|parent| self.run.action(&parent).is_some_and(|parent| parent.attempts > 1))
    }

    fn noted(&self, report: &Report) -> Reported {
        let Report { attempt, version, cache, output_uri, report_uri, .. } = report.clone();
        Reported { attempt, version, received_at: self.now, cache, output_uri, report_uri }
    }

    /// What the phase of a report makes of an action. True if the action is at its end.
    fn follow(
        &mut self,
        action: ActionName,
        spec: &ActionSpec,
        report: &Report,
        before: &Before<'_>,
        times: &Times,
    ) -> Result<bool, Rejection> {
        let Report { attempt, phase, .. } = report;
        let (attempt, is_open) = (*attempt, before.open == Some(*attempt));
        let goes_back = match phase {
            ReportedPhase::Queued | ReportedPhase::WaitingForResources => is_open || before.has_failed,
            ReportedPhase::Initializing => {
                before.has_failed || is_open && matches!(before.state, Some(State::Running { .. }))
            }
            ReportedPhase::Running => before.has_failed,
            ReportedPhase::Succeeded => before.has_failed && !self.is_called_again(&action),
            ReportedPhase::Failed(_) | ReportedPhase::TimedOut(_) | ReportedPhase::Aborted { .. } => false,
        };
        if goes_back {
            return Err(Rejection::GoesBack { action, attempt, phase: phase.phase() });
        }
        if let Some(earlier) = before.open.filter(|_| !is_open) {
            let reason = "its end was not reported".to_owned();
            self.push_at(action, times.began, Fact::AttemptLost { attempt: earlier, reason, blamed: false });
        }
        let is_queued = !is_open && matches!(before.state, None | Some(State::Queued { .. }));
        match phase {
            ReportedPhase::Queued | ReportedPhase::WaitingForResources => {
                if !is_queued {
                    self.push_at(action, times.at, Fact::Requeued);
                }
                if *phase == ReportedPhase::WaitingForResources {
                    self.push_at(action, times.at, Fact::WaitsForSlot { wait: None });
                }
                return Ok(false);
            }
            ReportedPhase::Aborted { reason } => {
                let (by, reason) = ("program".to_owned(), Failure::user("", reason.clone()).shortened().message);
                self.end_tracked(action, times.at, Fact::Aborted { by, reason });
                return Ok(true);
            }
            _ => {}
        }
        if !before.has_failed {
            self.has_begun(action, report, before, times);
        }
        Ok(self.follow_attempt(action, spec, report, before, times.at))
    }

    /// Launches the attempt that a report is about, and starts it, unless that is recorded.
    fn has_begun(&mut self, action: ActionName, report: &Report, before: &Before<'_>, times: &Times) {
        let attempt = report.attempt;
        let is_open = before.open == Some(attempt);
        if !is_open {
            self.push_at(action, times.began, Fact::Launched { attempt });
        }
        let is_running = is_open && matches!(before.state, Some(State::Running { .. }));
        if !is_running && report.phase != ReportedPhase::Initializing {
            let at = if is_open { times.at } else { times.began };
            self.push_at(action, at, Fact::Started { attempt });
        }
    }

    /// What the phase of an attempt under way makes of its action. True if the action is at its end.
    fn follow_attempt(
        &mut self,
        action: ActionName,
        spec: &ActionSpec,
        report: &Report,
        before: &Before<'_>,
        at: Timestamp,
    ) -> bool {
        let attempt = report.attempt;
        match &report.phase {
            ReportedPhase::Succeeded => self.end_tracked(action, at, Fact::Succeeded { attempt }),
            ReportedPhase::TimedOut(failure) => {
                self.end_tracked(action, at, Fact::TimedOut { failure: failure.clone().shortened() });
            }
            ReportedPhase::Failed(failure) => {
                let failure = failure.clone().shortened();
                if before.has_failed {
                    return false;
                }
                self.push_at(action, at, Fact::AttemptFailed { attempt, failure: failure.clone() });
                // Of a child what is said of its retries may be that of another call of its task, which the SDK says once.
                let any_retries = spec.tracked.as_ref().is_some_and(|tracked| tracked.any_retries);
                let may_follow = !action.is_root() || any_retries || attempt.0 <= spec.retry.retries;
                if may_follow {
                    let until = action.is_root().then(|| self.now.after(next_attempt_within(spec, attempt)));
                    self.push_at(action, at, Fact::InDoubt { failure, until });
                    return false;
                }
                self.end_tracked(action, at, Fact::Failed { failure });
            }
            _ => return false,
        }
        true
    }

    /// The end of a tracked action. Only a root ends others with it: of those below another action their program says itself what becomes of them.
    fn end_tracked(&mut self, action: ActionName, at: Timestamp, end: Fact) {
        self.push_at(action, at, end);
        if action.is_root() {
            self.abort_descendants(action, |_| true);
        }
    }

    /// The doubt about an action of a tracked run is over, or nothing was heard of its program for too long.
    pub(super) fn tick_tracked(&mut self, action: ActionName, current: &Action) {
        if let State::InDoubt { failure, since, .. } = &current.state {
            self.end_tracked(action, *since, Fact::Failed { failure: failure.as_ref().clone() });
            return;
        }
        let silence = current.heard_at.map(|heard| self.now.since(heard)).unwrap_or_default();
        let message = format!(
            "nothing was heard of the program for {}: it is taken for lost unless it reports again",
            seconds(Duration::from_secs(silence.as_secs()))
        );
        let failure = Failure::system(code::ATTEMPT_LOST, message).terminal();
        for other in self.in_order(|other| !other.is_finished() && !other.is_in_doubt()) {
            let until = other.is_root().then(|| self.now.after(TAKEN_UP_WITHIN));
            self.push_at(other, self.now, Fact::InDoubt { failure: failure.clone(), until });
        }
    }

    /// The program is there again: what else was taken for lost goes on.
    fn hear_the_others(&mut self, reported: ActionName) {
        for other in self.in_order(is_silent).into_iter().filter(|other| *other != reported) {
            self.push_at(other, self.now, Fact::HeardAgain);
        }
    }

    /// The actions of which something is true, by their names.
    fn in_order(&self, is_it: impl Fn(&Action) -> bool) -> Vec<ActionName> {
        let mut names: Vec<ActionName> =
            self.run.actions().filter(|(_, action)| is_it(action)).map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    }
}

/// True for what is in doubt because nothing was heard of its program.
fn is_silent(action: &Action) -> bool {
    action.is_in_doubt() && *action.state.before_doubt() != State::Judged
}

/// How long a failed attempt of a root may be followed by another one.
fn next_attempt_within(spec: &ActionSpec, failed: AttemptNo) -> Duration {
    let pause = spec.retry.backoff.as_ref().unwrap_or(&USUAL_PAUSE).delay(failed.0.saturating_sub(1));
    NEXT_ATTEMPT_WITHIN.saturating_add(pause.min(TAKEN_UP_WITHIN))
}
