//! Requests for lists: a page at a time, filtered by the server.

use spanwise_core::{Phase, RunId, Scope};
use spanwise_proto::flyteidl2::common::{Filter, ListRequest, filter::Function};
use spanwise_proto::flyteidl2::task::{ListTasksRequest, list_tasks_request};
use spanwise_proto::flyteidl2::workflow::{ActionType, ListActionsRequest, ListRunsRequest, list_runs_request};

use crate::ids;

/// As many entries as a server puts into one answer.
pub const LARGEST_PAGE: u32 = 1000;

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many entries.
    pub limit: u32,
    /// Where it begins: what the answer before has said, or nothing.
    pub token: String,
}

impl Page {
    /// As much as one answer has, from where the answer before has ended.
    pub fn after(token: String) -> Page {
        Page { limit: LARGEST_PAGE, token }
    }

    /// The first entries.
    pub fn first(limit: u32) -> Page {
        Page { limit, token: String::new() }
    }
}

/// What is listed of all there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// Actions and runs in one phase.
    In(Phase),
    /// Runs in one of some phases, by words of the user's: the server refuses what is none.
    InOneOf(Vec<String>),
    /// Runs of one task.
    Task(String),
    /// Runs with a label, in whatever value or in this one.
    Label(String, Option<String>),
    /// Actions that are conditions.
    Conditions,
}

impl Only {
    fn filter(&self) -> Filter {
        let (function, field, values) = match self {
            Only::In(phase) => (Function::EQUAL, "phase".to_owned(), vec![phase.to_string()]),
            Only::InOneOf(phases) => {
                let phases = phases.iter().map(|phase| phase.to_uppercase()).collect();
                (Function::VALUE_IN, "phase".to_owned(), phases)
            }
            Only::Task(name) => (Function::EQUAL, "task_name".to_owned(), vec![name.clone()]),
            Only::Label(key, Some(value)) => (Function::EQUAL, format!("labels.{key}"), vec![value.clone()]),
            Only::Label(key, None) => (Function::EXISTS, format!("labels.{key}"), Vec::new()),
            Only::Conditions => {
                let number = ActionType::ACTION_TYPE_CONDITION as i32;
                (Function::EQUAL, "action_type".to_owned(), vec![number.to_string()])
            }
        };
        Filter { function: function.into(), field, values, ..Filter::default() }
    }
}

pub(super) fn list(page: Page, only: &[Only]) -> ListRequest {
    let Page { limit, token } = page;
    ListRequest { limit, token, filters: only.iter().map(Only::filter).collect(), ..ListRequest::default() }
}

/// The runs of a scope, the newest first.
pub fn runs(scope: &Scope, page: Page, only: &[Only]) -> ListRunsRequest {
    ListRunsRequest {
        request: list(page, only).into(),
        scope_by: Some(list_runs_request::ScopeBy::from(ids::to_project_identifier(scope))),
        ..ListRunsRequest::default()
    }
}

/// The runs of a scope in which a condition waits for somebody.
pub fn waiting_runs(scope: &Scope, page: Page) -> ListRunsRequest {
    ListRunsRequest { paused_actions_only: true, ..runs(scope, page, &[]) }
}

/// The actions of a run, in the order in which they were accepted.
pub fn actions(run: &RunId, page: Page, only: &[Only]) -> ListActionsRequest {
    let run = ids::to_run_identifier(run);
    ListActionsRequest { request: list(page, only).into(), run_id: run.into(), ..ListActionsRequest::default() }
}

/// The deployed tasks of a scope, each in its newest version.
pub fn tasks(scope: &Scope, page: Page) -> ListTasksRequest {
    ListTasksRequest {
        request: list(page, &[]).into(),
        scope_by: Some(list_tasks_request::ScopeBy::from(ids::to_project_identifier(scope))),
        ..ListTasksRequest::default()
    }
}
