//! Identifiers.

use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, DEFAULT_ORG, RunId, RunName, Scope};
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ProjectIdentifier, RunIdentifier, TriggerName};
use spanwise_proto::flyteidl2::task::TaskIdentifier;

use crate::{Invalid, action_name, path_name, title};

/// The organisation that is meant. A driver may send none where its tasks must send one (`_U_ORG_NAME` is required), and both mean
/// the same runs.
///
/// # Errors
/// [`Invalid`] if it is no name.
pub fn org(value: &str) -> Result<String, Invalid> {
    if value.is_empty() { Ok(DEFAULT_ORG.to_owned()) } else { path_name("org", value) }
}

/// Where runs and tasks belong.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn scope(org_name: &str, project: &str, domain: &str) -> Result<Scope, Invalid> {
    Ok(Scope { org: org(org_name)?, project: path_name("project", project)?, domain: path_name("domain", domain)? })
}

/// The scope that a project and domain name.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn project_scope(id: &ProjectIdentifier) -> Result<Scope, Invalid> {
    scope(&id.organization, &id.name, &id.domain)
}

/// A project and domain for the wire.
pub fn to_project_identifier(scope: &Scope) -> ProjectIdentifier {
    ProjectIdentifier {
        organization: scope.org.clone(),
        domain: scope.domain.clone(),
        name: scope.project.clone(),
        ..ProjectIdentifier::default()
    }
}

/// A run's full name.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn run_id(id: &RunIdentifier) -> Result<RunId, Invalid> {
    Ok(scope(&id.org, &id.project, &id.domain)?.run(RunName::new(&id.name)?))
}

/// An action and its run.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn action_id(id: &ActionIdentifier) -> Result<(RunId, ActionName), Invalid> {
    let run = id.run.as_option().ok_or(Invalid::Missing("action_id.run"))?;
    Ok((run_id(run)?, action_name(&id.name)?))
}

/// A run's full name for the wire.
pub fn to_run_identifier(id: &RunId) -> RunIdentifier {
    RunIdentifier {
        org: id.org.clone(),
        project: id.project.clone(),
        domain: id.domain.clone(),
        name: id.name.to_string(),
        ..RunIdentifier::default()
    }
}

/// An action's full name for the wire.
pub fn to_action_identifier(id: &RunId, action: &ActionName) -> ActionIdentifier {
    ActionIdentifier { run: to_run_identifier(id).into(), name: action.to_string(), ..ActionIdentifier::default() }
}

/// A task in one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskKey {
    /// Where it belongs.
    pub scope: Scope,
    /// Its full name.
    pub name: String,
    /// Its version; empty means the newest, where one is looked for.
    pub version: String,
}

/// A task in one version, or in the newest.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn task_key(id: &TaskIdentifier) -> Result<TaskKey, Invalid> {
    if id.name.is_empty() {
        return Err(Invalid::Missing("task_id.name"));
    }
    title("task_id.name", &id.name)?;
    title("task_id.version", &id.version)?;
    Ok(TaskKey { scope: scope(&id.org, &id.project, &id.domain)?, name: id.name.clone(), version: id.version.clone() })
}

/// A task in one version for the wire.
pub fn to_task_identifier(scope: &Scope, name: &str, version: &str) -> TaskIdentifier {
    TaskIdentifier {
        org: scope.org.clone(),
        project: scope.project.clone(),
        domain: scope.domain.clone(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..TaskIdentifier::default()
    }
}

/// A trigger's full name.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn trigger_id(name: &TriggerName) -> Result<TriggerId, Invalid> {
    if name.task_name.is_empty() {
        return Err(Invalid::Missing("name.task_name"));
    }
    title("name.task_name", &name.task_name)?;
    trigger_of_task(scope(&name.org, &name.project, &name.domain)?, &name.task_name, &name.name)
}

/// The full name of a trigger of a task.
///
/// # Errors
/// [`Invalid`] if it is no name.
pub fn trigger_of_task(scope: Scope, task: &str, name: &str) -> Result<TriggerId, Invalid> {
    if name.is_empty() {
        return Err(Invalid::Missing("trigger name"));
    }
    title("trigger name", name)?;
    Ok(TriggerId { scope, task: task.to_owned(), name: name.to_owned() })
}

/// A trigger's full name for the wire.
pub fn to_trigger_name(id: &TriggerId) -> TriggerName {
    TriggerName {
        org: id.scope.org.clone(),
        project: id.scope.project.clone(),
        domain: id.scope.domain.clone(),
        name: id.name.clone(),
        task_name: id.task.clone(),
        ..TriggerName::default()
    }
}
