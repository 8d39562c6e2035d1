//! `RunService`: runs and their actions, for drivers, command lines and consoles.

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures_util::{StreamExt, stream};
use spanwise_core::trace::TRACEPARENT;
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, Phase, RunName};
use spanwise_engine::{RunHandle, Scope};
use spanwise_proto::flyteidl2::task::TaskSpecSource;
use spanwise_proto::flyteidl2::workflow::*;
use spanwise_wire::condition::Given;
use spanwise_wire::options::SentOptions;
use spanwise_wire::task::TaskDefinition;
use spanwise_wire::{Invalid, TaskInputs, ids, times};

use super::Api;
use super::reads::Found;
use super::refusing::refused;
use super::waiting::awaited;
use crate::calls;
use crate::control::{Answer, Caller, Fire, NewRun};

/// The service.
pub(super) struct Runs {
    pub(super) api: Arc<Api>,
}

impl Runs {
    pub(super) fn new(api: Arc<Api>) -> Runs {
        Runs { api }
    }

    pub(super) fn run(
        &self,
        id: Option<&spanwise_proto::flyteidl2::common::RunIdentifier>,
    ) -> Result<RunHandle, ConnectError> {
        let id = ids::run_id(id.ok_or(Invalid::Missing("run_id"))?)?;
        Ok(self.api.control.run(&id)?)
    }

    /// A run as lists show it.
    pub(super) fn listed(&self, run: &RunHandle) -> Result<Run, ConnectError> {
        let root = run.action(&ActionName::ROOT).ok_or_else(|| ConnectError::internal("a run without a root"))?;
        let action = self.api.listed(run, &ActionName::ROOT, &root)?;
        let labels = run.settings().options.labels.clone();
        Ok(Run { action: action.into(), labels: labels.into_iter().collect(), ..Run::default() })
    }

    async fn inputs(&self, wrapper: Option<create_run_request::InputWrapper>) -> Result<TaskInputs, ConnectError> {
        Ok(match wrapper {
            None => TaskInputs::default(),
            Some(create_run_request::InputWrapper::Inputs(inputs)) => TaskInputs::from(*inputs),
            Some(create_run_request::InputWrapper::OffloadedInputData(data)) => {
                TaskInputs::read(&self.api.control.read_offloaded("offloaded_input_data.uri", &data.uri).await?)?
            }
        })
    }

    /// What is said of an action: first as it is, then at every change; over after its end.
    fn watch<T, F>(
        &self,
        ctx: &RequestContext,
        found: Found,
        say: impl Fn(Arc<Api>, Found) -> F + Clone + Send + 'static,
    ) -> ServiceResult<ServiceStream<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ConnectError>> + Send,
    {
        let (api, closing) = (Arc::clone(&self.api), self.api.control.closing().clone());
        let wait = self.api.wait_of(ctx, &found);
        let Found { run, name, .. } = found;
        let watch = run.watch(name);
        let stream = stream::unfold((Some(run), watch, true), move |(run, watch, first)| {
            let (api, say) = (Arc::clone(&api), say.clone());
            async move {
                let run = run?;
                if !first {
                    watch.changed().await;
                }
                let action = run.action(&name)?;
                let finished = action.is_finished();
                let answer = say(api, Found { run: run.clone(), name, action }).await;
                Some((answer, ((!finished).then_some(run), watch, false)))
            }
        });
        Response::stream_ok(awaited(stream, wait).take_until(closing.cancelled_owned()))
    }

    /// The version of a deployed task that a run is of, and what is to be said with it.
    fn version(&self, task: Option<&create_run_request::Task>) -> Result<(Option<String>, Vec<String>), ConnectError> {
        let Some(create_run_request::Task::TaskId(id)) = task else { return Ok((None, Vec::new())) };
        let wanted = ids::task_key(id)?;
        let wanted = ids::TaskKey { version: self.api.control.deployed_row(&wanted)?.version, ..wanted };
        let notes = self.api.control.refused_deployments(|key| *key == wanted);
        Ok((Some(wanted.version), notes))
    }

    fn task(&self, task: Option<create_run_request::Task>) -> Result<(TaskDefinition, TaskSpecSource), ConnectError> {
        match task {
            Some(create_run_request::Task::TaskSpec(spec)) => {
                Ok((TaskDefinition::of(*spec)?, TaskSpecSource::TASK_SPEC_SOURCE_EPHEMERAL))
            }
            Some(create_run_request::Task::TaskId(id)) => {
                let task = self.api.control.deployed(&ids::task_key(&id)?)?;
                Ok((task, TaskSpecSource::TASK_SPEC_SOURCE_DEPLOYED))
            }
            Some(create_run_request::Task::TriggerName(_)) | None => Err(Invalid::Missing("task").into()),
        }
    }
}

/// What is said of a start time that is not the time of a slot.
const NO_START_TIME: &str = "run_start_time is not honoured: a run starts when it is created, but for that of a slot of a trigger (`source` = schedule)";

impl Runs {
    /// A run of a trigger: of the slot that the request names, as the scheduler fires it, or because somebody asks for it.
    async fn fire(
        &self,
        id: &TriggerId,
        request: CreateRunRequest,
        caller_trace: Option<String>,
    ) -> Result<RunHandle, ConnectError> {
        let (scope, name) = run_name(request.id)?;
        if scope != id.scope {
            let text = format!(
                "run_id: trigger `{id}` starts runs in project `{}`, domain `{}`",
                id.scope.project, id.scope.domain
            );
            return Err(Invalid::field(text).into());
        }
        let row = self.api.control.trigger(id)?;
        let is_scheduled = request.source.as_known() == Some(RunSource::RUN_SOURCE_SCHEDULE_TRIGGER);
        let slot = match request.run_start_time.as_option() {
            Some(at) if is_scheduled => Some(times::from_timestamp(at)),
            None if is_scheduled => return Err(Invalid::Missing("run_start_time").into()),
            Some(_) => return Err(Invalid::field(NO_START_TIME).into()),
            None => None,
        };
        let inputs = match request.input_wrapper {
            None => None,
            given => Some(self.inputs(given).await?),
        };
        let options = request.run_spec.into_option().map(|mut spec| {
            spec.task_spec_source = TaskSpecSource::TASK_SPEC_SOURCE_DEPLOYED.into();
            SentOptions::of(&spec, &scope)
        });
        if let Some(slot) = slot {
            self.api.control.check_slot(&row, slot, name.as_ref())?;
        }
        let fire = Fire { slot, version: None, name, inputs, options: options.transpose()?, caller_trace };
        Ok(self.api.control.fire(&row, fire).await?)
    }
}

pub(super) fn run_name(id: Option<create_run_request::Id>) -> Result<(Scope, Option<RunName>), Invalid> {
    match id.ok_or(Invalid::Missing("run_id or project_id"))? {
        create_run_request::Id::RunId(id) => {
            let scope = ids::scope(&id.org, &id.project, &id.domain)?;
            Ok((scope, if id.name.is_empty() { None } else { Some(RunName::new(&id.name)?) }))
        }
        create_run_request::Id::ProjectId(id) => Ok((ids::project_scope(&id)?, None)),
    }
}

impl RunService for Runs {
    async fn create_run(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, CreateRunRequest>,
    ) -> ServiceResult<CreateRunResponse> {
        let request = request.to_owned_message();
        let header = ctx.header(TRACEPARENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(create_run_request::Task::TriggerName(trigger)) = &request.task {
            let id = ids::trigger_id(trigger)?;
            let run = self.fire(&id, request, header).await?;
            return Response::ok(CreateRunResponse { run: self.listed(&run)?.into(), ..CreateRunResponse::default() });
        }
        let (scope, name) = run_name(request.id)?;
        let (version, mut notes) = self.version(request.task.as_ref())?;
        notes.extend(request.run_start_time.is_set().then(|| NO_START_TIME.to_owned()));
        let (task, source) = self.task(request.task)?;
        let inputs = self.inputs(request.input_wrapper).await?;
        let mut run_spec = request.run_spec.into_option().unwrap_or_default();
        run_spec.task_spec_source = source.into();
        let options = SentOptions::of(&run_spec, &scope)?;
        let new = NewRun {
            scope,
            name,
            task,
            inputs,
            options,
            caller_trace: header,
            notes,
            version,
            firing: None,
            start_time: None,
            tracked: false,
        };
        let run = self.api.control.create_run(new).await?;
        Response::ok(CreateRunResponse { run: self.listed(&run)?.into(), ..CreateRunResponse::default() })
    }

    async fn abort_run(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, AbortRunRequest>,
    ) -> ServiceResult<AbortRunResponse> {
        let request = request.to_owned_message();
        let run = self.run(request.run_id.as_option())?;
        let reason = request.reason.unwrap_or_default();
        let had_ended = self.api.control.abort(&run, ActionName::ROOT, &Caller::user(), &reason).await?;
        with_former_end(AbortRunResponse::default(), had_ended)
    }

    async fn get_run_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, GetRunDetailsRequest>,
    ) -> ServiceResult<GetRunDetailsResponse> {
        let request = request.to_owned_message();
        let run = self.run(request.run_id.as_option())?;
        self.api.note_watch(&ctx, &Found::root(&run)?);
        let details = self.api.run_details(run).await?;
        Response::ok(GetRunDetailsResponse { details: details.into(), ..GetRunDetailsResponse::default() })
    }

    async fn watch_run_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, WatchRunDetailsRequest>,
    ) -> ServiceResult<ServiceStream<WatchRunDetailsResponse>> {
        let request = request.to_owned_message();
        let found = Found::root(&self.run(request.run_id.as_option())?)?;
        self.watch(&ctx, found, |api, found| async move {
            let details = api.run_details(found.run).await?;
            Ok(WatchRunDetailsResponse { details: details.into(), ..WatchRunDetailsResponse::default() })
        })
    }

    async fn get_action_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, GetActionDetailsRequest>,
    ) -> ServiceResult<GetActionDetailsResponse> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        self.api.note_watch(&ctx, &found);
        let details = self.api.details(&found).await?;
        Response::ok(GetActionDetailsResponse { details: details.into(), ..GetActionDetailsResponse::default() })
    }

    async fn watch_action_details(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, WatchActionDetailsRequest>,
    ) -> ServiceResult<ServiceStream<WatchActionDetailsResponse>> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        self.watch(&ctx, found, |api, found| async move {
            let details = api.details(&found).await?;
            Ok(WatchActionDetailsResponse { details: details.into(), ..WatchActionDetailsResponse::default() })
        })
    }

    async fn get_action_data(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, GetActionDataRequest>,
    ) -> ServiceResult<GetActionDataResponse> {
        Err(refused("flyteidl2.workflow.RunService/GetActionData"))
    }

    async fn list_runs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListRunsRequest>,
    ) -> ServiceResult<ListRunsResponse> {
        Response::ok(self.list(&request.to_owned_message(), false)?)
    }

    async fn watch_runs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchRunsRequest>,
    ) -> ServiceResult<ServiceStream<WatchRunsResponse>> {
        Response::stream_ok(self.watch_all(&request.to_owned_message(), false)?)
    }

    async fn list_actions(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListActionsRequest>,
    ) -> ServiceResult<ListActionsResponse> {
        Response::ok(self.actions(&request.to_owned_message())?)
    }

    async fn watch_actions(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchActionsRequest>,
    ) -> ServiceResult<ServiceStream<WatchActionsResponse>> {
        let request = request.to_owned_message();
        Response::stream_ok(self.watch_every_action(&request)?)
    }

    async fn watch_cluster_events(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, WatchClusterEventsRequest>,
    ) -> ServiceResult<ServiceStream<WatchClusterEventsResponse>> {
        Err(refused("flyteidl2.workflow.RunService/WatchClusterEvents"))
    }

    async fn abort_action(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, AbortActionRequest>,
    ) -> ServiceResult<AbortActionResponse> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        let (run, caller) = (&found.run, Caller::user());
        let had_ended = self.api.control.abort(run, found.name, &caller, &request.reason).await?;
        with_former_end(AbortActionResponse::default(), had_ended)
    }

    async fn signal_event(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, SignalEventRequest>,
    ) -> ServiceResult<SignalEventResponse> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        let answer = Answer {
            by: Caller::user(),
            from: calls::caller(ctx.headers()),
            value: Given::of_payload(&request.payload)?,
        };
        self.api.control.signal(&found.run, found.name, answer).await?;
        Response::ok(SignalEventResponse::default())
    }

    async fn watch_groups(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, WatchGroupsRequest>,
    ) -> ServiceResult<ServiceStream<WatchGroupsResponse>> {
        Err(refused("flyteidl2.workflow.RunService/WatchGroups"))
    }

    async fn get_action_data_ur_is(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetActionDataURIsRequest>,
    ) -> ServiceResult<GetActionDataURIsResponse> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        let (inputs_uri, outputs_uri) = super::data::uris(&self.api.control, &found).await?;
        Response::ok(GetActionDataURIsResponse { inputs_uri, outputs_uri, ..GetActionDataURIsResponse::default() })
    }

    async fn get_action_log_context(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, GetActionLogContextRequest>,
    ) -> ServiceResult<GetActionLogContextResponse> {
        Err(refused("flyteidl2.workflow.RunService/GetActionLogContext"))
    }
}

/// A header of the answer to an abort: the phase in which the action had ended already.
const HAD_ENDED: &str = "spanwise-had-ended";

/// The answer to an abort, which is no error if there was nothing left to end: the stock SDK would show it as one.
fn with_former_end<T: Send + 'static>(answer: T, had_ended: Option<Phase>) -> ServiceResult<T> {
    let response = Response::new(answer);
    Ok(match had_ended {
        Some(phase) => response.with_header(HAD_ENDED, phase.as_str()),
        None => response,
    })
}
