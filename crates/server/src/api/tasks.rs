//! `TaskService`: deployed tasks.

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_core::DEFAULT_ORG;
use spanwise_engine::{TaskQuery, TaskRow};
use spanwise_proto::flyteidl2::common::{Filter, filter};
use spanwise_proto::flyteidl2::task::list_tasks_request::known_filter::FilterBy;
use spanwise_proto::flyteidl2::task::{
    DeployTaskRequest, DeployTaskResponse, GetTaskDetailsRequest, GetTaskDetailsResponse, ListTasksRequest,
    ListTasksResponse, ListVersionsRequest, ListVersionsResponse, Task, TaskDetails, TaskIdentifier, TaskMetadata,
    TaskService, TaskSpec, list_tasks_request, list_versions_response,
};
use spanwise_wire::{Invalid, details::SUBJECT, ids, task::TaskDefinition, times};

use super::{Api, listing, warnings};
use crate::control::Deployed;

/// The service.
pub(super) struct Tasks {
    api: Arc<Api>,
}

impl Tasks {
    pub(super) fn new(api: Arc<Api>) -> Tasks {
        Tasks { api }
    }

    fn metadata(&self, row: &TaskRow, spec: &TaskSpec) -> TaskMetadata {
        TaskMetadata {
            short_name: short_name(row, spec),
            deployed_at: times::timestamp(row.deployed_at).into(),
            environment_name: spec.environment.name.clone(),
            short_description: spec.documentation.short_description.clone(),
            ..TaskMetadata::default()
        }
    }
}

fn short_name(row: &TaskRow, spec: &TaskSpec) -> String {
    if !spec.short_name.is_empty() {
        return spec.short_name.clone();
    }
    row.name.rsplit('.').next().unwrap_or(&row.name).to_owned()
}

fn add_filter(query: &mut TaskQuery, filter: &Filter) -> Result<(), Invalid> {
    use filter::Function;
    let value = Some(filter.values.concat());
    match (filter.field.as_str(), filter.function.as_known()) {
        ("name" | "task_name", Some(Function::EQUAL)) => {
            listing::once(filter, query.name.is_some() && query.name != value)?;
            query.name = value;
        }
        ("name" | "task_name", Some(Function::CONTAINS)) => {
            listing::once(filter, query.part.is_some() && query.part != value)?;
            query.part = value;
        }
        _ => return Err(listing::refused("tasks", filter)),
    }
    Ok(())
}

fn identifier(row: &TaskRow) -> TaskIdentifier {
    TaskIdentifier {
        org: row.scope.org.clone(),
        project: row.scope.project.clone(),
        domain: row.scope.domain.clone(),
        name: row.name.clone(),
        version: row.version.clone(),
        ..TaskIdentifier::default()
    }
}

impl TaskService for Tasks {
    async fn deploy_task(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, DeployTaskRequest>,
    ) -> ServiceResult<DeployTaskResponse> {
        let request = request.to_owned_message();
        let key = ids::task_key(request.task_id.as_option().ok_or(Invalid::Missing("task_id"))?)?;
        let task = TaskDefinition::of(request.spec.into_option().ok_or(Invalid::Missing("spec"))?)?;
        let triggers = self.api.triggers_of_task(&ctx, &key, &task, request.triggers).await?;
        let (name, version) = (key.name.clone(), key.version.clone());
        // One code for both, as Flyte's platform has it: the SDK goes on with what is there.
        let exists =
            |how: &str| ConnectError::already_exists(format!("task `{name}` is deployed in version `{version}`{how}"));
        match self.api.control.deploy(key.clone(), &task).await? {
            Deployed::New => {
                let mut warnings = self.api.control.not_honoured(&task)?;
                warnings.extend(self.api.control.deploy_triggers(&key, &triggers)?);
                warnings.extend(triggers.iter().flat_map(|trigger| trigger.definition.warnings()));
                Ok(warnings::with(DeployTaskResponse::default(), &warnings))
            }
            Deployed::Same => {
                let warnings = self.api.control.redeploy_triggers(&key, &triggers)?;
                Err(exists(&warnings.iter().map(|warning| format!("; {warning}")).collect::<String>()))
            }
            Deployed::Other => Err(exists(" with other content, which it keeps: deploy under another version")),
        }
    }

    async fn get_task_details(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetTaskDetailsRequest>,
    ) -> ServiceResult<GetTaskDetailsResponse> {
        let request = request.to_owned_message();
        let key = ids::task_key(request.task_id.as_option().ok_or(Invalid::Missing("task_id"))?)?;
        let row = self.api.control.deployed_row(&key)?;
        let task = self.api.control.definition_of(&row)?;
        let details = TaskDetails {
            task_id: identifier(&row).into(),
            metadata: self.metadata(&row, task.message()).into(),
            spec: task.message().clone().into(),
            ..TaskDetails::default()
        };
        Response::ok(GetTaskDetailsResponse { details: details.into(), ..GetTaskDetailsResponse::default() })
    }

    async fn list_tasks(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListTasksRequest>,
    ) -> ServiceResult<ListTasksResponse> {
        let request = request.to_owned_message();
        let page = listing::Page::of(&request.request)?;
        let scope = match &request.scope_by {
            Some(list_tasks_request::ScopeBy::ProjectId(project)) => Some(ids::project_scope(project)?),
            Some(list_tasks_request::ScopeBy::Org(org)) if ids::org(org)? != DEFAULT_ORG => {
                return Err(Invalid::field("scope_by.org: tasks of an organisation are listed by their project").into());
            }
            _ => None,
        };
        let oldest_first = listing::order(&request.request, "tasks")?.unwrap_or(false);
        let limit = page.limit + 1;
        let mut query = TaskQuery { scope, oldest_first, offset: page.offset, limit, ..TaskQuery::default() };
        for filter in &request.request.filters {
            add_filter(&mut query, filter)?;
        }
        for filter in &request.known_filters {
            match &filter.filter_by {
                Some(FilterBy::DeployedBy(by)) if by == SUBJECT => {}
                // Nobody else has deployed any.
                Some(FilterBy::DeployedBy(_)) => query.limit = 0,
                Some(FilterBy::IsEntrypoint(_)) => {
                    let text =
                        "known_filters: `is_entrypoint` is not honoured, entry points are not told from other tasks";
                    return Err(Invalid::field(text).into());
                }
                None => return Err(Invalid::Missing("known_filters.filter_by").into()),
            }
        }
        let mut rows = self.api.control.deployed_rows(&query)?;
        let token = page.next(&mut rows);
        let mut tasks = Vec::with_capacity(rows.len());
        for row in &rows {
            let task = self.api.control.definition_of(row)?;
            let metadata = self.metadata(row, task.message()).into();
            tasks.push(Task { task_id: identifier(row).into(), metadata, ..Task::default() });
        }
        let is_listed = |key: &ids::TaskKey| rows.iter().any(|row| row.scope == key.scope && row.name == key.name);
        let warnings = self.api.control.refused_deployments(is_listed);
        Ok(warnings::with(ListTasksResponse { tasks, token, ..ListTasksResponse::default() }, &warnings))
    }

    async fn list_versions(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListVersionsRequest>,
    ) -> ServiceResult<ListVersionsResponse> {
        let request = request.to_owned_message();
        let page = listing::Page::of(&request.request)?;
        let name = request.task_name.as_option().ok_or(Invalid::Missing("task_name"))?;
        let scope = Some(ids::scope(&name.org, &name.project, &name.domain)?);
        if let Some(filter) = request.request.filters.first() {
            return Err(listing::refused("versions", filter).into());
        }
        let oldest_first = listing::order(&request.request, "versions")?.unwrap_or(false);
        let (name, offset, limit) = (Some(name.name.clone()), page.offset, page.limit + 1);
        let query = TaskQuery { scope, name, oldest_first, offset, limit, ..TaskQuery::default() };
        let mut rows = self.api.control.deployed_rows(&query)?;
        let token = page.next(&mut rows);
        let version = |row: &TaskRow| list_versions_response::VersionResponse {
            version: row.version.clone(),
            deployed_at: times::timestamp(row.deployed_at).into(),
            ..list_versions_response::VersionResponse::default()
        };
        let versions = rows.iter().map(version).collect();
        Response::ok(ListVersionsResponse { versions, token, ..ListVersionsResponse::default() })
    }
}
