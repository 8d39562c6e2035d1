//! The top of the page of a run: what it is, how it stands, and its trace.

use std::time::Duration;

use spanwise_core::ActionName;
use spanwise_core::lifecycle::TraceLevel;
use spanwise_core::text::seconds;
use spanwise_core::trigger::TriggerId;
use spanwise_engine::{ActionView, Relation, RunHandle, RunOptions};

use super::format::{Badge, Span, WAITING, When, badge, count, ran, span, when};
use super::notifications::{self, Notified};
use super::span::elsewhere;
use super::{PageError, Pages, address};
use crate::control;
use crate::secrecy::shown_pairs;

/// What is said of an unfinished run that the server does not drive.
const ELSEWHERE: &str =
    "This run belongs to a program with an engine of its own: it goes on when that program is started again.";

/// What the top of the page says.
pub(super) struct Header {
    pub(super) name: String,
    pub(super) task: String,
    pub(super) project: String,
    pub(super) domain: String,
    pub(super) list: String,
    pub(super) badge: Badge,
    pub(super) created: When,
    pub(super) started: Option<When>,
    pub(super) ended: Option<When>,
    pub(super) took: Span,
    pub(super) ran: Option<Span>,
    pub(super) actions: String,
    /// What its starter has chosen for people to read, under a title each.
    pub(super) chosen: Vec<(&'static str, Vec<(String, String)>)>,
    pub(super) relation: Option<(&'static str, String, String)>,
    /// The trigger that has fired it, its slot, and where its runs are listed.
    pub(super) fired: Option<(String, Option<When>, String)>,
    pub(super) warnings: Vec<String>,
    pub(super) notifications: Vec<Notified>,
    pub(super) trace: String,
    /// Where the trace is opened in another tool.
    pub(super) elsewhere: Option<(String, String)>,
    /// How the run is traced, and how far that has come.
    pub(super) export: String,
    pub(super) finished: bool,
    /// The server can run its task again.
    pub(super) repeatable: bool,
}

impl Header {
    pub(super) async fn of(
        pages: &Pages,
        run: &RunHandle,
        root: &ActionView,
        (actions, waits): (usize, bool),
        trace: &str,
    ) -> Result<Header, PageError> {
        let (id, settings, now, times) = (run.id(), run.settings(), run.now(), root.times());
        let relation = settings.relation.as_ref().map(|relation| {
            let (word, name) = match relation {
                Relation::Spawn { run } => ("started by", run),
                Relation::Rerun { run } => ("repeats", run),
                Relation::Recover { run } => ("recovers", run),
            };
            let related = spanwise_core::RunId { name: name.clone(), ..id.clone() };
            (word, name.to_string(), address::run(&related, None))
        });
        let fired = settings.firing.as_ref().map(|firing| {
            let (scope, task) = (id.scope(), root.task.to_string());
            let trigger = TriggerId { scope, task, name: firing.trigger.clone() };
            (firing.trigger.clone(), firing.scheduled_at.map(|slot| when(slot, now)), address::trigger(&trigger))
        });
        let given = Some(artifacts(pages, run)?).filter(|ids| !ids.is_empty()).map(|ids| ("Artifacts", ids));
        let is_driven_here = control::is_driven_here(run);
        let mut warnings = settings.warnings.clone();
        if !is_driven_here && !run.is_finished() {
            warnings.push(ELSEWHERE.to_owned());
        }
        Ok(Header {
            name: id.name.to_string(),
            task: root.task.to_string(),
            project: id.project.clone(),
            domain: id.domain.clone(),
            list: address::runs(&id.project, &id.domain),
            badge: if waits { WAITING } else { badge(root.phase) },
            created: when(times.created, now),
            started: times.started.map(|at| when(at, now)),
            ended: times.ended.map(|at| when(at, now)),
            took: span(times.created, times.ended, now),
            ran: ran(&times, now),
            actions: count(actions),
            chosen: chosen(&settings.options).into_iter().chain(tracked(run)).chain(given).collect(),
            relation,
            fired,
            warnings,
            notifications: notifications::of_run(run).await?,
            elsewhere: elsewhere(pages, run, trace, (root.enqueued_at, root.ended_at.unwrap_or(now))),
            export: export(run).await?,
            trace: trace.to_owned(),
            finished: run.is_finished(),
            repeatable: is_driven_here && !settings.tracked,
        })
    }
}

/// The versions of artifacts that it was given.
fn artifacts(pages: &Pages, run: &RunHandle) -> Result<Vec<(String, String)>, PageError> {
    Ok(pages.control.artifacts_of_run(run)?.into_iter().map(|id| (id.name.name, id.version)).collect())
}

/// Of a tracked run: where its program is, and how long ago it was heard.
fn tracked(run: &RunHandle) -> Option<(&'static str, Vec<(String, String)>)> {
    let heard = run.action(&ActionName::ROOT)?.heard_at()?;
    let ago = Duration::from_secs(run.now().since(heard).as_secs());
    let mut said = vec![("program".to_owned(), "runs elsewhere, and reports here".to_owned())];
    if !run.is_finished() {
        said.push(("heard".to_owned(), format!("{} ago", seconds(ago))));
    }
    Some(("Tracked", said))
}

/// What the starter of a run has chosen, under titles; what is empty is left out.
fn chosen(options: &RunOptions) -> Vec<(&'static str, Vec<(String, String)>)> {
    let all = [("Labels", &options.labels), ("Annotations", &options.annotations)];
    let given = all.into_iter().filter(|(_, pairs)| !pairs.is_empty());
    given.map(|(title, pairs)| (title, shown_pairs(pairs))).collect()
}

/// What is said about the export of a run's lifecycle spans; empty for a run that is not traced.
async fn export(run: &RunHandle) -> Result<String, PageError> {
    let trace = &run.settings().trace;
    if trace.level == TraceLevel::Off {
        return Ok(String::new());
    }
    if !trace.sampled {
        return Ok(format!("{}, not sampled", trace.level));
    }
    Ok(match run.export_state().await? {
        Some(state) => {
            let number = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX));
            let dropped =
                if state.dropped > 0 { format!(", {} given up", number(state.dropped)) } else { String::new() };
            let rest = if state.done { "" } else { " so far" };
            format!("{}: {} spans exported{rest}{dropped}", trace.level, number(state.exported))
        }
        None => format!("{}, exported to nobody", trace.level),
    })
}
