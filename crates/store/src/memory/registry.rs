//! Projects and settings.

use std::collections::BTreeMap;

use spanwise_core::{Scope, Timestamp};

use super::Memory;
use crate::Error;
use crate::registry::{ProjectRow, Registry, SettingsRow};

/// What is registered.
#[derive(Debug, Default)]
pub(super) struct Registered {
    projects: BTreeMap<String, ProjectRow>,
    settings: Vec<SettingsRow>,
}

impl Registered {
    pub(super) fn projects(&self) -> impl Iterator<Item = &String> {
        self.projects.keys()
    }

    /// When something was registered or changed last.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let of_projects = self.projects.values().map(|project| project.changed_at);
        of_projects.chain(self.settings.iter().map(|settings| settings.changed_at)).max()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.settings.iter().map(|settings| &settings.body[..])
    }
}

/// True if the settings of a scope concern another one, which is it or in it.
fn concerns(scope: &Scope, other: &Scope) -> bool {
    scope.org == other.org
        && (scope.domain.is_empty() || scope.domain == other.domain)
        && (scope.project.is_empty() || scope.project == other.project)
}

impl Registry for Memory {
    fn put_project(&self, project: &ProjectRow, is_new: bool) -> Result<bool, Error> {
        let projects = &mut self.lock().registered.projects;
        if is_new && projects.contains_key(&project.project.id) {
            return Ok(false);
        }
        projects.insert(project.project.id.clone(), project.clone());
        Ok(true)
    }

    fn registered_projects(&self) -> Result<Vec<ProjectRow>, Error> {
        Ok(self.lock().registered.projects.values().cloned().collect())
    }

    fn put_settings(&self, settings: &SettingsRow) -> Result<bool, Error> {
        let rows = &mut self.lock().registered.settings;
        let at = rows.iter().position(|row| row.scope == settings.scope);
        let last = at.map_or(0, |at| rows[at].version);
        if settings.version != last + 1 {
            return Ok(false);
        }
        match at {
            Some(at) => rows[at] = settings.clone(),
            None => rows.push(settings.clone()),
        }
        Ok(true)
    }

    fn settings(&self, scope: &Scope) -> Result<Vec<SettingsRow>, Error> {
        let inner = self.lock();
        let rows = inner.registered.settings.iter().filter(|row| concerns(&row.scope, scope));
        let mut rows: Vec<SettingsRow> = rows.cloned().collect();
        rows.sort_by_key(|row| (!row.scope.domain.is_empty(), !row.scope.project.is_empty()));
        Ok(rows)
    }
}
