//! What is registered beside runs: projects and the settings of scopes.

use spanwise_core::Scope;
use spanwise_store::{ProjectRow, SettingsRow};

use crate::engine::Engine;
use crate::error::Error;

impl Engine {
    /// Registers a project, in place of what was said of it before unless it is to be new. False if it is to be new and is there.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn put_project(&self, project: &ProjectRow, is_new: bool) -> Result<bool, Error> {
        Ok(self.inner.journal.store().put_project(project, is_new)?)
    }

    /// The projects that are registered, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn registered_projects(&self) -> Result<Vec<ProjectRow>, Error> {
        Ok(self.inner.journal.store().registered_projects()?)
    }

    /// Stores the settings of a scope, in place of those of the version before. False if that is not the version which is there: somebody
    /// else has changed them meanwhile.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn put_settings(&self, settings: &SettingsRow) -> Result<bool, Error> {
        Ok(self.inner.journal.store().put_settings(settings)?)
    }

    /// The settings that concern a scope, from those of its organisation to its own, as far as they are there.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn settings_of(&self, scope: &Scope) -> Result<Vec<SettingsRow>, Error> {
        Ok(self.inner.journal.store().settings(scope)?)
    }
}
