//! `WatchRuns` and `WatchActions`: how everything is, then what changes. Whoever begins anew is told how everything is again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use connectrpc::ConnectError;
use futures_util::{Stream, stream};
use spanwise_core::ActionName;
use spanwise_engine::{ActionFeed, RunFeed, RunHandle, RunKey, RunQuery};
use spanwise_proto::flyteidl2::workflow::{
    EnrichedAction, Run, WatchActionsRequest, WatchActionsResponse, WatchRunsRequest, WatchRunsResponse,
    watch_runs_request,
};
use spanwise_wire::{Invalid, ids};

use super::Api;
use super::lists::{ActionFilters, listed, named};
use super::runs::Runs;
use crate::control::Error;

/// So many runs or actions are in one message at most.
const IN_A_MESSAGE: usize = 100;

/// The shortest time between two messages about changes: what changes often is told once.
const PAUSE: Duration = Duration::from_millis(100);

impl Runs {
    /// The runs of a target, the newest first, then each that is created or changes.
    pub(super) fn watch_all(
        &self,
        request: &WatchRunsRequest,
        only_tracked: bool,
    ) -> Result<impl Stream<Item = Result<WatchRunsResponse, ConnectError>> + Send + use<>, ConnectError> {
        let query = RunQuery { only_tracked, limit: IN_A_MESSAGE, ..target(request)? };
        // The feed before the snapshot: what changes in between is told twice rather than never.
        let feed = self.api.control.feed_of_runs();
        let watch = RunsWatch { api: Arc::clone(&self.api), query, feed, before: Some(None), changed: VecDeque::new() };
        let messages = stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let runs = watch.next().await;
            let message = runs.map(|runs| WatchRunsResponse { runs, ..WatchRunsResponse::default() });
            let goes_on = message.is_ok();
            Some((message, goes_on.then_some(watch)))
        });
        Ok(until_closed(messages, &self.api))
    }

    /// The actions of a run in the order in which they were accepted, then each that is accepted or changes, with its parent, which counts its
    /// children; over when the run is.
    pub(super) fn watch_every_action(
        &self,
        request: &WatchActionsRequest,
    ) -> Result<impl Stream<Item = Result<WatchActionsResponse, ConnectError>> + Send + use<>, ConnectError> {
        let run = self.run(request.run_id.as_option())?;
        let filters = ActionFilters::read(&request.filter)?;
        let feed = run.feed_of_all();
        let pending = run.actions().into_iter().map(|view| view.name).collect();
        let watch = ActionsWatch { api: Arc::clone(&self.api), run, filters, feed, pending, has_begun: false };
        let messages = stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let message = watch.next().await?;
            let goes_on = message.is_ok();
            Some((message, goes_on.then_some(watch)))
        });
        Ok(until_closed(messages, &self.api))
    }
}

fn until_closed<S: Stream + Send + 'static>(messages: S, api: &Api) -> impl Stream<Item = S::Item> + Send + use<S> {
    use futures_util::StreamExt as _;
    messages.take_until(api.control.closing().clone().cancelled_owned())
}

/// Which runs are watched.
fn target(request: &WatchRunsRequest) -> Result<RunQuery, Invalid> {
    use watch_runs_request::Target;
    Ok(match request.target.as_ref().ok_or(Invalid::Missing("target"))? {
        Target::Org(org) => RunQuery { org: Some(ids::org(org)?), ..RunQuery::default() },
        Target::ProjectId(project) => {
            RunQuery { org: named(&project.organization), ..RunQuery::default().within(ids::project_scope(project)?) }
        }
        Target::TaskId(task) => RunQuery {
            task: Some(task.name.clone()),
            task_version: Some(task.version.clone()).filter(|version| !version.is_empty()),
            org: named(&task.org),
            ..RunQuery::default().within(ids::scope(&task.org, &task.project, &task.domain)?)
        },
        Target::ClusterId(_) => return Err(Invalid::field("target.cluster_id: there is one machine")),
    })
}

struct RunsWatch {
    api: Arc<Api>,
    query: RunQuery,
    feed: RunFeed,
    /// What of the present state is still to be told: the runs before this one; none when all is told.
    before: Option<Option<RunKey>>,
    /// Runs that have changed and are not told.
    changed: VecDeque<RunKey>,
}

impl RunsWatch {
    async fn next(&mut self) -> Result<Vec<Run>, ConnectError> {
        if let Some(after) = self.before {
            let query = RunQuery { after, ..self.query.clone() };
            let rows = self.api.control.runs_with_roots(&query)?;
            self.before = (rows.len() == IN_A_MESSAGE).then(|| rows.last().map(|(key, ..)| *key));
            return Ok(rows.iter().map(|(_, row, root)| listed(row, root.as_ref())).collect());
        }
        loop {
            if self.changed.is_empty() {
                let changed = self.feed.changed().await.map_err(|error| ConnectError::aborted(error.to_string()))?;
                self.changed.extend(changed);
                tokio::time::sleep(PAUSE).await;
            }
            let keys: Vec<RunKey> = self.changed.drain(..self.changed.len().min(IN_A_MESSAGE)).collect();
            let rows = self.api.control.runs_with_roots(&RunQuery { keys, ..self.query.clone() })?;
            // Those of others are nobody's business here.
            if !rows.is_empty() {
                return Ok(rows.iter().map(|(_, row, root)| listed(row, root.as_ref())).collect());
            }
        }
    }
}

struct ActionsWatch {
    api: Arc<Api>,
    run: RunHandle,
    filters: ActionFilters,
    feed: ActionFeed,
    /// Actions that are to be told, as they are then.
    pending: VecDeque<ActionName>,
    has_begun: bool,
}

impl ActionsWatch {
    async fn next(&mut self) -> Option<Result<WatchActionsResponse, ConnectError>> {
        if self.pending.is_empty() && self.has_begun {
            // Looked at before what has changed: all that happened before the end is told.
            let is_over = self.run.is_finished();
            let changed = match is_over {
                true => tokio::time::timeout(Duration::ZERO, self.feed.changed()).await.ok()?,
                false => {
                    tokio::time::sleep(PAUSE).await;
                    self.feed.changed().await
                }
            };
            let parents = changed.iter().filter_map(|name| self.run.view(name)?.parent);
            let with_parents: BTreeSet<ActionName> = parents.chain(changed.iter().copied()).collect();
            self.pending.extend(with_parents);
        }
        self.has_begun = true;
        let names: Vec<ActionName> = self.pending.drain(..self.pending.len().min(IN_A_MESSAGE)).collect();
        Some(self.message(&names).await)
    }

    /// Actions as they are now; what is told is safe in the journal.
    async fn message(&self, names: &[ActionName]) -> Result<WatchActionsResponse, ConnectError> {
        let mut enriched_actions = Vec::with_capacity(names.len());
        for name in names {
            let (Some(action), Some(view)) = (self.run.action(name), self.run.view(name)) else { continue };
            enriched_actions.push(EnrichedAction {
                action: self.api.listed(&self.run, name, &action)?.into(),
                meets_filter: self.filters.pass(&view, || action.updated_at),
                children_phase_counts: self.run.phases_of_children(name).into_iter().collect(),
                ..EnrichedAction::default()
            });
        }
        self.run.safe().await.map_err(Error::from)?;
        Ok(WatchActionsResponse { enriched_actions, ..WatchActionsResponse::default() })
    }
}
