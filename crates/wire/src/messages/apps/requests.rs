//! What a client asks about apps.

use spanwise_core::Scope;
use spanwise_core::app::Desired;
use spanwise_proto::flyteidl2::app::{
    App, DeleteRequest, GetRequest, ListRequest, ReplicaIdentifier, TailLogsRequest, UpdateRequest, get_request,
    list_request, spec, tail_logs_request,
};
use spanwise_proto::flyteidl2::common;

use super::AppId;
use crate::ids;

/// For one app.
pub fn get(id: &AppId) -> GetRequest {
    GetRequest { identifier: Some(get_request::Identifier::from(id.to_message())), ..GetRequest::default() }
}

/// For the newest apps of a scope, so many at most.
pub fn list(scope: &Scope, limit: u32) -> ListRequest {
    ListRequest {
        request: common::ListRequest { limit, ..common::ListRequest::default() }.into(),
        filter_by: Some(list_request::FilterBy::from(ids::to_project_identifier(scope))),
        ..ListRequest::default()
    }
}

/// That an app goes.
pub fn delete(id: &AppId) -> DeleteRequest {
    DeleteRequest { app_id: id.to_message().into(), ..DeleteRequest::default() }
}

/// That an app, as it was told, is started or stopped.
pub fn desire(mut app: App, desired: Desired, reason: &str) -> UpdateRequest {
    app.spec.get_or_insert_default().desired_state = match desired {
        Desired::Started => spec::DesiredState::DESIRED_STATE_STARTED.into(),
        Desired::Stopped => spec::DesiredState::DESIRED_STATE_STOPPED.into(),
    };
    UpdateRequest { app: app.into(), reason: reason.to_owned(), ..UpdateRequest::default() }
}

/// For the log of a start of an app; of the last one, if none is named.
pub fn logs(id: &AppId, start: Option<u32>) -> TailLogsRequest {
    let app_id = id.to_message();
    let target = match start {
        Some(start) => {
            let name = replica(id, start);
            ReplicaIdentifier { app_id: app_id.into(), name, ..ReplicaIdentifier::default() }.into()
        }
        None => tail_logs_request::Target::from(app_id),
    };
    TailLogsRequest { target: Some(target), ..TailLogsRequest::default() }
}

/// The name of a start of an app.
pub fn replica(id: &AppId, start: u32) -> String {
    format!("{}-{start}", id.name)
}
