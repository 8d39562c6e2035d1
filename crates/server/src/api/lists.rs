//! Lists of runs and of their actions.

use connectrpc::ConnectError;
use spanwise_core::{Phase, Times};
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
        let mut views = Vec::new();
        for view in run.actions() {
            if passes(&view, &request.request.filters)? {
                views.push(view);
            }
        }
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
        Some(ScopeBy::ProjectId(project)) => RunQuery::default().within(ids::project_scope(project)?),
        Some(ScopeBy::TaskName(task)) => RunQuery {
            task: Some(task.name.clone()),
            ..RunQuery::default().within(ids::scope(&task.org, &task.project, &task.domain)?)
        },
        Some(ScopeBy::TaskId(task)) => RunQuery {
            task: Some(task.name.clone()),
            // Without a version, all versions are meant, as of a task that is named.
            task_version: Some(task.version.clone()).filter(|version| !version.is_empty()),
            ..RunQuery::default().within(ids::scope(&task.org, &task.project, &task.domain)?)
        },
        Some(ScopeBy::TriggerName(name)) => {
            let id = ids::trigger_id(name)?;
            let (task, fired_by) = (Some(id.task), Some(id.name));
            RunQuery { task, fired_by, ..RunQuery::default().within(id.scope) }
        }
        Some(ScopeBy::Org(_)) | None => RunQuery::default(),
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

/// Whether an action passes the filters of a list.
fn passes(view: &ActionView, filters: &[Filter]) -> Result<bool, Invalid> {
    use filter::Function;
    for filter in filters {
        let value = filter.values.concat();
        let function = filter.function.as_known();
        let equal = function == Some(Function::EQUAL);
        let one_of = equal || function == Some(Function::VALUE_IN);
        let passes = match filter.field.as_str() {
            "phase" if one_of => listing::phases(filter)?.contains(&view.phase),
            "parent_name" if equal => view.parent.is_some_and(|parent| parent.as_str() == value),
            "action_type" if one_of => filter.values.contains(&(details::action_type(view.kind) as i32).to_string()),
            "task_name" if equal => view.task.as_str() == value,
            "created_at" => {
                let (mut since, mut until) = (None, None);
                if !(Between { since: &mut since, until: &mut until }).narrowed_by(filter)? {
                    return Err(listing::refused("actions", filter));
                }
                let created = view.times().created;
                since.is_none_or(|since| created >= since) && until.is_none_or(|until| created < until)
            }
            _ => return Err(listing::refused("actions", filter)),
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
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
