//! `TriggerService`: schedules are not part of this version, and say so.

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::trigger::{
    DeleteTriggersRequest, DeleteTriggersResponse, DeployTriggerRequest, DeployTriggerResponse,
    GetTriggerDetailsRequest, GetTriggerDetailsResponse, GetTriggerRevisionDetailsRequest,
    GetTriggerRevisionDetailsResponse, GetTriggerRevisionHistoryRequest, GetTriggerRevisionHistoryResponse,
    ListTriggersRequest, ListTriggersResponse, TriggerService, UpdateTriggersRequest, UpdateTriggersResponse,
};
use spanwise_wire::{Invalid, shown};

use super::refusing::refused;

/// The service.
pub(super) struct Triggers;

fn none_there(name: &str) -> ConnectError {
    if name.is_empty() {
        return Invalid::Missing("name.name").into();
    }
    let name = shown(name);
    ConnectError::not_found(format!(
        "trigger `{name}` does not exist: triggers are not part of this version of Spanwise"
    ))
}

impl TriggerService for Triggers {
    async fn deploy_trigger(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, DeployTriggerRequest>,
    ) -> ServiceResult<DeployTriggerResponse> {
        Err(refused("flyteidl2.trigger.TriggerService/DeployTrigger"))
    }

    async fn get_trigger_details(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTriggerDetailsRequest>,
    ) -> ServiceResult<GetTriggerDetailsResponse> {
        Err(none_there(request.name.name))
    }

    async fn get_trigger_revision_details(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTriggerRevisionDetailsRequest>,
    ) -> ServiceResult<GetTriggerRevisionDetailsResponse> {
        Err(none_there(request.id.name.name))
    }

    /// There are none, which is the truth.
    async fn list_triggers(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, ListTriggersRequest>,
    ) -> ServiceResult<ListTriggersResponse> {
        Response::ok(ListTriggersResponse::default())
    }

    async fn get_trigger_revision_history(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTriggerRevisionHistoryRequest>,
    ) -> ServiceResult<GetTriggerRevisionHistoryResponse> {
        Err(none_there(request.name.name))
    }

    async fn update_triggers(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, UpdateTriggersRequest>,
    ) -> ServiceResult<UpdateTriggersResponse> {
        Err(refused("flyteidl2.trigger.TriggerService/UpdateTriggers"))
    }

    async fn delete_triggers(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteTriggersRequest>,
    ) -> ServiceResult<DeleteTriggersResponse> {
        Err(refused("flyteidl2.trigger.TriggerService/DeleteTriggers"))
    }
}
