//! Apps, each in its revisions.

use crate::{AppRow, Error, REVISIONS_KEPT, Scope};

/// All revisions of all apps.
#[derive(Debug, Default)]
pub(super) struct Apps(Vec<AppRow>);

impl Apps {
    pub(super) fn rows(&self) -> impl Iterator<Item = &AppRow> {
        self.0.iter()
    }

    pub(super) fn put(&mut self, app: &AppRow) -> Result<(), Error> {
        let is_of_it = |other: &AppRow| other.scope == app.scope && other.name == app.name;
        if self.0.iter().any(|other| is_of_it(other) && other.revision == app.revision) {
            return Err(Error::AlreadyExists(format!("{} {}", app.name, app.revision)));
        }
        self.0.push(app.clone());
        self.0.retain(|other| !is_of_it(other) || other.revision + REVISIONS_KEPT > app.revision);
        Ok(())
    }

    pub(super) fn newest(&self) -> Vec<AppRow> {
        let mut newest: Vec<AppRow> = Vec::new();
        for app in &self.0 {
            match newest.iter_mut().find(|other| other.scope == app.scope && other.name == app.name) {
                Some(other) if other.revision < app.revision => *other = app.clone(),
                Some(_) => {}
                None => newest.push(app.clone()),
            }
        }
        newest.sort_by_key(|app| app.created_at);
        newest
    }

    pub(super) fn revisions(&self, scope: &Scope, name: &str) -> Vec<AppRow> {
        let of_it = self.0.iter().filter(|app| app.scope == *scope && app.name == name);
        let mut revisions: Vec<AppRow> = of_it.cloned().collect();
        revisions.sort_by_key(|app| std::cmp::Reverse(app.revision));
        revisions
    }

    pub(super) fn delete(&mut self, scope: &Scope, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|app| app.scope != *scope || app.name != name);
        self.0.len() < before
    }
}
