//! `TrackedRunService`: runs whose programs run elsewhere. What is asked about them is answered as `RunService` answers it.

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use spanwise_core::trace::TRACEPARENT;
use spanwise_engine::RunHandle;
use spanwise_proto::flyteidl2::common::{ActionIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::task::TaskSpecSource;
use spanwise_proto::flyteidl2::workflow::*;
use spanwise_proto::google::rpc::Status;
use spanwise_wire::options::SentOptions;
use spanwise_wire::task::TaskDefinition;
use spanwise_wire::{Invalid, TaskInputs, ids, times, tracked};

use super::Api;
use super::runs::{Runs, run_name};
use crate::control::{Error, NewRun};

/// So many actions can be reported at once: what fits into a request, and no more than memory is there for.
const MOST_UPDATES: usize = 50_000;

/// The service.
pub(super) struct TrackedRuns {
    api: Arc<Api>,
    runs: Arc<Runs>,
}

impl TrackedRuns {
    pub(super) fn new(api: Arc<Api>, runs: Arc<Runs>) -> TrackedRuns {
        TrackedRuns { api, runs }
    }

    fn run(&self, id: Option<&RunIdentifier>) -> Result<RunHandle, ConnectError> {
        let id = ids::run_id(id.ok_or(Invalid::Missing("run_id"))?)?;
        Ok(self.api.control.tracked_run(&id)?)
    }

    fn run_of(&self, id: Option<&ActionIdentifier>) -> Result<RunHandle, ConnectError> {
        self.run(id.ok_or(Invalid::Missing("action_id"))?.run.as_option())
    }

    fn task(
        &self,
        task: Option<create_tracked_run_request::Task>,
    ) -> Result<(TaskDefinition, TaskSpecSource), ConnectError> {
        match task.ok_or(Invalid::Missing("task_id or task_spec"))? {
            create_tracked_run_request::Task::TaskSpec(spec) => {
                Ok((TaskDefinition::of(*spec)?, TaskSpecSource::TASK_SPEC_SOURCE_EPHEMERAL))
            }
            create_tracked_run_request::Task::TaskId(id) => {
                let task = self.api.control.deployed(&ids::task_key(&id)?)?;
                Ok((task, TaskSpecSource::TASK_SPEC_SOURCE_DEPLOYED))
            }
        }
    }

    /// A run as it is asked for.
    async fn asked_for(&self, ctx: &RequestContext, request: CreateTrackedRunRequest) -> Result<NewRun, ConnectError> {
        let id = request.id.map(|id| match id {
            create_tracked_run_request::Id::RunId(id) => create_run_request::Id::RunId(id),
            create_tracked_run_request::Id::ProjectId(id) => create_run_request::Id::ProjectId(id),
        });
        let (scope, name) = run_name(id)?;
        let (task, source) = self.task(request.task)?;
        let inputs = match request.offloaded_input_data.as_option() {
            Some(data) => {
                TaskInputs::read(&self.api.control.read_offloaded("offloaded_input_data.uri", &data.uri).await?)?
            }
            None => TaskInputs::default(),
        };
        let mut run_spec = request.run_spec.into_option().unwrap_or_default();
        run_spec.task_spec_source = source.into();
        if !request.labels.is_empty() {
            run_spec.labels.get_or_insert_default().values.extend(request.labels);
        }
        let start_time = request.run_start_time.as_option().map(times::from_timestamp);
        Ok(NewRun {
            options: SentOptions::of(&run_spec, &scope)?,
            scope,
            name,
            task,
            inputs,
            caller_trace: ctx.header(TRACEPARENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
            notes: Vec::new(),
            version: None,
            firing: None,
            start_time: start_time.filter(|at| at.0 > 0),
            tracked: true,
        })
    }
}

/// What became of one of many reports.
fn status(answer: Result<(), Error>) -> Status {
    match answer.map_err(ConnectError::from) {
        Ok(()) => Status::default(),
        Err(error) => Status {
            code: i32::try_from(error.code.grpc_code()).unwrap_or(2),
            message: error.message.unwrap_or_default(),
            ..Status::default()
        },
    }
}

impl TrackedRunService for TrackedRuns {
    async fn create_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, CreateTrackedRunRequest>,
    ) -> ServiceResult<CreateRunResponse> {
        let new = self.asked_for(&ctx, request.to_owned_message()).await?;
        let run = self.api.control.create_run(new).await?;
        Response::ok(CreateRunResponse { run: self.runs.listed(&run)?.into(), ..CreateRunResponse::default() })
    }

    async fn report_actions(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ReportTrackedActionsRequest>,
    ) -> ServiceResult<ReportTrackedActionsResponse> {
        let request = request.to_owned_message();
        let run = self.run(request.run_id.as_option())?;
        match request.updates.len() {
            0 => return Err(Invalid::field("updates is empty: a report is about at least one action").into()),
            count if count > MOST_UPDATES => {
                return Err(Invalid::field(format!("updates has {count} entries: at most {MOST_UPDATES}")).into());
            }
            _ => {}
        }
        let updates = request.updates.into_iter().map(|update| tracked::update(run.id(), update)).collect();
        let answers = self.api.control.take_reports(&run, updates).await?;
        let statuses = answers.into_iter().map(status).collect();
        Response::ok(ReportTrackedActionsResponse { statuses, ..ReportTrackedActionsResponse::default() })
    }

    async fn abort_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, AbortRunRequest>,
    ) -> ServiceResult<AbortRunResponse> {
        self.run(request.to_owned_message().run_id.as_option())?;
        self.runs.abort_run(ctx, request).await
    }

    async fn get_run_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, GetRunDetailsRequest>,
    ) -> ServiceResult<GetRunDetailsResponse> {
        self.run(request.to_owned_message().run_id.as_option())?;
        self.runs.get_run_details(ctx, request).await
    }

    async fn watch_run_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, WatchRunDetailsRequest>,
    ) -> ServiceResult<ServiceStream<WatchRunDetailsResponse>> {
        self.run(request.to_owned_message().run_id.as_option())?;
        self.runs.watch_run_details(ctx, request).await
    }

    async fn get_action_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, GetActionDetailsRequest>,
    ) -> ServiceResult<GetActionDetailsResponse> {
        self.run_of(request.to_owned_message().action_id.as_option())?;
        self.runs.get_action_details(ctx, request).await
    }

    async fn watch_action_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, WatchActionDetailsRequest>,
    ) -> ServiceResult<ServiceStream<WatchActionDetailsResponse>> {
        self.run_of(request.to_owned_message().action_id.as_option())?;
        self.runs.watch_action_details(ctx, request).await
    }

    async fn list_runs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListRunsRequest>,
    ) -> ServiceResult<ListRunsResponse> {
        Response::ok(self.runs.list(&request.to_owned_message(), true)?)
    }

    async fn watch_runs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchRunsRequest>,
    ) -> ServiceResult<ServiceStream<WatchRunsResponse>> {
        Response::stream_ok(self.runs.watch_all(&request.to_owned_message(), true)?)
    }

    async fn list_actions(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, ListActionsRequest>,
    ) -> ServiceResult<ListActionsResponse> {
        self.run(request.to_owned_message().run_id.as_option())?;
        self.runs.list_actions(ctx, request).await
    }

    async fn watch_actions(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchActionsRequest>,
    ) -> ServiceResult<ServiceStream<WatchActionsResponse>> {
        let request = request.to_owned_message();
        self.run(request.run_id.as_option())?;
        Response::stream_ok(self.runs.watch_every_action(&request)?)
    }
}
