//! From events to spans: what is open, and the span that each fact closes.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::firing;
use super::outcome::{Outcome, outcome_of};
use super::{Attribute, Link, Moment, Part, RunTrace, Span, Status, TIMER_UNTIL, Value, run_attributes};
use crate::event::{ActionKind, ActionSpec, Event, Fact, Lookup};
use crate::trace::{SpanId, TraceParent, TraceState, derived_span_id};
use crate::trigger::Firing;
use crate::{ActionName, AttemptNo, Failure, RunId, TaskName, Timestamp};

mod queued;
mod steps;

use queued::Waits;

/// The lifecycle of one run, as far as its events have been applied.
#[derive(Debug)]
pub struct Lifecycle {
    run: Arc<RunId>,
    shared: Arc<[Attribute]>,
    trace: RunTrace,
    firing: Option<Firing>,
    /// The caller's span, where the run has a caller.
    inbound: Option<TraceParent>,
    /// Actions that are not at their end.
    open: FxHashMap<ActionName, Open>,
    closed: Vec<Span>,
    /// How many steps were recorded: one that is recorded over has another id each time.
    steps: u32,
    ended: bool,
}

/// An action that is not at its end.
#[derive(Debug)]
struct Open {
    spec: Arc<ActionSpec>,
    enqueued: Timestamp,
    /// The action's own span.
    context: TraceParent,
    parent: Option<SpanId>,
    links: Vec<Link>,
    now: Now,
    /// The last attempt.
    attempts: u32,
    /// How many spans were made for it: each has an id of its own.
    ordinal: u32,
    cache: Option<&'static str>,
    /// Since when nothing is heard of the program that runs it.
    silent: Option<Timestamp>,
    /// Recorded steps, which later attempts read back instead of running them again.
    steps: Vec<(ActionName, TaskName)>,
}

/// What an open action does at the moment.
#[derive(Debug)]
enum Now {
    Queued {
        since: Timestamp,
        /// What it waits for, if it is not only for its launch.
        waits: Option<Waits>,
    },
    Attempt {
        attempt: AttemptNo,
        /// The attempt's own span.
        context: TraceParent,
        launched: Timestamp,
        moments: Vec<Moment>,
    },
    Backoff {
        since: Timestamp,
    },
    /// The root waits for a moment.
    Asleep {
        since: Timestamp,
    },
    /// Between two facts of one decision.
    Nothing,
}

impl Lifecycle {
    /// The lifecycle of a run before its first event.
    pub fn new(run: RunId, trace: RunTrace) -> Lifecycle {
        Lifecycle {
            shared: run_attributes(&run),
            run: Arc::new(run),
            trace,
            firing: None,
            inbound: None,
            open: FxHashMap::default(),
            closed: Vec::new(),
            steps: 0,
            ended: false,
        }
    }

    /// The lifecycle of a run that a trigger has fired.
    #[must_use]
    pub fn fired_by(self, firing: Option<Firing>) -> Lifecycle {
        Lifecycle { firing, ..self }
    }

    /// Applies an event; [`Lifecycle::take`] has the spans that it closed.
    pub fn apply(&mut self, event: &Event) {
        let (action, at) = (event.action, event.at);
        match &event.fact {
            Fact::Enqueued { spec } => self.enqueued(action, spec, at),
            Fact::StepRecorded { spec, started, ended, outcome, observed } => {
                if !observed {
                    self.step(action, spec, (*started, *ended), outcome);
                }
                self.step_stands(action, spec, outcome);
            }
            fact => {
                let Some(mut open) = self.open.remove(&action) else { return };
                match self.of_action(action, &mut open, fact, at) {
                    Some(outcome) => self.end(action, open, outcome, at),
                    None => {
                        self.open.insert(action, open);
                    }
                }
            }
        }
    }

    /// True once the root is at its end.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The spans that have ended since the last call.
    pub fn take(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.closed)
    }

    /// The spans that have not ended, as if they ended at `now`: for a view of a run that is under way.
    pub fn open_until(mut self, now: Timestamp) -> Vec<Span> {
        self.closed.clear();
        for (action, mut open) in std::mem::take(&mut self.open) {
            let running = Outcome::new(Status::Unset, "running");
            let now = open.silent.unwrap_or(now);
            self.end_part(action, &mut open, &running, now);
            self.end(action, open, running, now);
        }
        self.closed
    }

    fn id(&self, action: &ActionName, part: Part, attempt: u32, ordinal: u32) -> SpanId {
        derived_span_id(&self.run, action, part.as_str(), attempt, ordinal)
    }

    fn enqueued(&mut self, action: ActionName, spec: &Arc<ActionSpec>, at: Timestamp) {
        if self.open.contains_key(&action) {
            return;
        }
        if action.is_root() {
            self.inbound = spec.traceparent;
        }
        let caller = self.caller_of(spec);
        let part = own_part(action, spec);
        let mut links = Vec::new();
        // The map's span is the nearest, unless nobody records it; the root's is the run's own caller.
        let above = match spec.traceparent.filter(|_| !action.is_root() && part == Part::Action) {
            Some(frozen) if frozen.trace != caller.trace => {
                links.push(Link { to: caller, why: "caller" });
                frozen
            }
            Some(frozen) if frozen.is_sampled() => frozen,
            _ => caller,
        };
        let context = above.at(self.id(&action, part, 0, 0));
        let now = match part {
            Part::Wait | Part::Step => Now::Nothing,
            _ if spec.kind == ActionKind::Timer => Now::Asleep { since: at },
            _ => Now::Queued { since: at, waits: None },
        };
        let open = Open {
            spec: Arc::clone(spec),
            enqueued: at,
            context,
            parent: Some(above.span),
            links,
            now,
            attempts: 0,
            ordinal: 0,
            cache: None,
            silent: None,
            steps: Vec::new(),
        };
        self.open.insert(action, open);
    }

    /// The span of the attempt that asks for something; without one that of the run.
    fn caller_of(&self, spec: &ActionSpec) -> TraceParent {
        match spec.parent.and_then(|parent| self.open.get(&parent)) {
            Some(Open { now: Now::Attempt { context, .. }, .. }) => *context,
            Some(open) => open.context,
            None => Lifecycle::run_span(&self.run, self.inbound),
        }
    }

    /// Applies a fact to an open action; gives the outcome if the fact ends it.
    fn of_action(&mut self, action: ActionName, open: &mut Open, fact: &Fact, at: Timestamp) -> Option<Outcome> {
        match fact {
            Fact::WaitsForSlot { wait } => {
                if let Now::Queued { waits, .. } = &mut open.now {
                    *waits = Some(self.waits(wait.as_ref()));
                }
            }
            Fact::LookedUp { lookup, hit } => self.looked_up(action, open, lookup, *hit, at),
            // Of a step its own span says enough.
            Fact::Launched { attempt } if open.spec.kind == ActionKind::Step => open.attempts = attempt.0,
            Fact::Launched { attempt } => {
                self.end_part(action, open, &Outcome::new(Status::Unset, "success"), at);
                open.attempts = attempt.0;
                let moments = open.steps.iter().map(|(name, step)| steps::kept_step(name, step, at)).collect();
                let context = Lifecycle::attempt_span(&self.run, open.context, &action, *attempt);
                open.now = Now::Attempt { attempt: *attempt, context, launched: at, moments };
            }
            Fact::Started { .. } => self.started(action, open, at),
            Fact::AttemptFailed { failure, .. } => {
                self.end_part(action, open, &Outcome::failed("failure", failure), at);
            }
            Fact::AttemptTimedOut { .. } => {
                let failure = Failure::user(crate::code::MAX_RUNTIME_EXCEEDED, "max_runtime exceeded");
                self.end_part(action, open, &Outcome::failed("timeout", &failure), at);
            }
            Fact::QueueTimedOut => {
                let failure = Failure::user(crate::code::QUEUED_TIMEOUT_EXCEEDED, "max_queued_time exceeded");
                self.end_part(action, open, &Outcome::failed("timeout", &failure), at);
            }
            Fact::AttemptLost { reason, .. } => {
                let failure = Failure::system(crate::code::ATTEMPT_LOST, reason.as_str());
                self.end_part(action, open, &Outcome::failed("error", &failure), at);
            }
            Fact::AttemptReleased { .. } => {
                self.end_part(action, open, &Outcome::new(Status::Unset, "released"), at);
                open.now = Now::Queued { since: at, waits: None };
            }
            Fact::BackedOff { .. } => open.now = Now::Backoff { since: at },
            Fact::Reported { report } => open.cache = report.cache.word().or(open.cache),
            Fact::InDoubt { .. } if matches!(open.now, Now::Nothing) && open.spec.kind == ActionKind::Task => {
                open.now = Now::Backoff { since: at };
            }
            Fact::InDoubt { .. } => open.silent = Some(at),
            Fact::HeardAgain => open.silent = None,
            Fact::Requeued => {
                self.end_part(action, open, &Outcome::new(Status::Unset, "success"), at);
                open.now = Now::Queued { since: at, waits: None };
            }
            end => {
                let outcome = outcome_of(end)?;
                // The part under way ends as the action does; a failure that the span of its attempt shows is not shown twice.
                self.end_part(action, open, &outcome, at);
                return Some(outcome);
            }
        }
        None
    }

    fn looked_up(&mut self, action: ActionName, open: &mut Open, lookup: &Lookup, hit: bool, at: Timestamp) {
        let Now::Queued { since, waits } = &mut open.now else { return };
        let (since, waits) = (*since, waits.take());
        let asked_at = lookup.asked_at.clamp(since, at.max(since));
        // If another action computed the key, this one waited for that, not for a slot.
        self.queued(action, open, (since, asked_at), waits.filter(|_| lookup.waited_for.is_none()), None);
        let status = if hit { "hit" } else { "miss" };
        open.cache = Some(status);
        let mut span = self.part(action, open, Part::Lookup, None, (asked_at, at));
        span.details.push(("spanwise.cache.status", Value::Word(status)));
        span.links.extend(lookup.waited_for.map(|to| Link { to, why: "waited for" }));
        span.links.extend(lookup.producer.filter(|_| hit).map(|to| Link { to, why: "producer" }));
        self.close(span);
        open.now = Now::Queued { since: at.max(since), waits: None };
    }

    fn started(&mut self, action: ActionName, open: &mut Open, at: Timestamp) {
        let Now::Attempt { attempt, context, launched, .. } = open.now else { return };
        let mut span = self.part(action, open, Part::Starting, Some(attempt), (launched, at));
        span.parent = Some(context.span);
        self.close(span);
    }

    /// Ends what an open action does at the moment.
    fn end_part(&mut self, action: ActionName, open: &mut Open, outcome: &Outcome, at: Timestamp) {
        match std::mem::replace(&mut open.now, Now::Nothing) {
            Now::Queued { since, waits } => self.queued(action, open, (since, at), waits, Some(outcome)),
            Now::Attempt { attempt, context, launched, moments } => {
                let mut span = self.span(action, open, Part::Attempt, Some(attempt), (launched, at));
                span.name = format!("attempt {attempt}").into();
                span.context = context;
                if let Some(previous) = attempt.0.checked_sub(1).filter(|previous| *previous > 0) {
                    let to = Lifecycle::attempt_span(&self.run, context, &action, AttemptNo(previous));
                    span.links.push(Link { to, why: "previous attempt" });
                }
                span.moments = moments;
                span.details.push(("spanwise.attempt.result", Value::Word(outcome.result)));
                outcome.describe(&mut span);
                // The attempt took no time on a coarse clock: others refer to it all the same.
                self.closed.push(span);
            }
            Now::Backoff { since } => {
                let mut span = self.part(action, open, Part::Backoff, None, (since, at));
                if outcome.result == "success" {
                    let next = AttemptNo(open.attempts + 1);
                    let to = Lifecycle::attempt_span(&self.run, open.context, &action, next);
                    span.links.push(Link { to, why: "next attempt" });
                }
                self.close(span);
            }
            Now::Asleep { since } => {
                let mut span = self.part(action, open, Part::Wait, None, (since, at));
                span.name = "wait timer".into();
                span.details.extend(wakes_at(&open.spec));
                outcome.describe(&mut span);
                self.close(span);
            }
            Now::Nothing => {}
        }
    }

    /// The caller's `tracestate`, for spans of the caller's trace.
    fn state_of(&self, context: TraceParent) -> Option<TraceState> {
        let is_callers = self.inbound.is_some_and(|inbound| inbound.trace == context.trace);
        self.trace.state.clone().filter(|_| is_callers)
    }

    /// A span under an action's own, with an id of its own.
    fn part(
        &self,
        action: ActionName,
        open: &mut Open,
        part: Part,
        attempt: Option<AttemptNo>,
        times: (Timestamp, Timestamp),
    ) -> Span {
        let mut span = self.span(action, open, part, attempt, times);
        span.context.span = self.id(&action, part, attempt.map_or(0, |attempt| attempt.0), open.ordinal);
        span
    }

    /// A span under an action's own, still with the action's id.
    fn span(
        &self,
        action: ActionName,
        open: &mut Open,
        part: Part,
        attempt: Option<AttemptNo>,
        (start, end): (Timestamp, Timestamp),
    ) -> Span {
        open.ordinal += 1;
        let name = match part {
            Part::Lookup => "cache lookup",
            other => other.as_str(),
        };
        Span {
            run: Arc::clone(&self.run),
            shared: Arc::clone(&self.shared),
            part,
            context: open.context,
            state: self.state_of(open.context),
            parent: Some(open.context.span),
            name: name.into(),
            action,
            caller: None,
            task: open.spec.task.clone(),
            attempt,
            start,
            end: end.max(start),
            status: Status::Unset,
            details: Vec::new(),
            moments: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Keeps a span, unless it took no time.
    fn close(&mut self, span: Span) {
        if span.end > span.start {
            self.closed.push(span);
        }
    }

    /// Ends an action, and with the root the run.
    fn end(&mut self, action: ActionName, mut open: Open, outcome: Outcome, at: Timestamp) {
        let part = own_part(action, &open.spec);
        let times = (open.enqueued, at);
        let mut span = self.span(action, &mut open, part, None, times);
        span.parent = open.parent;
        span.caller = open.spec.parent;
        span.name = match part {
            Part::Wait if open.spec.kind == ActionKind::Timer => "wait timer".into(),
            Part::Wait => format!("wait {}", open.spec.task).into(),
            _ => open.spec.task.to_string().into(),
        };
        span.links = std::mem::take(&mut open.links);
        if let (Part::Step, Some(parent)) = (part, open.spec.parent) {
            span.details.push(("flyte.task_action_name", Value::from(parent.as_str())));
        }
        if part == Part::Action {
            span.details.push(("cicd.pipeline.task.name", Value::Text(open.spec.task.shared())));
            span.details.push(("cicd.pipeline.task.run.id", Value::from(action.as_str())));
            span.details.push(("spanwise.attempts", Value::Int(i64::from(open.attempts))));
            let cache = open.cache.unwrap_or(if open.spec.cache.is_some() { "overwrite" } else { "disabled" });
            span.details.push(("spanwise.cache.status", Value::Word(cache)));
        }
        if part == Part::Wait {
            span.details.extend(wakes_at(&open.spec));
        }
        if let Some(group) = &open.spec.group {
            span.details.push(("spanwise.group", Value::from(group.as_str())));
        }
        span.details.push(("cicd.pipeline.task.run.result", Value::Word(outcome.result)));
        outcome.describe(&mut span);
        let run = action.is_root().then(|| self.run_of(&span, &outcome));
        self.ended |= run.is_some();
        self.closed.push(span);
        self.closed.extend(run);
    }

    /// The run's span, made of its root's.
    fn run_of(&self, root: &Span, outcome: &Outcome) -> Span {
        let mut details = vec![
            ("cicd.pipeline.name", Value::Text(root.task.shared())),
            ("cicd.pipeline.action.name", Value::Word("RUN")),
            ("cicd.pipeline.run.id", Value::from(self.run.name.as_str())),
            ("cicd.pipeline.result", Value::Word(outcome.result)),
        ];
        details.extend(outcome.details.iter().cloned());
        details.extend(self.firing.iter().flat_map(firing::attributes));
        let of_trigger = self.firing.iter().flat_map(firing::links);
        let of_artifacts = self.trace.consumed.iter().map(|to| Link { to: *to, why: "artifact" });
        let links = self.trace.links.iter().map(|to| Link { to: *to, why: "source run" });
        let links = links.chain(of_artifacts).chain(of_trigger).collect();
        Span {
            part: Part::Run,
            context: Lifecycle::run_span(&self.run, self.inbound),
            state: self.inbound.and_then(|inbound| self.state_of(inbound)),
            parent: self.inbound.map(|inbound| inbound.span),
            name: format!("RUN {}", root.task).into(),
            details,
            links,
            moments: Vec::new(),
            ..root.clone()
        }
    }
}

/// What the span of an action itself is about: what its caller only waits for is a wait. A root is an action, whatever it does.
fn own_part(action: ActionName, spec: &ActionSpec) -> Part {
    match spec.kind {
        ActionKind::Step => Part::Step,
        ActionKind::Condition | ActionKind::Timer if !action.is_root() => Part::Wait,
        _ => Part::Action,
    }
}

/// Until when a timer waits.
fn wakes_at(spec: &ActionSpec) -> Option<Attribute> {
    let until = jiff::Timestamp::from_microsecond(spec.wake?.until.0).ok()?;
    Some((TIMER_UNTIL, Value::Text(until.to_string().into())))
}
