//! Conditions that wait for somebody: what they ask, and a form to answer.

use spanwise_core::{ActionKind, ActionName, Phase};
use spanwise_engine::{ActionView, RunHandle};

use super::Pages;
use super::format::{When, count, length, when};
use super::view::View;

/// Questions that stand at the top of a page; more are a click away.
const SHOWN: usize = 5;

/// A condition that waits.
pub(super) struct Question {
    pub(super) action: String,
    pub(super) name: String,
    /// The type of the answer, in Python's words.
    pub(super) kind: &'static str,
    pub(super) prompt: String,
    pub(super) description: String,
    pub(super) since: When,
    /// How long it waits in all, if not for ever.
    pub(super) limit: String,
    pub(super) href: String,
}

impl Question {
    /// What the field of the answer is called.
    pub(super) fn label(&self) -> &'static str {
        match self.kind {
            "int" => "A whole number",
            "float" => "A number",
            _ => "A text",
        }
    }

    fn of(pages: &Pages, run: &RunHandle, action: &ActionView, view: &View) -> Option<Question> {
        // One that is answered meanwhile is no question any more.
        let condition = pages.control.waiting(run, action.name).ok()?;
        let current = run.action(&action.name)?;
        Some(Question {
            action: action.name.to_string(),
            name: action.task.to_string(),
            kind: condition.python_type()?,
            prompt: condition.prompt.trim().to_owned(),
            description: condition.description.trim().to_owned(),
            since: when(action.enqueued_at, run.now()),
            limit: current.spec.timeouts.deadline.map(length).unwrap_or_default(),
            href: address(view, action.name),
        })
    }
}

fn address(view: &View, action: ActionName) -> String {
    view.with(|view| {
        view.selected = Some(action);
        view.span = None;
        view.attempt = None;
    })
}

/// The questions of a run, the oldest first, and what is said of those that are not shown.
pub(super) fn of_run(
    pages: &Pages,
    run: &RunHandle,
    views: &[ActionView],
    view: &View,
) -> (Vec<Question>, Option<(String, String)>) {
    let paused = |view: &&ActionView| view.kind == ActionKind::Condition && view.phase == Phase::Paused;
    let waiting: Vec<&ActionView> = views.iter().filter(paused).collect();
    let questions = waiting.iter().take(SHOWN).filter_map(|action| Question::of(pages, run, action, view)).collect();
    let more = waiting.len().saturating_sub(SHOWN);
    let list = || {
        view.with(|view| {
            view.show = "paused".to_owned();
            view.from = 0;
        })
    };
    (questions, (more > 0).then(|| (format!("{} more wait for you", count(more)), list())))
}
