//! `TriggerService`: what starts runs of deployed tasks by a schedule, or by its name.

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_core::trace::TraceParent;
use spanwise_core::trigger::{TriggerChange, TriggerId};
use spanwise_engine::{TriggerQuery, TriggerRow};
use spanwise_proto::flyteidl2::common::TriggerName;
use spanwise_proto::flyteidl2::task::TaskTrigger;
use spanwise_proto::flyteidl2::trigger::{
    DeleteTriggersRequest, DeleteTriggersResponse, DeployTriggerRequest, DeployTriggerResponse,
    GetTriggerDetailsRequest, GetTriggerDetailsResponse, GetTriggerRevisionDetailsRequest,
    GetTriggerRevisionDetailsResponse, GetTriggerRevisionHistoryRequest, GetTriggerRevisionHistoryResponse,
    ListTriggersRequest, ListTriggersResponse, TriggerDetails, TriggerService, UpdateTriggersRequest,
    UpdateTriggersResponse, list_triggers_request,
};
use spanwise_wire::ids::TaskKey;
use spanwise_wire::task::TaskDefinition;
use spanwise_wire::trigger::{ShownTrigger, TriggerDefinition, not_there};
use spanwise_wire::{Invalid, ids, title};

use super::{Api, listing, warnings};
use crate::calls;
use crate::control::NewTrigger;

/// The service.
pub(super) struct Triggers {
    api: Arc<Api>,
}

impl Triggers {
    pub(super) fn new(api: Arc<Api>) -> Triggers {
        Triggers { api }
    }
}

impl Api {
    /// A revision of a trigger, shown by `show`.
    fn shown_trigger<T>(&self, row: &TriggerRow, show: impl FnOnce(&ShownTrigger<'_>) -> T) -> Result<T, ConnectError> {
        let definition = self.control.trigger_definition(row)?;
        let last = self.control.fired(&row.id, 1)?.into_iter().next();
        Ok(show(&ShownTrigger {
            id: &row.id,
            revision: row.revision,
            change: row.change,
            active: row.active,
            changed_at: row.changed_at,
            since: row.since,
            deployed_at: row.deployed_at,
            triggered_at: last.map(|run| run.created_at),
            definition: &definition,
        }))
    }

    fn trigger_details(&self, row: &TriggerRow) -> Result<TriggerDetails, ConnectError> {
        self.shown_trigger(row, |shown| shown.details())
    }

    /// The triggers that come with a task, looked at.
    pub(super) async fn triggers_of_task(
        &self,
        ctx: &RequestContext,
        key: &TaskKey,
        task: &TaskDefinition,
        triggers: Vec<TaskTrigger>,
    ) -> Result<Vec<NewTrigger>, ConnectError> {
        let mut checked: Vec<NewTrigger> = Vec::with_capacity(triggers.len());
        for trigger in triggers {
            let id = ids::trigger_of_task(key.scope.clone(), &key.name, &trigger.name)?;
            if checked.iter().any(|other| other.id == id) {
                return Err(Invalid::field(format!("triggers: two have the name `{}`", id.name)).into());
            }
            let definition = TriggerDefinition::of_task(trigger, &key.version);
            let definition = definition.map_err(|error| Invalid::field(format!("trigger `{}`: {error}", id.name)))?;
            let new = NewTrigger { id, definition, follows: None, deployed_by: deployer(ctx) };
            checked.push(self.control.checked_trigger(new, task).await?);
        }
        Ok(checked)
    }
}

/// The span of who deploys something, if somebody records it.
fn deployer(ctx: &RequestContext) -> Option<TraceParent> {
    calls::caller(ctx.headers()).filter(TraceParent::is_sampled)
}

fn query(request: &ListTriggersRequest) -> Result<TriggerQuery, Invalid> {
    use list_triggers_request::ScopeBy;
    if let Some(filter) = request.request.filters.first() {
        return Err(listing::refused("triggers", filter));
    }
    if listing::order(&request.request, "triggers")? == Some(true) {
        return Err(Invalid::field("request.sort_by: triggers are listed with those that changed last first"));
    }
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(match &request.scope_by {
        Some(ScopeBy::ProjectId(project)) => {
            TriggerQuery { scope: Some(ids::project_scope(project)?), ..TriggerQuery::default() }
        }
        Some(ScopeBy::TaskName(task)) => TriggerQuery {
            scope: Some(ids::scope(&task.org, &task.project, &task.domain)?),
            task: some(&task.name),
            ..TriggerQuery::default()
        },
        Some(ScopeBy::TaskId(task)) => TriggerQuery {
            scope: Some(ids::scope(&task.org, &task.project, &task.domain)?),
            task: some(&task.name),
            task_version: some(&task.version),
            ..TriggerQuery::default()
        },
        Some(ScopeBy::Org(_)) | None => TriggerQuery::default(),
    })
}

fn names(names: &[TriggerName]) -> Result<Vec<TriggerId>, Invalid> {
    match names {
        [] => Err(Invalid::Missing("names")),
        names => names.iter().map(ids::trigger_id).collect(),
    }
}

impl TriggerService for Triggers {
    async fn deploy_trigger(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, DeployTriggerRequest>,
    ) -> ServiceResult<DeployTriggerResponse> {
        let request = request.to_owned_message();
        let id = ids::trigger_id(request.name.as_option().ok_or(Invalid::Missing("name"))?)?;
        let mut spec = request.spec.into_option().ok_or(Invalid::Missing("spec"))?;
        title("spec.task_version", &spec.task_version)?;
        let key = TaskKey { scope: id.scope.clone(), name: id.task.clone(), version: spec.task_version };
        // The newest one now, where none is named: it stays that one.
        let row = self.api.control.deployed_row(&key)?;
        let task = self.api.control.definition_of(&row)?;
        spec.task_version = row.version;
        let definition = TriggerDefinition::of(spec, request.automation_spec.into_option().unwrap_or_default())?;
        let follows = Some(request.revision).filter(|revision| *revision > 0);
        let new = NewTrigger { id, definition, follows, deployed_by: deployer(&ctx) };
        let new = self.api.control.checked_trigger(new, &task).await?;
        let trigger = self.api.trigger_details(&self.api.control.deploy_trigger(&new, false)?)?;
        let response = DeployTriggerResponse { trigger: trigger.into(), ..DeployTriggerResponse::default() };
        Ok(warnings::with(response, &new.definition.warnings()))
    }

    async fn get_trigger_details(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetTriggerDetailsRequest>,
    ) -> ServiceResult<GetTriggerDetailsResponse> {
        let request = request.to_owned_message();
        let id = ids::trigger_id(request.name.as_option().ok_or(Invalid::Missing("name"))?)?;
        let trigger = self.api.trigger_details(&self.api.control.trigger(&id)?)?;
        Response::ok(GetTriggerDetailsResponse { trigger: trigger.into(), ..GetTriggerDetailsResponse::default() })
    }

    async fn get_trigger_revision_details(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetTriggerRevisionDetailsRequest>,
    ) -> ServiceResult<GetTriggerRevisionDetailsResponse> {
        let request = request.to_owned_message();
        let name = request.id.name.as_option().ok_or(Invalid::Missing("id.name"))?;
        let (id, revision) = (ids::trigger_id(name)?, request.id.revision);
        let revisions = self.api.control.trigger_revisions(&id, 0, usize::MAX)?;
        let row = revisions.iter().find(|row| row.revision == revision);
        let none = || ConnectError::not_found(format!("{} with revision {revision}", not_there(&id)));
        let trigger = self.api.trigger_details(row.ok_or_else(none)?)?;
        let trigger = trigger.into();
        Response::ok(GetTriggerRevisionDetailsResponse { trigger, ..GetTriggerRevisionDetailsResponse::default() })
    }

    async fn list_triggers(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListTriggersRequest>,
    ) -> ServiceResult<ListTriggersResponse> {
        let request = request.to_owned_message();
        let page = listing::Page::of(&request.request)?;
        let query = TriggerQuery { offset: page.offset, limit: page.limit + 1, ..query(&request)? };
        let mut rows = self.api.control.triggers(&query)?;
        let token = page.next(&mut rows);
        let listed = rows.iter().map(|row| self.api.shown_trigger(row, |shown| shown.listed()));
        let triggers = listed.collect::<Result<_, _>>()?;
        Response::ok(ListTriggersResponse { triggers, token, ..ListTriggersResponse::default() })
    }

    async fn get_trigger_revision_history(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetTriggerRevisionHistoryRequest>,
    ) -> ServiceResult<GetTriggerRevisionHistoryResponse> {
        let request = request.to_owned_message();
        let id = ids::trigger_id(request.name.as_option().ok_or(Invalid::Missing("name"))?)?;
        if let Some(filter) = request.request.filters.first() {
            return Err(listing::refused("revisions", filter).into());
        }
        let page = listing::Page::of(&request.request)?;
        let mut rows = self.api.control.trigger_revisions(&id, page.offset, page.limit + 1)?;
        if rows.is_empty() && page.offset == 0 {
            return Err(ConnectError::not_found(not_there(&id)));
        }
        let token = page.next(&mut rows);
        let shown = rows.iter().map(|row| self.api.shown_trigger(row, |shown| shown.revision()));
        let triggers = shown.collect::<Result<_, _>>()?;
        Response::ok(GetTriggerRevisionHistoryResponse {
            triggers,
            token,
            ..GetTriggerRevisionHistoryResponse::default()
        })
    }

    async fn update_triggers(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, UpdateTriggersRequest>,
    ) -> ServiceResult<UpdateTriggersResponse> {
        let request = request.to_owned_message();
        let change = if request.active { TriggerChange::Activated } else { TriggerChange::Deactivated };
        self.api.control.change_triggers(&names(&request.names)?, change)?;
        Response::ok(UpdateTriggersResponse::default())
    }

    async fn delete_triggers(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, DeleteTriggersRequest>,
    ) -> ServiceResult<DeleteTriggersResponse> {
        let request = request.to_owned_message();
        self.api.control.change_triggers(&names(&request.names)?, TriggerChange::Deleted)?;
        Response::ok(DeleteTriggersResponse::default())
    }
}
