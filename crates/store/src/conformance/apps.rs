//! Apps.

use bytes::Bytes;
use spanwise_core::Timestamp;

use crate::{AppRow, Error, REVISIONS_KEPT, Scope, Store};

fn app(project: &str, name: &str, revision: u64) -> AppRow {
    let scope = Scope { org: "acme".to_owned(), project: project.to_owned(), domain: "development".to_owned() };
    AppRow {
        scope,
        name: name.to_owned(),
        revision,
        body: Bytes::from(format!("{project}:{name} {revision}")),
        reason: format!("größe {revision}"),
        created_at: Timestamp(5),
        changed_at: Timestamp(5 + i64::try_from(revision).unwrap()),
    }
}

fn put(store: &dyn Store, rows: &[AppRow]) {
    rows.iter().for_each(|row| store.put_app(row).unwrap());
}

/// Each revision once; the newest is how the app is.
pub fn an_app_is_kept_in_its_revisions(store: &dyn Store) {
    put(store, &[app("p", "a", 1), app("p", "b", 1), app("q", "a", 1), app("p", "a", 2), app("p", "a", 3)]);
    let refused = store.put_app(&AppRow { reason: "other".to_owned(), ..app("p", "a", 3) });
    assert!(matches!(refused, Err(Error::AlreadyExists(_))), "{refused:?}");
    let mut newest = store.apps().unwrap();
    newest.sort_by_key(|app| (app.scope.project.clone(), app.name.clone()));
    assert_eq!(newest, [app("p", "a", 3), app("p", "b", 1), app("q", "a", 1)]);
    let scope = app("p", "a", 1).scope;
    assert_eq!(store.app_revisions(&scope, "a").unwrap(), [app("p", "a", 3), app("p", "a", 2), app("p", "a", 1)]);
    assert_eq!(store.app_revisions(&scope, "x").unwrap(), []);
    let last = REVISIONS_KEPT + 2;
    (4..=last).for_each(|revision| put(store, &[app("p", "a", revision)]));
    let revisions = store.app_revisions(&scope, "a").unwrap();
    assert_eq!((revisions.first().unwrap().revision, revisions.last().unwrap().revision), (last, 3));
    assert_eq!(store.app_revisions(&scope, "b").unwrap().len(), 1);
}

/// It, and no other of its name.
pub fn an_app_that_is_deleted_leaves_nothing(store: &dyn Store) {
    put(store, &[app("p", "a", 1), app("p", "a", 2), app("q", "a", 1)]);
    let scope = app("p", "a", 1).scope;
    assert!(store.delete_app(&scope, "a").unwrap());
    assert!(!store.delete_app(&scope, "a").unwrap());
    assert_eq!(store.apps().unwrap(), [app("q", "a", 1)]);
    put(store, &[app("p", "a", 1)]);
    assert_eq!(store.app_revisions(&scope, "a").unwrap(), [app("p", "a", 1)]);
}

/// For the list of projects, for who looks what is mentioned, and for the newest fact.
pub fn an_app_counts_as_what_is_kept(store: &dyn Store) {
    put(store, &[app("größe", "a", 1)]);
    assert_eq!(store.projects().unwrap(), ["größe"]);
    assert_eq!(store.newest_fact().unwrap(), Some(Timestamp(6)));
    let mut seen = Vec::new();
    store.visit_values(&mut |value| seen.push(value.to_vec())).unwrap();
    assert_eq!(seen, [app("größe", "a", 1).body.to_vec()]);
}
