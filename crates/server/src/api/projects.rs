//! `ProjectService`: a project is there as soon as something runs in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::common::sort;
use spanwise_proto::flyteidl2::project::{
    CreateProjectRequest, CreateProjectResponse, Domain, GetProjectRequest, GetProjectResponse, ListProjectsRequest,
    ListProjectsResponse, Project, ProjectService, ProjectState, Projects as ProjectList, UpdateProjectRequest,
    UpdateProjectResponse,
};

use super::refusing::refused;
use super::{Api, listing};
use crate::control::Error;
use spanwise_core::{DEFAULT_DOMAIN, DEFAULT_ORG, DEFAULT_PROJECT};
use spanwise_wire::{Invalid, shown};

/// The domains that every project shows (Flyte's own three).
const DOMAINS: [&str; 3] = [DEFAULT_DOMAIN, "staging", "production"];

/// The service.
pub(super) struct Projects {
    api: Arc<Api>,
}

impl Projects {
    pub(super) fn new(api: Arc<Api>) -> Projects {
        Projects { api }
    }

    /// The names of all projects.
    fn names(&self) -> Result<BTreeSet<String>, Error> {
        let mut names = self.api.control.projects()?;
        names.insert(DEFAULT_PROJECT.to_owned());
        Ok(names)
    }
}

fn project(name: String) -> Project {
    let domain = |name: &str| Domain { id: name.to_owned(), name: name.to_owned(), ..Domain::default() };
    Project {
        id: name.clone(),
        name,
        domains: DOMAINS.map(domain).into(),
        org: DEFAULT_ORG.to_owned(),
        ..Project::default()
    }
}

impl ProjectService for Projects {
    async fn create_project(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, CreateProjectRequest>,
    ) -> ServiceResult<CreateProjectResponse> {
        Err(refused("flyteidl2.project.ProjectService/CreateProject"))
    }

    async fn update_project(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, UpdateProjectRequest>,
    ) -> ServiceResult<UpdateProjectResponse> {
        Err(refused("flyteidl2.project.ProjectService/UpdateProject"))
    }

    async fn get_project(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetProjectRequest>,
    ) -> ServiceResult<GetProjectResponse> {
        if request.id.is_empty() {
            return Err(Invalid::Missing("id").into());
        }
        if !self.names()?.contains(request.id) {
            return Err(ConnectError::not_found(format!("project `{}` has no runs and no tasks", shown(request.id))));
        }
        let project = project(request.id.to_owned()).into();
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
        let mut names: Vec<String> = self.names()?.into_iter().collect();
        if goes_down(&request)? {
            names.reverse();
        }
        if !shows_active(&request.filters)? {
            names.clear();
        }
        let mut names: Vec<String> = names.into_iter().skip(page.offset).take(page.limit + 1).collect();
        let token = page.next(&mut names);
        let projects = names.into_iter().map(project).collect();
        let projects = ProjectList { projects, token, ..ProjectList::default() }.into();
        Response::ok(ListProjectsResponse { projects, ..ListProjectsResponse::default() })
    }
}

/// Whether active projects, which all of them are, are asked for: `eq(field, value)`, several with `+` between them.
fn shows_active(filters: &str) -> Result<bool, Invalid> {
    let mut shows = true;
    for filter in filters.split('+').map(str::trim).filter(|filter| !filter.is_empty()) {
        let refused = || {
            Invalid::field(format!(
                "filters: projects cannot be filtered by `{}`, only by eq(state, ..)",
                shown(filter)
            ))
        };
        let pair =
            filter.strip_prefix("eq(").and_then(|rest| rest.strip_suffix(')')).and_then(|pair| pair.split_once(','));
        let state =
            pair.filter(|(field, _)| field.trim() == "state").and_then(|(_, value)| value.trim().parse::<i32>().ok());
        shows &= state.ok_or_else(refused)? == ProjectState::PROJECT_STATE_ACTIVE as i32;
    }
    Ok(shows)
}

/// Whether the last name comes first. When a project was created is not recorded, so the clients' usual order is that of the names.
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
    fn projects_are_active_and_what_else_is_asked_of_them_is_refused_by_name() {
        for (filters, shows) in
            [("", true), ("eq(state, 0)", true), ("eq(state, 1)", false), ("eq(state, 0)+eq(state,1)", false)]
        {
            assert_eq!(shows_active(filters).map_err(|error| error.to_string()), Ok(shows), "{filters}");
        }
        for filters in ["eq(name, a)", "value_in(state, 0)", "eq(state, x)", "eq(name, a)+eq(state, 0)", "state"] {
            assert!(shows_active(filters).unwrap_err().to_string().contains("filters: projects"), "{filters}");
        }
    }
}
