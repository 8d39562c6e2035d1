//! What is registered beside runs: projects and the settings of scopes.

use bytes::Bytes;
use spanwise_core::{Project, Scope, Timestamp};

use crate::Error;

/// A project that somebody has said something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRow {
    /// What is said of it.
    pub project: Project,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub changed_at: Timestamp,
}

/// The settings of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsRow {
    /// The scope: of a domain no project is named, of an organisation no domain either.
    pub scope: Scope,
    /// Which one this is, counted from 1.
    pub version: u64,
    /// The settings, as they were sent.
    pub body: Bytes,
    /// When they were changed last.
    pub changed_at: Timestamp,
}

/// What is registered beside runs. Each method is one transaction; all of them may block on the disk.
pub trait Registry {
    /// Registers a project, in place of what was said of it before unless it is to be new. False if it is to be new and is there.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn put_project(&self, project: &ProjectRow, is_new: bool) -> Result<bool, Error>;

    /// The projects that are registered, in the order of their ids.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn registered_projects(&self) -> Result<Vec<ProjectRow>, Error>;

    /// Stores the settings of a scope, in place of those of the version before. False if that is not the version which is there.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn put_settings(&self, settings: &SettingsRow) -> Result<bool, Error>;

    /// The settings that concern a scope: those of its organisation, of its domain and its own, as far as they are there, in this order.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn settings(&self, scope: &Scope) -> Result<Vec<SettingsRow>, Error>;
}
