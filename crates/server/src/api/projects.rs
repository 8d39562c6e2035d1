//! `ProjectService`: a project is there as soon as something runs in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::project::{
    CreateProjectRequest, CreateProjectResponse, Domain, GetProjectRequest, GetProjectResponse, ListProjectsRequest,
    ListProjectsResponse, Project, ProjectService, Projects as ProjectList, UpdateProjectRequest,
    UpdateProjectResponse,
};

use super::Api;
use super::refusing::refused;
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
        _request: ServiceRequest<'_, ListProjectsRequest>,
    ) -> ServiceResult<ListProjectsResponse> {
        let projects = self.names()?.into_iter().map(project).collect();
        let projects = ProjectList { projects, ..ProjectList::default() }.into();
        Response::ok(ListProjectsResponse { projects, ..ListProjectsResponse::default() })
    }
}
