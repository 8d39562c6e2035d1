//! Lists of runs and of their actions.

use connectrpc::ConnectError;
use spanwise_core::{Phase, Times, Timestamp};
use spanwise_engine::{ActionView, RunQuery, RunRow, RunSettings};
use spanwise_proto::flyteidl2::common::{Filter, filter};
use spanwise_proto::flyteidl2::workflow::{
    ListActionsRequest, ListActionsResponse, ListRunsRequest, ListRunsResponse, Run, list_runs_request,
};
use spanwise_wire::details::{self, ListedRun};
use spanwise_wire::{Invalid, ids};

use super::listing::{self, Between};
use super::runs::Runs;

impl Runs {
    /// The runs that a request asks for, a page of them.
    pub(super) fn list(&self, request: &ListRunsRequest, only_tracked: bool) -> Result<ListRunsResponse, ConnectError> {
        let query = RunQuery { only_tracked, ..query(request)? };
        let page = query.limit.saturating_sub(1);
        let mut rows = self.api.control.runs_with_roots(&query)?;
        let more = rows.len() > page;
        rows.truncate(page);
        let token = rows.last().filter(|_| more).map(|(key, ..)| key.0.to_string()).unwrap_or_default();
        let runs = rows.iter().map(|(_, row, root)| listed(row, root.as_ref())).collect();
        Ok(ListRunsResponse { runs, token, ..ListRunsResponse::default() })
    }

    /// The actions that a request asks for, a page of them.
    pub(super) fn actions(&self, request: &ListActionsRequest) -> Result<ListActionsResponse, ConnectError> {
        let run = self.run(request.run_id.as_option())?;
        let page = listing::Page::of(&request.request)?;
        let filters = ActionFilters::read(&request.request.filters)?;
        let updated_at = |view: &ActionView| run.action(&view.name).map(|action| action.updated_at).unwrap_or_default();
        let mut views = run.actions();
        views.retain(|view| filters.pass(view, || updated_at(view)));
        if listing::order(&request.request, "actions")? == Some(false) {
            views.reverse();
        }
        let mut views: Vec<ActionView> = views.into_iter().skip(page.offset).take(page.limit + 1).collect();
        let token = page.next(&mut views);
        let mut actions = Vec::with_capacity(views.len());
        for view in &views {
            if let Some(action) = run.action(&view.name) {
                actions.push(self.api.listed(&run, &view.name, &action)?);
            }
        }
        Ok(ListActionsResponse { actions, token, ..ListActionsResponse::default() })
    }
}

/// Which runs a request asks for, one more than its page has.
fn query(request: &ListRunsRequest) -> Result<RunQuery, Invalid> {
    use list_runs_request::ScopeBy;
    let mut query = match &request.scope_by {
        Some(ScopeBy::ProjectId(project)) => {
            RunQuery { org: named(&project.organization), ..RunQuery::default().within(ids::project_scope(project)?) }
        }
        Some(ScopeBy::TaskName(task)) => RunQuery {
            task: Some(task.name.clone()),
            org: named(&task.org),
            ..RunQuery::default().within(ids::scope(&task.org, &task.project, &task.domain)?)
        },
        Some(ScopeBy::TaskId(task)) => RunQuery {
            task: Some(task.name.clone()),
            // Without a version, all versions are meant, as of a task that is named.
            task_version: Some(task.version.clone()).filter(|version| !version.is_empty()),
            org: named(&task.org),
            ..RunQuery::default().within(ids::scope(&task.org, &task.project, &task.domain)?)
        },
        Some(ScopeBy::TriggerName(name)) => {
            let id = ids::trigger_id(name)?;
            let (task, fired_by) = (Some(id.task), Some(id.name));
            RunQuery { task, fired_by, org: named(&name.org), ..RunQuery::default().within(id.scope) }
        }
        Some(ScopeBy::Org(org)) => RunQuery { org: Some(ids::org(org)?), ..RunQuery::default() },
        None => RunQuery::default(),
    };
    query = listing::runs(&request.request, query)?;
    if request.paused_actions_only {
        if !(query.phases.is_empty() || query.phases == [Phase::Paused]) {
            return Err(Invalid::field("paused_actions_only: it cannot be combined with a filter of phases"));
        }
        query.phases = vec![Phase::Paused];
    }
    Ok(query)
}

/// An organisation that is named; one that is not means those of all.
pub(super) fn named(org: &str) -> Option<String> {
    (!org.is_empty()).then(|| org.to_owned())
}

/// What the actions of a list must be: each filter is read before any action is looked at.
pub(super) struct ActionFilters(Vec<ActionFilter>);

enum ActionFilter {
    Phase(Vec<Phase>),
    Parent(String),
    /// By the numbers of the protocol.
    Kind(Vec<String>),
    Task(String),
    Created(Option<Timestamp>, Option<Timestamp>),
    Updated(Option<Timestamp>, Option<Timestamp>),
}

impl ActionFilters {
    /// Reads the filters of a request.
    ///
    /// # Errors
    /// [`Invalid`] names one that cannot be honoured.
    pub(super) fn read(filters: &[Filter]) -> Result<ActionFilters, Invalid> {
        Ok(ActionFilters(filters.iter().map(ActionFilter::read).collect::<Result<_, _>>()?))
    }

    /// Whether an action is in the list. `updated_at` says when it has changed last, where that is asked for.
    pub(super) fn pass(&self, view: &ActionView, updated_at: impl Fn() -> Timestamp) -> bool {
        let within = |at: Timestamp, since: &Option<Timestamp>, until: &Option<Timestamp>| {
            since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
        };
        self.0.iter().all(|filter| match filter {
            ActionFilter::Phase(phases) => phases.contains(&view.phase),
            ActionFilter::Parent(parent) => view.parent.is_some_and(|of| of.as_str() == parent),
            ActionFilter::Kind(kinds) => kinds.contains(&(details::action_type(view.kind) as i32).to_string()),
            ActionFilter::Task(task) => view.task.as_str() == task,
            ActionFilter::Created(since, until) => within(view.times().created, since, until),
            ActionFilter::Updated(since, until) => within(updated_at(), since, until),
        })
    }
}

impl ActionFilter {
    fn read(filter: &Filter) -> Result<ActionFilter, Invalid> {
        use filter::Function;
        let function = filter.function.as_known();
        let equal = function == Some(Function::EQUAL);
        let one_of = equal || function == Some(Function::VALUE_IN);
        let (mut since, mut until) = (None, None);
        Ok(match filter.field.as_str() {
            "phase" if one_of => ActionFilter::Phase(listing::phases(filter)?),
            "parent_name" if equal => ActionFilter::Parent(filter.values.concat()),
            // A single value comes as its characters.
            "action_type" if equal => ActionFilter::Kind(vec![filter.values.concat()]),
            "action_type" if one_of => ActionFilter::Kind(filter.values.clone()),
            "task_name" if equal => ActionFilter::Task(filter.values.concat()),
            field @ ("created_at" | "updated_at") => {
                if !(Between { since: &mut since, until: &mut until }).narrowed_by(filter)? {
                    return Err(listing::refused("actions", filter));
                }
                if field == "created_at" {
                    ActionFilter::Created(since, until)
                } else {
                    ActionFilter::Updated(since, until)
                }
            }
            _ => return Err(listing::refused("actions", filter)),
        })
    }
}

/// A run of a list: nothing of it is loaded.
pub(super) fn listed(row: &RunRow, root: Option<&ActionView>) -> Run {
    let settings = RunSettings::of(row);
    details::listed_run(ListedRun {
        id: &row.id,
        task: &row.task,
        task_version: &settings.task_version,
        phase: row.phase,
        attempts: root.map_or(0, |root| root.attempts),
        times: Times { created: row.created_at, started: root.and_then(|root| root.started_at), ended: row.ended_at },
        labels: settings.options.labels.clone(),
        firing: settings.firing.as_ref(),
        tracked: row.tracked,
        unreadable: row.unreadable.clone(),
    })
}
