//! What is said of a project.

use std::collections::BTreeMap;

/// A project: what scopes name, and what people call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Its id, which scopes name.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// True if it is put aside: lists leave it out, and its runs go on.
    pub archived: bool,
}

impl Project {
    /// One that nobody has said anything about: it is there because something runs in it.
    pub fn implied(id: impl Into<String>) -> Project {
        let id = id.into();
        Project { name: id.clone(), id, ..Project::default() }
    }
}
