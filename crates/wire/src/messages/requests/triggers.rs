//! Requests about triggers.

use spanwise_core::trigger::TriggerId;
use spanwise_core::{RunId, Scope, Timestamp};
use spanwise_proto::flyteidl2::trigger::{
    GetTriggerDetailsRequest, GetTriggerRevisionHistoryRequest, ListTriggersRequest, UpdateTriggersRequest,
    list_triggers_request,
};
use spanwise_proto::flyteidl2::workflow::{CreateRunRequest, ListRunsRequest, RunSource, list_runs_request};

use super::lists::{Page, list};
use crate::{ids, times};

/// The triggers of a scope.
pub fn listed(scope: &Scope, page: Page) -> ListTriggersRequest {
    ListTriggersRequest {
        request: list(page, &[]).into(),
        scope_by: Some(list_triggers_request::ScopeBy::from(ids::to_project_identifier(scope))),
        ..ListTriggersRequest::default()
    }
}

/// A trigger with what it starts runs with.
pub fn details(trigger: &TriggerId) -> GetTriggerDetailsRequest {
    GetTriggerDetailsRequest { name: ids::to_trigger_name(trigger).into(), ..GetTriggerDetailsRequest::default() }
}

/// The changes of a trigger, the last one first.
pub fn revisions(trigger: &TriggerId, page: Page) -> GetTriggerRevisionHistoryRequest {
    GetTriggerRevisionHistoryRequest {
        request: list(page, &[]).into(),
        name: ids::to_trigger_name(trigger).into(),
        ..GetTriggerRevisionHistoryRequest::default()
    }
}

/// The runs that a trigger has started, the newest first.
pub fn runs(trigger: &TriggerId, page: Page) -> ListRunsRequest {
    ListRunsRequest {
        request: list(page, &[]).into(),
        scope_by: Some(list_runs_request::ScopeBy::from(ids::to_trigger_name(trigger))),
        ..ListRunsRequest::default()
    }
}

/// Pauses a trigger, or lets it fire again.
pub fn set_active(trigger: &TriggerId, active: bool) -> UpdateTriggersRequest {
    let names = vec![ids::to_trigger_name(trigger)];
    UpdateTriggersRequest { names, active, ..UpdateTriggersRequest::default() }
}

/// Fires a trigger now: the run gets a name of the server's.
pub fn fire(scope: &Scope, trigger: &TriggerId) -> CreateRunRequest {
    CreateRunRequest {
        id: Some(ids::to_project_identifier(scope).into()),
        task: Some(ids::to_trigger_name(trigger).into()),
        ..CreateRunRequest::default()
    }
}

/// Starts the run of a slot of a trigger's schedule, as the scheduler does.
pub fn fire_slot(run: &RunId, trigger: &TriggerId, slot: Timestamp) -> CreateRunRequest {
    CreateRunRequest {
        id: Some(ids::to_run_identifier(run).into()),
        task: Some(ids::to_trigger_name(trigger).into()),
        source: RunSource::RUN_SOURCE_SCHEDULE_TRIGGER.into(),
        run_start_time: times::timestamp(slot).into(),
        ..CreateRunRequest::default()
    }
}
