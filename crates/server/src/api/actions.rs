//! `ActionsService`: what the controller inside a task asks for and watches.

use std::sync::Arc;

use connectrpc::{ConnectError, ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures_util::{Stream, StreamExt, stream};
use spanwise_core::{ActionKind, ActionName};
use spanwise_engine::{ChildFeed, RunHandle};
use spanwise_proto::flyteidl2::actions::{
    AbortRequest, AbortResponse, Action, ActionsService, EnqueueRequest, EnqueueResponse, SignalRequest,
    SignalResponse, UpdateRequest, UpdateResponse, WatchForUpdatesRequest, WatchForUpdatesResponse, action,
    watch_for_updates_request, watch_for_updates_response,
};
use spanwise_proto::flyteidl2::common::ActionIdentifier;
use spanwise_proto::flyteidl2::workflow::{ActionUpdate, ControlMessage};
use spanwise_wire::{Invalid, action_name, actions::NewKind, details, details::Shown, ids};

use super::Api;
use super::refusing::refused;
use crate::calls;
use crate::control::{Answer, Caller, Error, NewAction};
use crate::layout;

/// The service.
pub(super) struct Actions {
    api: Arc<Api>,
}

/// What a watching parent is told: something has changed, or the snapshot is complete.
pub(super) enum WatchMessage {
    Update(Box<ActionUpdate>),
    Complete(ControlMessage),
}

impl Actions {
    pub(super) fn new(api: Arc<Api>) -> Actions {
        Actions { api }
    }

    pub(super) async fn enqueue_action(&self, (new, what): (NewAction, NewKind)) -> Result<(), ConnectError> {
        let (run, parent) = (new.run.clone(), new.parent);
        let enqueued = self.api.control.enqueue(new, what).await.map_err(ConnectError::from);
        if let Err(refused) = &enqueued
            && matches!(refused.code, ErrorCode::InvalidArgument | ErrorCode::NotFound)
        {
            self.api.control.note_refusal(&run, parent, refused.message.as_deref().unwrap_or_default());
        }
        enqueued
    }

    pub(super) async fn abort_action(&self, id: &ActionIdentifier, reason: &str) -> Result<(), ConnectError> {
        let (run, action) = ids::action_id(id)?;
        let run = self.api.control.run(&run)?;
        let reason = if reason.is_empty() { "aborted by its parent" } else { reason };
        self.api.control.abort(&run, action, &Caller::parent(), reason).await?;
        Ok(())
    }

    /// The children of an action: first all as they are, then a mark, then each that changes.
    pub(super) fn watch_children(
        &self,
        id: &ActionIdentifier,
    ) -> Result<impl Stream<Item = Result<WatchMessage, ConnectError>> + Send + use<>, ConnectError> {
        let (run, parent) = ids::action_id(id)?;
        let run = self.api.control.run(&run)?;
        if run.action(&parent).is_none() {
            return Err(ConnectError::not_found(format!("action `{parent}` is not known to run `{}`", run.id().name)));
        }
        // The feed before the snapshot: what changes in between is told twice rather than never.
        let feed = run.feed(parent);
        let watch = Watch { run, feed, snapshot_sent: false };
        let batches = stream::unfold(watch, |mut watch| async move {
            let batch = watch.next().await;
            Some((batch, watch))
        });
        let messages = batches.flat_map(|batch| match batch {
            Ok(messages) => stream::iter(messages.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        });
        Ok(messages.take_until(self.api.control.closing().clone().cancelled_owned()))
    }
}

struct Watch {
    run: RunHandle,
    feed: ChildFeed,
    snapshot_sent: bool,
}

impl Watch {
    async fn next(&mut self) -> Result<Vec<WatchMessage>, ConnectError> {
        if !self.snapshot_sent {
            self.snapshot_sent = true;
            let children = self.run.children(&self.feed.parent());
            let mut messages = self.updates(children).await?;
            messages.push(WatchMessage::Complete(ControlMessage { sentinel: true, ..ControlMessage::default() }));
            return Ok(messages);
        }
        let changed = self.feed.changed().await;
        self.updates(changed).await
    }

    /// The children as they are now; what is told is safe in the journal.
    async fn updates(&self, children: Vec<ActionName>) -> Result<Vec<WatchMessage>, ConnectError> {
        let mut messages = Vec::with_capacity(children.len());
        let directory = layout::directory(self.run.id());
        for name in children {
            let Some(action) = self.run.action(&name) else { continue };
            let outputs = match action.spec.kind {
                ActionKind::Condition if action.is_finished() => self.run.payloads(&name).await.map_err(Error::from)?.1,
                _ => None,
            };
            let run = self.run.id();
            let (definition, firing) = (None, None);
            let shown = Shown { run, directory: &directory, name: &name, action: &action, definition, firing };
            messages.push(WatchMessage::Update(Box::new(shown.update(outputs.as_deref()))));
        }
        self.run.safe().await.map_err(Error::from)?;
        Ok(messages)
    }
}

/// An action as `ActionsService` sends it.
fn new_action(action: Action) -> Result<(NewAction, NewKind), Invalid> {
    let id = action.action_id.as_option().ok_or(Invalid::Missing("action.action_id"))?;
    let (run, name) = ids::action_id(id)?;
    let parent = action.parent_action_name.as_deref().ok_or(Invalid::Missing("action.parent_action_name"))?;
    let new = NewAction {
        run,
        name,
        parent: action_name(parent)?,
        input_uri: action.input_uri.clone(),
        group: action.group.clone(),
    };
    let kind = match action.spec.ok_or(Invalid::Missing("action.spec"))? {
        action::Spec::Task(task) => NewKind::from(task),
        action::Spec::Trace(step) => NewKind::from(step),
        action::Spec::Condition(condition) => NewKind::from(condition),
    };
    Ok((new, kind))
}

impl ActionsService for Actions {
    async fn enqueue(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, EnqueueRequest>,
    ) -> ServiceResult<EnqueueResponse> {
        let request = request.to_owned_message();
        let action = request.action.into_option().ok_or(Invalid::Missing("action"))?;
        self.enqueue_action(new_action(action)?).await?;
        Response::ok(EnqueueResponse::default())
    }

    async fn watch_for_updates(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchForUpdatesRequest>,
    ) -> ServiceResult<ServiceStream<WatchForUpdatesResponse>> {
        let request = request.to_owned_message();
        let Some(watch_for_updates_request::Filter::ParentActionId(parent)) = &request.filter else {
            return Err(Invalid::Missing("parent_action_id").into());
        };
        let messages = self.watch_children(parent)?;
        Response::stream_ok(messages.map(|message| {
            let message = match message? {
                WatchMessage::Update(update) => watch_for_updates_response::Message::ActionUpdate(update),
                WatchMessage::Complete(control) => control.into(),
            };
            Ok(WatchForUpdatesResponse { message: Some(message), ..WatchForUpdatesResponse::default() })
        }))
    }

    async fn update(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, UpdateRequest>,
    ) -> ServiceResult<UpdateResponse> {
        Err(refused("flyteidl2.actions.ActionsService/Update"))
    }

    async fn abort(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, AbortRequest>,
    ) -> ServiceResult<AbortResponse> {
        let request = request.to_owned_message();
        let id = request.action_id.as_option().ok_or(Invalid::Missing("action_id"))?;
        self.abort_action(id, request.reason.as_deref().unwrap_or_default()).await?;
        Response::ok(AbortResponse::default())
    }

    async fn signal(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, SignalRequest>,
    ) -> ServiceResult<SignalResponse> {
        let request = request.to_owned_message();
        let (run, action) = ids::action_id(request.action_id.as_option().ok_or(Invalid::Missing("action_id"))?)?;
        let value = request.value.into_option().ok_or(Invalid::Missing("value"))?;
        let run = self.api.control.run(&run)?;
        let by = Caller::of_api(request.signalled_by.as_option().and_then(details::named));
        let answer = Answer { by, from: calls::caller(ctx.headers()), value: value.into() };
        self.api.control.signal(&run, action, answer).await?;
        Response::ok(SignalResponse::default())
    }
}
