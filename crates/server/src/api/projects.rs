//! `ProjectService`: a project is there as soon as something runs in it, or somebody has registered it.

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::common::sort;
use spanwise_proto::flyteidl2::project::{
    CreateProjectRequest, CreateProjectResponse, GetProjectRequest, GetProjectResponse, ListProjectsRequest,
    ListProjectsResponse, Project, ProjectService, Projects as ProjectList, UpdateProjectRequest,
    UpdateProjectResponse,
};

use super::{Api, listing};
use spanwise_wire::{Invalid, project, shown};

/// The service.
pub(super) struct Projects {
    api: Arc<Api>,
}

impl Projects {
    pub(super) fn new(api: Arc<Api>) -> Projects {
        Projects { api }
    }
}

/// What a request says of a project.
fn said(project: Option<Project>) -> Result<spanwise_core::Project, Invalid> {
    project::of_message(project.ok_or(Invalid::Missing("project"))?)
}

impl ProjectService for Projects {
    async fn create_project(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateProjectRequest>,
    ) -> ServiceResult<CreateProjectResponse> {
        self.api.control.create_project(said(request.to_owned_message().project.into_option())?)?;
        Response::ok(CreateProjectResponse::default())
    }

    async fn update_project(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, UpdateProjectRequest>,
    ) -> ServiceResult<UpdateProjectResponse> {
        self.api.control.update_project(said(request.to_owned_message().project.into_option())?)?;
        Response::ok(UpdateProjectResponse::default())
    }

    async fn get_project(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetProjectRequest>,
    ) -> ServiceResult<GetProjectResponse> {
        if request.id.is_empty() {
            return Err(Invalid::Missing("id").into());
        }
        let none = || {
            let text = "is not registered, and has no runs and no tasks";
            ConnectError::not_found(format!("project `{}` {text}", shown(request.id)))
        };
        let project = self.api.control.projects()?.remove(request.id).ok_or_else(none)?;
        let project = project::to_message(project).into();
        Response::ok(GetProjectResponse { project, ..GetProjectResponse::default() })
    }

    async fn list_projects(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListProjectsRequest>,
    ) -> ServiceResult<ListProjectsResponse> {
        let request = request.to_owned_message();
        let offset = listing::position("token", &request.token)?.unwrap_or(0);
        let page = listing::Page { offset, limit: listing::size(request.limit) };
        let states = states(&request.filters)?;
        let mut projects: Vec<Project> = self.api.control.projects()?.into_values().map(project::to_message).collect();
        projects.retain(|project| states.iter().all(|state| project.state.to_i32() == *state));
        if goes_down(&request)? {
            projects.reverse();
        }
        let mut projects: Vec<Project> = projects.into_iter().skip(page.offset).take(page.limit + 1).collect();
        let token = page.next(&mut projects);
        let projects = ProjectList { projects, token, ..ProjectList::default() }.into();
        Response::ok(ListProjectsResponse { projects, ..ListProjectsResponse::default() })
    }
}

/// The states that are asked for, each of which a project has to have: `eq(field, value)`, several with `+` between them.
fn states(filters: &str) -> Result<Vec<i32>, Invalid> {
    let state = |filter: &str| {
        let refused = || {
            Invalid::field(format!(
                "filters: projects cannot be filtered by `{}`, only by eq(state, ..)",
                shown(filter)
            ))
        };
        let pair =
            filter.strip_prefix("eq(").and_then(|rest| rest.strip_suffix(')')).and_then(|pair| pair.split_once(','));
        let state = pair.filter(|(field, _)| field.trim() == "state").and_then(|(_, value)| value.trim().parse().ok());
        state.ok_or_else(refused)
    };
    filters.split('+').map(str::trim).filter(|filter| !filter.is_empty()).map(state).collect()
}

/// Whether the last id comes first. When a project came to be is known of some only, so the clients' usual order is that of the ids.
fn goes_down(request: &ListProjectsRequest) -> Result<bool, Invalid> {
    let Some(sort) = request.sort_by.as_option().filter(|sort| !sort.key.is_empty()) else { return Ok(false) };
    let is_down = sort.direction.as_known() == Some(sort::Direction::DESCENDING);
    match sort.key.as_str() {
        "name" | "id" | "identifier" => Ok(is_down),
        "created_at" if !is_down => Ok(false),
        key => Err(Invalid::field(format!("sort_by: projects cannot be sorted by `{}`, only by `name`", shown(key)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_filtered_by_their_state_and_what_else_is_asked_of_them_is_refused_by_name() {
        for (filters, expected) in [
            ("", vec![]),
            ("eq(state, 0)", vec![0]),
            ("eq(state, 1)", vec![1]),
            ("eq(state, 0)+eq(state,1)", vec![0, 1]),
        ] {
            assert_eq!(states(filters).map_err(|error| error.to_string()), Ok(expected), "{filters}");
        }
        for filters in ["eq(name, a)", "value_in(state, 0)", "eq(state, x)", "eq(name, a)+eq(state, 0)", "state"] {
            assert!(states(filters).unwrap_err().to_string().contains("filters: projects"), "{filters}");
        }
    }
}
