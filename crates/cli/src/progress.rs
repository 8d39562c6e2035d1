//! What is shown of a run that is under way: a tree that can be redrawn, and a line for each change.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanwise::{ActionKind, ActionName, ActionView, Phase, Timestamp};

use crate::terminal::{Line, Style};
use crate::trace_tree::human;

/// Between two frames, so that clocks and spinners move.
pub(crate) const FRAME: Duration = Duration::from_millis(80);
const SPINNER: [&str; 8] = ["⣾", "⣽", "⣻", "⢿", "⡿", "⣟", "⣯", "⣷"];

/// More children of one task than this are one line.
const MOST_APART: usize = 4;

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The part of a task's name that is the function's.
fn function(action: &ActionView) -> &str {
    action.task.as_str().rsplit('.').next().unwrap_or_default()
}

fn is_step(action: &ActionView) -> bool {
    action.kind == ActionKind::Step
}

/// The actions as a tree; those of one group, and many of one task, are one line.
pub(crate) fn tree(actions: &[ActionView], now: Timestamp, frame: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let roots: Vec<&ActionView> = actions.iter().filter(|action| action.parent.is_none()).collect();
    for root in roots {
        lines.push(row(root, "", now, frame));
        branches(actions, root.name, "", now, frame, &mut lines);
    }
    lines
}

fn branches(
    actions: &[ActionView],
    parent: ActionName,
    prefix: &str,
    now: Timestamp,
    frame: usize,
    lines: &mut Vec<Line>,
) {
    let families = families(actions, parent);
    let last = families.len().saturating_sub(1);
    for (index, family) in families.iter().enumerate() {
        let (tee, bar) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let start = format!("{prefix}{tee}");
        if let [child] = family[..] {
            lines.push(row(child, &start, now, frame));
            branches(actions, child.name, &format!("{prefix}{bar}"), now, frame, lines);
        } else {
            lines.push(family_row(family, &start, now, frame));
        }
    }
}

/// The children of an action, those together that are one line.
fn families(actions: &[ActionView], parent: ActionName) -> Vec<Vec<&ActionView>> {
    let children = || actions.iter().filter(|action| action.parent == Some(parent));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for child in children() {
        *counts.entry(child.task.as_str()).or_default() += 1;
    }
    let is_apart = |child: &ActionView| child.group.is_none() && counts[child.task.as_str()] <= MOST_APART;
    let mut families: Vec<Vec<&ActionView>> = Vec::new();
    let mut positions: HashMap<(Option<&str>, &str), usize> = HashMap::new();
    for child in children() {
        let task = if child.group.is_some() { "" } else { child.task.as_str() };
        match positions.get(&(child.group.as_deref(), task)).filter(|_| !is_apart(child)) {
            Some(position) => families[*position].push(child),
            None => {
                positions.insert((child.group.as_deref(), task), families.len());
                families.push(vec![child]);
            }
        }
    }
    families
}

/// How many actions are in which phase, and since when the run is under way.
pub(crate) fn summary(run: &str, actions: &[ActionView], now: Timestamp) -> Line {
    let all: Vec<&ActionView> = actions.iter().collect();
    let mut line = Line::new().add(Style::Strong, run);
    let mut between = "  ";
    for phase in Phase::ALL.into_iter().rev() {
        let count = actions.iter().filter(|action| action.phase == phase).count();
        if count > 0 {
            line = line.add(Style::Plain, between).add(sign(phase, 0).0, format!("{count} {}", word(phase)));
            between = " · ";
        }
    }
    line.add(Style::Dim, format!("  {}", human(lasted(&all, now))))
}

fn row(action: &ActionView, prefix: &str, now: Timestamp, frame: usize) -> Line {
    let (style, sign) = sign(action.phase, frame);
    let mut line =
        Line::new().add(Style::Dim, prefix).add(style, sign).add(Style::Strong, format!(" {}", function(action)));
    line = line.add(style, format!("  {}", said(action)));
    line.add(Style::Dim, format!("  {}", human(lasted(&[action], now)))).add(Style::Bad, trouble(action))
}

fn family_row(family: &[&ActionView], prefix: &str, now: Timestamp, frame: usize) -> Line {
    let phase = family.iter().map(|action| action.phase).find(|phase| !phase.is_terminal());
    let worst = family.iter().map(|action| action.phase).find(|phase| *phase != Phase::Succeeded);
    let (style, sign) = sign(phase.or(worst).unwrap_or(Phase::Succeeded), frame);
    let counts: Vec<String> = Phase::ALL
        .iter()
        .rev()
        .map(|phase| (phase, family.iter().filter(|action| action.phase == *phase).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(phase, count)| format!("{count} {}", word(*phase)))
        .collect();
    let name = format!(" {} ×{}", function(family[0]), family.len());
    let line = Line::new().add(Style::Dim, prefix).add(style, sign).add(Style::Strong, name);
    let line = line.add(style, format!("  {}", counts.join(", ")));
    line.add(Style::Dim, format!("  {}", human(lasted(family, now))))
}

fn sign(phase: Phase, frame: usize) -> (Style, &'static str) {
    match phase {
        Phase::Succeeded | Phase::Recovered => (Style::Good, "✓"),
        Phase::Failed | Phase::Aborted | Phase::TimedOut => (Style::Bad, "✗"),
        Phase::Queued | Phase::WaitingForResources | Phase::Paused => (Style::Dim, "·"),
        Phase::Initializing | Phase::Running => (Style::Busy, SPINNER[frame % SPINNER.len()]),
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::WaitingForResources => "waiting",
        Phase::Initializing => "starting",
        Phase::Running => "running",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::Aborted => "aborted",
        Phase::TimedOut => "timed out",
        Phase::Paused => "paused",
        Phase::Recovered => "recovered",
    }
}

/// The phase in words, with the attempt if it is not the first.
fn said(action: &ActionView) -> String {
    match (action.phase, action.attempts) {
        _ if is_step(action) => "recorded".to_owned(),
        (Phase::Queued, 1..) => format!("waits for attempt {}", action.attempts + 1),
        (phase, 0 | 1) => word(phase).to_owned(),
        (phase, attempts) => format!("{}, attempt {attempts}", word(phase)),
    }
}

fn trouble(action: &ActionView) -> String {
    action.failure.as_ref().map(|failure| format!("  {}", failure.message)).unwrap_or_default()
}

/// From the first acceptance to the last end, or until now.
fn lasted(actions: &[&ActionView], now: Timestamp) -> Duration {
    let start = actions.iter().map(|action| action.enqueued_at).min().unwrap_or(now);
    let end = actions.iter().map(|action| action.ended_at.unwrap_or(now)).max().unwrap_or(now);
    end.since(start)
}

/// What has been said about each action.
#[derive(Default)]
pub(crate) struct Seen(HashMap<ActionName, String>);

impl Seen {
    /// A line for each action that is not as it was: ends first, in their order and a child's before its parent's, because
    /// several changes may come at once.
    pub(crate) fn changes(&mut self, actions: &[ActionView]) -> Vec<Line> {
        let Some(began) = actions.first().map(|root| root.enqueued_at) else { return Vec::new() };
        let elapsed = human(now().since(began));
        let mut lines = Vec::new();
        let open = Timestamp(i64::MAX);
        let mut counts: HashMap<(Option<ActionName>, &str), usize> = HashMap::new();
        for (index, action) in actions.iter().enumerate() {
            let number = counts.entry((action.parent, function(action))).or_default();
            *number += 1;
            let said = said(action);
            if self.0.insert(action.name, said.clone()).is_some_and(|before| before == said) {
                continue;
            }
            let name = match &action.group {
                Some(_) => format!("{} {number}", function(action)),
                None => function(action).to_owned(),
            };
            let line = Line::new().add(Style::Plain, format!("{elapsed:>8}  {name}: {said}{}", trouble(action)));
            let order = if action.phase.is_terminal() { actions.len() - index } else { actions.len() + index };
            lines.push(((action.ended_at.unwrap_or(open), order), line));
        }
        lines.sort_by_key(|(order, _)| *order);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
