//! One action in detail.

use spanwise_core::history::{self, AttemptEnd, AttemptHistory};
use spanwise_core::{
    Action, ActionKind, ActionName, AttemptNo, End, Failure, FailureKind, Phase, Scope, Source, State, Timestamp,
};
use spanwise_engine::RunHandle;
use spanwise_wire::{Definition, display, display::Budget, display::Named};

use super::format::{Badge, Span, When, badge, length, ran, size, span, when};
use super::span::elsewhere;
use super::value::{Links, Value};
use super::view::View;
use super::{PageError, Pages, address};
use crate::control::{self, LogEnd};
use crate::secrecy::shown_pairs;

/// Attempts that are listed, the last ones.
const SHOWN_ATTEMPTS: usize = 50;

pub(super) struct Panel {
    pub(super) name: String,
    pub(super) short: String,
    pub(super) task: String,
    pub(super) kind: &'static str,
    pub(super) badge: Badge,
    pub(super) facts: Vec<Fact>,
    pub(super) error: Option<ErrorView>,
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) earlier_attempts: usize,
    pub(super) log: Option<LogView>,
    pub(super) inputs: Values,
    pub(super) outputs: Values,
    pub(super) context: Vec<(String, String)>,
    pub(super) commands: Vec<(&'static str, String)>,
    /// True if a button can end this action alone.
    pub(super) can_abort: bool,
    pub(super) full: Option<String>,
    pub(super) links: Links,
}

impl Panel {
    pub(super) fn value<'a>(&'a self, named: &'a Named) -> Value<'a> {
        Value { tree: &named.tree, links: &self.links }
    }
}

/// Something that is known about the action.
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) text: String,
    pub(super) href: Option<String>,
    pub(super) when: Option<When>,
    pub(super) length: Option<Span>,
}

impl Fact {
    fn text(label: &'static str, text: impl Into<String>) -> Fact {
        Fact { label, text: text.into(), href: None, when: None, length: None }
    }

    fn link(label: &'static str, text: impl Into<String>, href: String) -> Fact {
        Fact { href: Some(href), ..Fact::text(label, text) }
    }

    fn when(label: &'static str, at: When) -> Fact {
        Fact { when: Some(at), ..Fact::text(label, "") }
    }

    fn length(label: &'static str, span: Span) -> Fact {
        Fact { length: Some(span), ..Fact::text(label, "") }
    }
}

pub(super) struct ErrorView {
    pub(super) title: String,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
    pub(super) position: Option<String>,
    pub(super) note: &'static str,
}

fn error_view(failure: &Failure) -> ErrorView {
    let whose = match failure.kind {
        FailureKind::User | FailureKind::Unknown => "",
        FailureKind::System => "a failure of the system, not of the task",
    };
    let note = if failure.recoverable { whose } else { "not recoverable: it is not tried again" };
    ErrorView {
        title: failure.code.clone(),
        message: failure.message.trim_end().to_owned(),
        causes: failure.causes.clone(),
        position: failure.position.clone(),
        note,
    }
}

pub(super) struct AttemptRow {
    pub(super) number: u32,
    pub(super) badge: Badge,
    pub(super) launched: When,
    pub(super) waited: String,
    pub(super) length: Span,
    pub(super) note: String,
    pub(super) log: Option<String>,
    pub(super) show: String,
    pub(super) report: Option<String>,
    pub(super) shown: bool,
}

pub(super) struct LogView {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) download: String,
    /// The attempt's span, if the run is traced.
    pub(super) span: Option<LogSpan>,
    /// Where new lines come from, while there are any.
    pub(super) events: Option<String>,
    pub(super) end: LogEnd,
    pub(super) size: String,
}

/// The ids by which a log and a trace are found from one another.
pub(super) struct LogSpan {
    pub(super) trace: String,
    pub(super) id: String,
    /// Where the trace is opened in another tool.
    pub(super) elsewhere: Option<(String, String)>,
}

/// Named values, or why there are none.
pub(super) struct Values {
    pub(super) values: Vec<Named>,
    pub(super) instead: String,
}

impl Values {
    fn none(instead: impl Into<String>) -> Values {
        Values { values: Vec::new(), instead: instead.into() }
    }

    fn is_cut(&self) -> bool {
        self.values.iter().any(|value| value.tree.is_cut())
    }
}

impl Panel {
    pub(super) async fn of(
        pages: &Pages,
        run: &RunHandle,
        name: ActionName,
        action: &Action,
        view: &View,
    ) -> Result<Panel, PageError> {
        let events = run.events_of(&name).await?;
        let history = history::attempts(&events);
        let (inputs, outputs) = run.payloads(&name).await?;
        let budget = if view.full { Budget::FULL } else { Budget::BRIEF };
        let context = inputs.as_ref().and_then(|inputs| display::context(inputs).ok()).unwrap_or_default();
        let inputs = match inputs {
            Some(bytes) => shown(display::inputs(&bytes, budget), "none"),
            None => Values::none("none"),
        };
        let delivered = matches!(action.phase(), Phase::Succeeded | Phase::Recovered);
        let outputs = match outputs.filter(|_| delivered) {
            Some(bytes) => shown(display::outputs(&bytes, budget), "none"),
            None if delivered => Values::none("none"),
            None if action.is_finished() => Values::none("none: it did not succeed"),
            None => Values::none("not yet"),
        };
        let full = (!view.full && (inputs.is_cut() || outputs.is_cut())).then(|| view.with(|view| view.full = true));
        let links = Links::new(&pages.signer);
        let chosen_attempt = view.attempt.unwrap_or(action.attempts);
        let attempts = attempts(pages, run, name, action, &history, view, &links).await?;
        let spec = &action.spec;
        Ok(Panel {
            name: name.to_string(),
            short: spec.task.short().to_owned(),
            task: spec.task.to_string(),
            kind: match spec.kind {
                ActionKind::Task => "task",
                ActionKind::Step => "step",
                ActionKind::Condition => "condition",
                ActionKind::Timer => "timer",
            },
            badge: badge(action.phase()),
            facts: facts(pages, run, &name, action)?,
            error: error(action, &history),
            earlier_attempts: history.len().saturating_sub(SHOWN_ATTEMPTS),
            attempts,
            log: log_view(pages, run, name, action, (AttemptNo(chosen_attempt), &history)),
            inputs,
            outputs,
            context: shown_pairs(context.iter().map(|(key, value)| (key, value))),
            commands: commands(pages, run, name, spec.kind),
            can_abort: !action.is_finished() && !name.is_root() && spec.tracked.is_none(),
            full,
            links,
        })
    }
}

fn shown(values: Result<Vec<Named>, spanwise_wire::Invalid>, none: &str) -> Values {
    match values {
        Ok(values) => Values { values, instead: none.to_owned() },
        Err(error) => Values::none(error.to_string()),
    }
}

fn facts(pages: &Pages, run: &RunHandle, name: &ActionName, action: &Action) -> Result<Vec<Fact>, PageError> {
    let (now, times) = (run.now(), action.times());
    let mut facts = vec![Fact::when("Created", when(times.created, now))];
    // Each has its line from the beginning: nothing moves when it comes. A condition or a timer is never started.
    let later = |label, at: Option<Timestamp>| match at {
        Some(at) => Fact::when(label, when(at, now)),
        None => Fact::text(label, if action.is_finished() { "never" } else { "not yet" }),
    };
    let runs = !matches!(action.spec.kind, ActionKind::Condition | ActionKind::Timer);
    facts.extend(runs.then(|| later("Started", times.started)));
    facts.push(later("Ended", times.ended));
    facts.push(Fact::length("Took", span(times.created, times.ended, now)));
    let ran = ran(&times, now).map_or_else(|| Fact::text("Ran", "-"), |ran| Fact::length("Ran", ran));
    facts.extend(runs.then_some(ran));
    facts.extend(state(run, name, action, now));
    if let Some(policy) = &action.spec.cache {
        facts.push(cache(run, action, policy.overwrite));
    }
    if let Some(End::Reused(source @ Source::Recovery { .. })) = action.end() {
        facts.push(source_link("Outputs from", run, source));
    }
    if let Some(parent) = action.spec.parent {
        let task = run.action(&parent).map(|parent| parent.spec.task.short().to_owned());
        facts.push(Fact::link("Parent", task.unwrap_or_default(), address::run(run.id(), Some(&parent))));
    }
    facts.extend(action.spec.group.as_ref().map(|group| Fact::text("Group", group)));
    if let Some(queue) = &action.spec.queue {
        let no_queue = pages.control.queue_not_there(queue).filter(|_| !name.is_root());
        facts.push(Fact::text("Queue", queue.as_ref()));
        facts.extend(no_queue.map(|said| Fact::text("Warning", said)));
    }
    let retries = action.spec.retry.retries;
    if retries > 0 {
        facts.push(Fact::text("Retries", format!("up to {retries}")));
    }
    facts.extend(timeouts(action).map(|text| Fact::text("Limits", text)));
    if let Some(definition) = pages.control.definition(&action.spec)? {
        facts.extend(requested(&definition));
        facts.extend(definition.task_version().map(|version| Fact::text("Version", version)));
        facts.extend(pod(&definition));
        // What is said of the root stands above, with the run.
        let not_honoured = if name.is_root() { Vec::new() } else { definition.not_honoured() };
        facts.extend(not_honoured.into_iter().map(|said| Fact::text("Warning", said)));
    }
    Ok(facts)
}

/// What a pod template says about the action.
fn pod(definition: &Definition) -> Vec<Fact> {
    let pairs = |pairs: Vec<(String, String)>| {
        let shown = shown_pairs(pairs.iter().map(|(key, value)| (key, value)));
        shown.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    };
    let titled = |(name, values)| match name {
        "labels" => Fact::text("Pod labels", pairs(values)),
        _ => Fact::text("Pod annotations", pairs(values)),
    };
    definition.pod_metadata().into_iter().map(titled).collect()
}

/// What a condition asks, of whatever state.
fn requested(definition: &Definition) -> Vec<Fact> {
    let Some(condition) = definition.condition() else { return Vec::new() };
    let text = |label, text: &str| (!text.trim().is_empty()).then(|| Fact::text(label, text.trim()));
    let mut facts: Vec<Fact> = condition.python_type().map(|kind| Fact::text("Waits for", kind)).into_iter().collect();
    facts.extend(text("Prompt", &condition.prompt));
    facts.extend(text("Description", &condition.description));
    let webhook = condition.webhook.map(|url| Fact::text("Webhook", format!("not honoured: `{url}` is not called")));
    facts.extend(webhook);
    facts
}

/// What the action is doing, where its phase does not say it.
fn state(run: &RunHandle, name: &ActionName, action: &Action, now: Timestamp) -> Option<Fact> {
    Some(match &action.state {
        State::Backoff { until } => {
            Fact::text("Waits", format!("{} before its next attempt", length(until.since(now))))
        }
        State::Queued { waits_for_slot: true, .. } | State::Asleep { .. } => {
            Fact::text("Waits", crate::waits::text(&run.waits_for(name)?))
        }
        State::Finished(End::Signalled { by }) => Fact::text("Signalled by", by),
        _ => return None,
    })
}

fn timeouts(action: &Action) -> Option<String> {
    let timeouts = &action.spec.timeouts;
    let limits = [("run", timeouts.max_runtime), ("queued", timeouts.max_queued_time), ("in all", timeouts.deadline)];
    let texts: Vec<String> =
        limits.iter().filter_map(|(word, limit)| limit.map(|limit| format!("{word} {}", length(limit)))).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn cache(run: &RunHandle, action: &Action, overwrite: bool) -> Fact {
    match action.end() {
        Some(End::Reused(source @ Source::Cache { .. })) => source_link("Cache hit", run, source),
        Some(End::Succeeded { .. }) => Fact::text("Cache", if overwrite { "replaced" } else { "miss, now stored" }),
        _ if overwrite => Fact::text("Cache", "not asked: the run overwrites it"),
        _ => Fact::text("Cache", "miss"),
    }
}

fn source_link(label: &'static str, run: &RunHandle, source: &Source) -> Fact {
    let (name, scope, action) = match source {
        Source::Cache { run, scope, action, .. } => {
            (run, scope.as_deref(), Some(action).filter(|name| !name.is_root()))
        }
        Source::Recovery { run, .. } => (run, None, None),
    };
    let mut text = match action {
        Some(action) => format!("{name}, {action}"),
        None => name.clone(),
    };
    if let Some(Scope { project, domain, .. }) = scope {
        text = format!("{text} of {project}/{domain}");
    }
    match source.run_id(run.id()) {
        Some(id) => Fact::link(label, text, address::run(&id, action)),
        None => Fact::text(label, text),
    }
}

/// The error of the action, or of the attempt before the one that is under way.
fn error(action: &Action, history: &[AttemptHistory]) -> Option<ErrorView> {
    let of_attempt = || {
        history.iter().rev().find_map(|attempt| match &attempt.end {
            Some((_, AttemptEnd::Failed(failure))) => {
                Some(ErrorView { note: "of an attempt; the action goes on", ..error_view(failure) })
            }
            _ => None,
        })
    };
    match action.end() {
        Some(End::Failed(failure) | End::TimedOut(failure)) => Some(error_view(failure)),
        Some(End::Aborted { by, reason }) => Some(ErrorView {
            title: format!("Aborted by {by}"),
            message: reason.clone(),
            causes: Vec::new(),
            position: None,
            note: "",
        }),
        Some(_) => None,
        None if action.is_in_doubt() => action
            .failure()
            .map(|failure| ErrorView { note: "unless its program reports something else", ..error_view(failure) }),
        None => of_attempt(),
    }
}

async fn attempts(
    pages: &Pages,
    run: &RunHandle,
    name: ActionName,
    action: &Action,
    history: &[AttemptHistory],
    view: &View,
    links: &Links,
) -> Result<Vec<AttemptRow>, PageError> {
    let now = run.now();
    let mut rows = Vec::new();
    for attempt in history.iter().rev().take(SHOWN_ATTEMPTS) {
        let (phase, note) = end_of(attempt);
        let number = attempt.attempt;
        let report = pages.control.report(run.id(), &name, number).await?;
        let has_log = pages.control.log(run, name, number).exists();
        rows.push(AttemptRow {
            number: number.0,
            badge: badge(phase),
            launched: when(attempt.launched_at, now),
            waited: length(attempt.launched_at.since(attempt.queued_at)),
            length: span(attempt.launched_at, attempt.end.as_ref().map(|(at, _)| *at), now),
            note,
            log: has_log.then(|| address::log(run.id(), &name, number, "")),
            show: view.with(|view| view.attempt = Some(number.0)),
            report: report.map(|report| links.to(&report)),
            shown: view.attempt.unwrap_or(action.attempts) == number.0,
        });
    }
    Ok(rows)
}

fn end_of(attempt: &AttemptHistory) -> (Phase, String) {
    let Some((_, end)) = &attempt.end else {
        return (if attempt.started_at.is_some() { Phase::Running } else { Phase::Initializing }, String::new());
    };
    match end {
        AttemptEnd::Succeeded => (Phase::Succeeded, String::new()),
        AttemptEnd::Failed(failure) => (Phase::Failed, failure.code.clone()),
        AttemptEnd::TimedOut => (Phase::TimedOut, String::new()),
        AttemptEnd::Lost(reason) => (Phase::Failed, format!("lost: {reason}")),
        AttemptEnd::Released => (Phase::Aborted, "given back: the server was shut down".to_owned()),
        AttemptEnd::Aborted => (Phase::Aborted, String::new()),
    }
}

fn log_view(
    pages: &Pages,
    run: &RunHandle,
    name: ActionName,
    action: &Action,
    (attempt, history): (AttemptNo, &[AttemptHistory]),
) -> Option<LogView> {
    let live = action.attempt() == Some(attempt);
    let end = pages.control.log(run, name, attempt).end(live)?;
    Some(LogView {
        id: format!("log-{name}-{attempt}{}", if live { "-live" } else { "" }),
        attempt: attempt.0,
        download: address::log(run.id(), &name, attempt, ""),
        span: run.attempt_span(&name, attempt).map(|span| {
            let trace = span.trace.to_string();
            let ended = history.iter().find(|other| other.attempt == attempt).and_then(|other| other.end.as_ref());
            let times = (action.enqueued_at, ended.map_or_else(|| run.now(), |(at, _)| *at));
            LogSpan { id: span.span.to_string(), elsewhere: elsewhere(pages, run, &trace, times), trace }
        }),
        events: live.then(|| address::log(run.id(), &name, attempt, "/events")),
        size: size(end.size),
        end,
    })
}

/// What to type to run the task of an action again; nothing where only the run's own program could.
fn commands(pages: &Pages, run: &RunHandle, name: ActionName, kind: ActionKind) -> Vec<(&'static str, String)> {
    if kind != ActionKind::Task || !control::is_driven_here(run) || run.settings().tracked {
        return Vec::new();
    }
    let (id, endpoint) = (run.id(), &pages.endpoint);
    let (of_command, of_python) = match name.is_root() {
        true => (String::new(), String::new()),
        false => (format!(" --action-name {name}"), format!(", action_name=\"{name}\"")),
    };
    let command = format!(
        "flyte --endpoint dns:///{endpoint} --insecure rerun {} -p {} -d {}{of_command}",
        id.name, id.project, id.domain
    );
    let python = format!(
        "import flyte\nflyte.init(endpoint=\"{endpoint}\", insecure=True, project=\"{}\", domain=\"{}\")\nrun = flyte.rerun(\"{}\"{of_python})\nrun.wait()",
        id.project, id.domain, id.name
    );
    vec![("Shell", command), ("Python", python)]
}
