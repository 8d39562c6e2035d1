//! `QueueService` and `StateService`: the older pair that does what `ActionsService` does, for controllers that ask for it.

use std::sync::Arc;

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures_util::StreamExt;
use spanwise_proto::flyteidl2::workflow::{
    AbortQueuedActionRequest, AbortQueuedActionResponse, AbortQueuedRunRequest, AbortQueuedRunResponse,
    EnqueueActionRequest, EnqueueActionResponse, GetRequest, GetResponse, PutRequest, PutResponse, QueueService,
    StateService, WatchRequest, WatchResponse, enqueue_action_request, watch_request, watch_response,
};
use spanwise_wire::{Invalid, action_name, actions::NewKind, ids};

use super::actions::{Actions, WatchMessage};
use super::refusing::refused;
use crate::control::NewAction;

/// `QueueService`.
pub(super) struct Queue {
    actions: Arc<Actions>,
}

impl Queue {
    pub(super) fn new(actions: Arc<Actions>) -> Queue {
        Queue { actions }
    }
}

fn new_action(request: EnqueueActionRequest) -> Result<(NewAction, NewKind), Invalid> {
    let id = request.action_id.as_option().ok_or(Invalid::Missing("action_id"))?;
    let (run, name) = ids::action_id(id)?;
    let parent = request.parent_action_name.as_deref().ok_or(Invalid::Missing("parent_action_name"))?;
    let new = NewAction {
        run,
        name,
        parent: action_name(parent)?,
        input_uri: request.input_uri.clone(),
        group: request.group.clone(),
    };
    let kind = match request.spec.ok_or(Invalid::Missing("spec"))? {
        enqueue_action_request::Spec::Task(task) => NewKind::from(task),
        enqueue_action_request::Spec::Trace(step) => NewKind::from(step),
        enqueue_action_request::Spec::Condition(condition) => NewKind::from(condition),
    };
    Ok((new, kind))
}

impl QueueService for Queue {
    async fn enqueue_action(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, EnqueueActionRequest>,
    ) -> ServiceResult<EnqueueActionResponse> {
        self.actions.enqueue_action(new_action(request.to_owned_message())?).await?;
        Response::ok(EnqueueActionResponse::default())
    }

    async fn abort_queued_run(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, AbortQueuedRunRequest>,
    ) -> ServiceResult<AbortQueuedRunResponse> {
        let request = request.to_owned_message();
        let run = ids::run_id(request.run_id.as_option().ok_or(Invalid::Missing("run_id"))?)?;
        let root = ids::to_action_identifier(&run, &spanwise_core::ActionName::ROOT);
        self.actions.abort_action(&root, request.reason.as_deref().unwrap_or_default()).await?;
        Response::ok(AbortQueuedRunResponse::default())
    }

    async fn abort_queued_action(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, AbortQueuedActionRequest>,
    ) -> ServiceResult<AbortQueuedActionResponse> {
        let request = request.to_owned_message();
        let id = request.action_id.as_option().ok_or(Invalid::Missing("action_id"))?;
        self.actions.abort_action(id, request.reason.as_deref().unwrap_or_default()).await?;
        Response::ok(AbortQueuedActionResponse::default())
    }
}

/// `StateService`.
pub(super) struct States {
    actions: Arc<Actions>,
}

impl States {
    pub(super) fn new(actions: Arc<Actions>) -> States {
        States { actions }
    }
}

impl StateService for States {
    async fn put(&self, _ctx: RequestContext, _request: ServiceRequest<'_, PutRequest>) -> ServiceResult<PutResponse> {
        Err(refused("flyteidl2.workflow.StateService/Put"))
    }

    async fn get(&self, _ctx: RequestContext, _request: ServiceRequest<'_, GetRequest>) -> ServiceResult<GetResponse> {
        Err(refused("flyteidl2.workflow.StateService/Get"))
    }

    async fn watch(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchRequest>,
    ) -> ServiceResult<ServiceStream<WatchResponse>> {
        let request = request.to_owned_message();
        let Some(watch_request::Filter::ParentActionId(parent)) = &request.filter else {
            return Err(Invalid::Missing("parent_action_id").into());
        };
        let messages = self.actions.watch_children(parent)?;
        Response::stream_ok(messages.map(|message| {
            let message = match message? {
                WatchMessage::Update(update) => watch_response::Message::ActionUpdate(update),
                WatchMessage::Complete(control) => control.into(),
            };
            Ok(WatchResponse { message: Some(message), ..WatchResponse::default() })
        }))
    }
}
