//! Projects: those that somebody has registered, and those in which something is.

use std::collections::BTreeMap;

use spanwise_core::{DEFAULT_PROJECT, Project, Timestamp};
use spanwise_engine::ProjectRow;

use super::clock::wall_clock;
use super::{ControlPlane, Error};

impl ControlPlane {
    /// Every project, by its id.
    pub(crate) fn projects(&self) -> Result<BTreeMap<String, Project>, Error> {
        let engine = &self.inner.engine;
        let implied = engine.projects()?.into_iter().chain([DEFAULT_PROJECT.to_owned()]);
        let mut projects: BTreeMap<String, Project> = implied.map(|id| (id.clone(), Project::implied(id))).collect();
        let registered = engine.registered_projects()?.into_iter().map(|row| (row.project.id.clone(), row.project));
        projects.extend(registered);
        Ok(projects)
    }

    /// Registers a project. One in which something runs already may be, one that is registered may not.
    pub(crate) fn create_project(&self, project: Project) -> Result<(), Error> {
        let (now, id) = (wall_clock(), project.id.clone());
        let row = ProjectRow { project, created_at: now, changed_at: now };
        match self.inner.engine.put_project(&row, true)? {
            true => Ok(()),
            false => Err(Error::AlreadyExists(format!("project `{id}` exists: update it"))),
        }
    }

    /// Says what a project is from now on, whether or not it was registered before.
    pub(crate) fn update_project(&self, project: Project) -> Result<(), Error> {
        let now = wall_clock();
        let before = self.inner.engine.registered_projects()?.into_iter().find(|row| row.project.id == project.id);
        let created_at: Timestamp = before.map_or(now, |row| row.created_at);
        self.inner.engine.put_project(&ProjectRow { project, created_at, changed_at: now }, false)?;
        Ok(())
    }
}
