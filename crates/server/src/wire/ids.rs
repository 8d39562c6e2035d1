//! Identifiers.

use spanwise_core::{ActionName, DEFAULT_ORG, RunId, RunName};
use spanwise_engine::Scope;
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ProjectIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::task::TaskIdentifier;

use super::{Invalid, action_name, path_name, title};

/// The organisation that is meant. A driver may send none where its tasks must send one (`_U_ORG_NAME` is required), and both mean
/// the same runs.
pub(crate) fn org(value: &str) -> Result<String, Invalid> {
    if value.is_empty() { Ok(DEFAULT_ORG.to_owned()) } else { path_name("org", value) }
}

/// Where runs and tasks belong.
pub(crate) fn scope(org_name: &str, project: &str, domain: &str) -> Result<Scope, Invalid> {
    Ok(Scope { org: org(org_name)?, project: path_name("project", project)?, domain: path_name("domain", domain)? })
}

pub(crate) fn project_scope(id: &ProjectIdentifier) -> Result<Scope, Invalid> {
    scope(&id.organization, &id.name, &id.domain)
}

/// A run's full name from a scope and its name.
pub(crate) fn run_in(scope: Scope, name: RunName) -> RunId {
    RunId { org: scope.org, project: scope.project, domain: scope.domain, name }
}

pub(crate) fn scope_of(id: &RunId) -> Scope {
    Scope { org: id.org.clone(), project: id.project.clone(), domain: id.domain.clone() }
}

pub(crate) fn run_id(id: &RunIdentifier) -> Result<RunId, Invalid> {
    Ok(run_in(scope(&id.org, &id.project, &id.domain)?, RunName::new(&id.name)?))
}

pub(crate) fn action_id(id: &ActionIdentifier) -> Result<(RunId, ActionName), Invalid> {
    let run = id.run.as_option().ok_or(Invalid::Missing("action_id.run"))?;
    Ok((run_id(run)?, action_name(&id.name)?))
}

pub(crate) fn to_run_identifier(id: &RunId) -> RunIdentifier {
    RunIdentifier {
        org: id.org.clone(),
        project: id.project.clone(),
        domain: id.domain.clone(),
        name: id.name.to_string(),
        ..RunIdentifier::default()
    }
}

pub(crate) fn to_action_identifier(id: &RunId, action: &ActionName) -> ActionIdentifier {
    ActionIdentifier { run: to_run_identifier(id).into(), name: action.to_string(), ..ActionIdentifier::default() }
}

/// A task in one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey {
    pub(crate) scope: Scope,
    pub(crate) name: String,
    pub(crate) version: String,
}

pub(crate) fn task_key(id: &TaskIdentifier) -> Result<TaskKey, Invalid> {
    if id.name.is_empty() {
        return Err(Invalid::Missing("task_id.name"));
    }
    title("task_id.name", &id.name)?;
    title("task_id.version", &id.version)?;
    Ok(TaskKey { scope: scope(&id.org, &id.project, &id.domain)?, name: id.name.clone(), version: id.version.clone() })
}
