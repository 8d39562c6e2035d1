//! Projects and the settings of scopes.

use bytes::Bytes;
use spanwise_core::{Project, Timestamp};

use super::examples::{create, run};
use crate::{ProjectRow, Scope, SettingsRow, Store};

fn project(id: &str, name: &str) -> ProjectRow {
    let project = Project {
        id: id.to_owned(),
        name: name.to_owned(),
        description: "größe".to_owned(),
        labels: [("team".to_owned(), "a\"b".to_owned())].into(),
        archived: false,
    };
    ProjectRow { project, created_at: Timestamp(5), changed_at: Timestamp(6) }
}

fn scope(org: &str, domain: &str, project: &str) -> Scope {
    Scope { org: org.to_owned(), project: project.to_owned(), domain: domain.to_owned() }
}

fn settings(scope: Scope, version: u64) -> SettingsRow {
    let body = Bytes::from(format!("{} {} {} {version}", scope.org, scope.domain, scope.project));
    SettingsRow { scope, version, body, changed_at: Timestamp(i64::try_from(version).unwrap()) }
}

/// Once if it is to be new; else what is said of it last counts.
pub fn a_project_is_registered_once_and_changed_as_often_as_somebody_wants(store: &dyn Store) {
    assert_eq!(store.registered_projects().unwrap(), []);
    assert!(store.put_project(&project("b", "First"), true).unwrap());
    assert!(!store.put_project(&project("b", "Second"), true).unwrap());
    assert!(store.put_project(&project("a", "Other"), false).unwrap());
    assert_eq!(store.registered_projects().unwrap(), [project("a", "Other"), project("b", "First")]);
    let third = project("b", "Third");
    let archived = Project { archived: true, labels: Default::default(), ..third.project.clone() };
    let changed = ProjectRow { project: archived, ..third };
    assert!(store.put_project(&changed, false).unwrap());
    assert_eq!(store.registered_projects().unwrap(), [project("a", "Other"), changed]);
    create(store, &run("one")).unwrap();
    let projects = store.projects().unwrap();
    assert!(["a", "b", "p"].iter().all(|id| projects.iter().any(|project| project == id)), "{projects:?}");
}

/// By whoever has seen the last version, and nobody else.
pub fn settings_are_changed_by_who_has_seen_their_last_version(store: &dyn Store) {
    let of_project = || scope("acme", "dev", "p");
    assert!(!store.put_settings(&settings(of_project(), 2)).unwrap(), "there is none before");
    assert!(store.put_settings(&settings(of_project(), 1)).unwrap());
    assert!(!store.put_settings(&SettingsRow { body: Bytes::new(), ..settings(of_project(), 1) }).unwrap());
    assert!(store.put_settings(&settings(of_project(), 2)).unwrap());
    assert!(!store.put_settings(&settings(of_project(), 2)).unwrap());
    assert!(!store.put_settings(&settings(of_project(), 4)).unwrap());
    assert_eq!(store.settings(&of_project()).unwrap(), [settings(of_project(), 2)]);
    assert_eq!(store.newest_fact().unwrap(), Some(Timestamp(2)));
    let mut seen = Vec::new();
    store.visit_values(&mut |value| seen.push(value.to_vec())).unwrap();
    assert_eq!(seen, [settings(of_project(), 2).body.to_vec()]);
}

/// Those of the organisation, of the domain and its own, and of nobody else.
pub fn settings_of_a_scope_come_from_the_widest_to_its_own(store: &dyn Store) {
    let all = [
        scope("acme", "dev", "p"),
        scope("acme", "", ""),
        scope("acme", "dev", ""),
        scope("acme", "dev", "größe"),
        scope("acme", "prod", ""),
        scope("acme", "prod", "p"),
        scope("other", "", ""),
    ];
    all.iter().for_each(|scope| assert!(store.put_settings(&settings(scope.clone(), 1)).unwrap()));
    let found =
        |scope: &Scope| -> Vec<Scope> { store.settings(scope).unwrap().into_iter().map(|row| row.scope).collect() };
    let [p, org, dev, ..] = &all;
    assert_eq!(found(p), [org.clone(), dev.clone(), p.clone()]);
    assert_eq!(found(&scope("acme", "dev", "q")), [org.clone(), dev.clone()]);
    assert_eq!(found(dev), [org.clone(), dev.clone()]);
    assert_eq!(found(org), std::slice::from_ref(org));
    assert_eq!(found(&scope("nobody", "dev", "p")), []);
}
