//! Lifecycle spans: what the engine did for a run, as a trace shows it. A projection of the journal: the same events give the same
//! spans with the same ids, whenever and however often they are made.
//!
//! | span | kind | name | parent | from .. to |
//! |---|---|---|---|---|
//! | run | SERVER | `RUN {task}` | the caller's span, else none | accepted .. at its end |
//! | action | INTERNAL | `{task}` | the span in its frozen map, else the attempt that asked for it | accepted .. at its end |
//! | queued | INTERNAL | `queued` | action | accepted or requeued .. launched |
//! | lookup | INTERNAL | `cache lookup` | action | asked .. answered |
//! | attempt | CONSUMER | `attempt {n}` | action | launched .. ended |
//! | starting | INTERNAL | `starting` | attempt | launched .. first sign of life |
//! | step | INTERNAL | `{step}` | the attempt that ran it | its body's own times |
//! | backoff | INTERNAL | `backoff` | action | an attempt's end .. requeued |
//! | wait | INTERNAL | `wait {condition}`, `wait timer` | the attempt that waits; of a root, the action | created .. resolved |
//!
//! The parts of an action (queued, lookup, attempt, backoff, the wait of a root) cover its time without a gap and without an overlap; parts that took no
//! time are left out.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::trace::{SpanId, TraceId, TraceParent, TraceState};
use crate::{ActionName, AttemptNo, RunId, TaskName, Timestamp};

mod contexts;
mod explain;
mod firing;
mod outcome;
mod projection;

pub use explain::{Contributor, Explanation, Share, Stretch, Use, explain};
pub use projection::Lifecycle;

/// The label by which a run says how it is traced, by the name of a [`TraceLevel`]: every client of Flyte's can set it.
pub const TRACE_LABEL: &str = "spanwise.trace";

/// The label by which a run says that its program makes spans of its steps itself (`off`), so that the engine does not: `on` is the
/// default.
pub const STEPS_LABEL: &str = "spanwise.steps";

/// The attribute by which the span of a timer says until when it waits.
pub const TIMER_UNTIL: &str = "spanwise.timer.until";

/// How much of what the engine does is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceLevel {
    /// Nothing: ids flow through the map as they are.
    #[default]
    Off,
    /// The lifecycle of runs, actions and attempts.
    Lifecycle,
    /// The same and the API calls.
    Full,
}

/// A text that names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level of tracing: off, lifecycle or full")]
pub struct NotALevel(String);

impl std::str::FromStr for TraceLevel {
    type Err = NotALevel;
    fn from_str(text: &str) -> Result<TraceLevel, NotALevel> {
        match text {
            "off" => Ok(TraceLevel::Off),
            "lifecycle" => Ok(TraceLevel::Lifecycle),
            "full" => Ok(TraceLevel::Full),
            other => Err(NotALevel(other.chars().take(40).collect())),
        }
    }
}

impl std::fmt::Display for TraceLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            TraceLevel::Off => "off",
            TraceLevel::Lifecycle => "lifecycle",
            TraceLevel::Full => "full",
        })
    }
}

/// How a run is traced: decided when it is accepted and kept with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunTrace {
    /// How much.
    #[serde(default)]
    pub level: TraceLevel,
    /// False if the caller does not record the trace, or the dice said no: nothing is exported.
    #[serde(default)]
    pub sampled: bool,
    /// The runs that this one comes from: the run span of the one that it repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<TraceParent>,
    /// The attempts that have made the artifacts which it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<TraceParent>,
    /// The caller's `tracestate`, which belongs to every span of its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TraceState>,
}

impl RunTrace {
    /// Decides for a run. The caller's decision rules; a run without a caller is taken with the probability `ratio`, by its trace
    /// id, so that whoever decides by the same id decides the same.
    pub fn decide(level: TraceLevel, ratio: f64, run: &RunId, inbound: Option<TraceParent>) -> RunTrace {
        let sampled = match inbound {
            Some(parent) => parent.is_sampled(),
            None => is_taken(crate::trace::derived_trace_id(run), ratio),
        };
        RunTrace { level, sampled, links: Vec::new(), consumed: Vec::new(), state: None }
    }

    /// With the caller's `tracestate`. A malformed one is left out, as the recommendation says; its trace stays.
    pub fn with_state(self, tracestate: Option<&str>) -> RunTrace {
        RunTrace { state: tracestate.and_then(|state| state.parse().ok()), ..self }
    }

    /// True if the spans of the run are made and exported.
    pub fn is_exported(&self) -> bool {
        self.level > TraceLevel::Off && self.sampled
    }
}

/// The rule of OpenTelemetry's `TraceIdRatioBased` sampler: the last 8 bytes of the id, without the highest bit, against the ratio.
fn is_taken(trace: TraceId, ratio: f64) -> bool {
    let low = u128::from_be_bytes(trace.0) as u64 >> 1;
    ratio >= 1.0 || (low as f64) < ratio.max(0.0) * (1u64 << 63) as f64
}

/// What a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The run as a whole.
    Run,
    /// An action.
    Action,
    /// Its wait for an executor or a slot.
    Queued,
    /// Its question to the cache.
    Lookup,
    /// One of its attempts.
    Attempt,
    /// The beginning of an attempt, until its first sign of life.
    Starting,
    /// A recorded step.
    Step,
    /// The pause after an attempt.
    Backoff,
    /// A condition or a timer.
    Wait,
    /// An API call about the run, which is no part of its journal.
    Call,
}

impl Part {
    /// The word for it in derived ids and in the attribute `spanwise.part`.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Run => "run",
            Part::Action => "action",
            Part::Queued => "queued",
            Part::Lookup => "lookup",
            Part::Attempt => "attempt",
            Part::Starting => "starting",
            Part::Step => "step",
            Part::Backoff => "backoff",
            Part::Wait => "wait",
            Part::Call => "call",
        }
    }
}

/// A value of an attribute.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text.
    Text(Arc<str>),
    /// A text of the program's own; equal to any text that reads the same.
    Word(&'static str),
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl Value {
    /// A text of either kind.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Word(word) => Some(word),
            Value::Int(_) | Value::Bool(_) => None,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Int(one), Value::Int(two)) => one == two,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (one, two) => one.as_text().is_some() && one.as_text() == two.as_text(),
        }
    }
}

impl Eq for Value {}

/// An attribute.
pub type Attribute = (&'static str, Value);

/// The attributes that every span of a run has: they say which run it is.
pub fn run_attributes(run: &RunId) -> Arc<[Attribute]> {
    let texts = [
        ("flyte.org", run.org.as_str()),
        ("flyte.project", &run.project),
        ("flyte.domain", &run.domain),
        ("flyte.run_name", run.name.as_str()),
    ];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key, text.into())).collect()
}

/// The outcome that a span shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing is said.
    Unset,
    /// Well.
    Ok,
    /// Not well, for this reason.
    Error(String),
}

/// Something that happened at one moment of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its name.
    pub name: &'static str,
    /// When.
    pub at: Timestamp,
    /// More about it.
    pub attributes: Vec<Attribute>,
}

/// Another span that belongs to this one, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The span.
    pub to: TraceParent,
    /// Why it is linked, as the attribute `spanwise.link`.
    pub why: &'static str,
}

/// A span of the engine's, ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The run.
    pub run: Arc<RunId>,
    /// The run's [`run_attributes`].
    pub shared: Arc<[Attribute]>,
    /// What it is about.
    pub part: Part,
    /// Its trace, its id and the trace's flags.
    pub context: TraceParent,
    /// The `tracestate` of the caller.
    pub state: Option<TraceState>,
    /// The span above it.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: Cow<'static, str>,
    /// The action.
    pub action: ActionName,
    /// For an action, a step or a condition: the action that asked for it. The parent of the span may be one of the user's that is between the two.
    pub caller: Option<ActionName>,
    /// The action's task, the step's or the condition's name.
    pub task: TaskName,
    /// The attempt.
    pub attempt: Option<AttemptNo>,
    /// From when.
    pub start: Timestamp,
    /// Until when; never before its start.
    pub end: Timestamp,
    /// How it came out.
    pub status: Status,
    /// What is particular to it; [`Span::attributes`] has all of them.
    pub details: Vec<Attribute>,
    /// What happened meanwhile.
    pub moments: Vec<Moment>,
    /// The spans that belong to it.
    pub links: Vec<Link>,
}

impl Span {
    /// Every attribute: those that user spans have too, so that one query finds both, and the span's own.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> {
        let task = match self.part {
            Part::Step => "flyte.step_name",
            Part::Wait if !self.details.iter().any(|(key, _)| *key == TIMER_UNTIL) => "flyte.condition_name",
            _ => "flyte.task_name",
        };
        let action = (self.part != Part::Call).then(|| ("flyte.action_name", Value::from(self.action.as_str())));
        let task = (!self.task.as_str().is_empty()).then(|| (task, Value::Text(self.task.shared())));
        let part = ("spanwise.part", Value::Word(self.part.as_str()));
        let attempt = self.attempt.map(|attempt| ("flyte.attempt", Value::Int(i64::from(attempt.0))));
        let own = action.into_iter().chain(task).chain([part]).chain(attempt);
        self.shared.iter().cloned().chain(own).chain(self.details.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t5_the_callers_decision_rules_and_the_ratio_decides_by_the_trace_id() {
        let run = |name: &str| RunId {
            org: String::new(),
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: crate::RunName::new(name).unwrap(),
        };
        let caller = |flags| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}").parse().ok();
        let decided =
            |ratio, inbound| RunTrace::decide(TraceLevel::Lifecycle, ratio, &run("r1"), inbound).is_exported();
        assert!(decided(0.0, caller("03")));
        assert!(!decided(1.0, caller("00")));
        assert!(!decided(1.0, caller("02")));
        assert!(decided(1.0, None));
        assert!(!decided(0.0, None));
        assert!(!decided(f64::NAN, None));
        assert!(!RunTrace::decide(TraceLevel::Off, 1.0, &run("r1"), None).is_exported());
        let taken = (0..1000).filter(|index| is_taken(derived(*index), 0.25)).count();
        assert!((200..300).contains(&taken), "{taken}");
        fn derived(index: u32) -> TraceId {
            let name = crate::RunName::new(&format!("r{index}")).unwrap();
            crate::trace::derived_trace_id(&RunId {
                org: String::new(),
                project: String::new(),
                domain: String::new(),
                name,
            })
        }
    }

    #[test]
    fn levels_are_read_as_they_are_written() {
        for level in [TraceLevel::Off, TraceLevel::Lifecycle, TraceLevel::Full] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("on".parse::<TraceLevel>().unwrap_err().to_string().contains("`on`"));
    }
}
