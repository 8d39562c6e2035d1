//! Definitions, deployed tasks and cached outputs.

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, Timestamp};

use super::examples::{append, append_from, create_from, enqueued, run};
use crate::{CachedOutputs, Error, RunKey, Scope, Store, TaskQuery, TaskRow};

fn scope(project: &str) -> Scope {
    Scope { org: "acme".to_owned(), project: project.to_owned(), domain: "development".to_owned() }
}

fn task(project: &str, name: &str, version: &str) -> TaskRow {
    let definition = format!("{name}@{version}");
    let (name, version) = (name.to_owned(), version.to_owned());
    TaskRow { scope: scope(project), name, version, definition, deployed_at: Timestamp(5) }
}

fn listed(store: &dyn Store, query: &TaskQuery) -> Vec<String> {
    let tasks = store.tasks(query).unwrap();
    tasks.into_iter().map(|task| format!("{}:{}@{}", task.scope.project, task.name, task.version)).collect()
}

fn every() -> TaskQuery {
    TaskQuery { limit: 100, ..TaskQuery::default() }
}

/// The first body of a digest stays, whoever brings another one.
pub fn a_definition_is_kept_once_under_its_digest(store: &dyn Store) {
    let body = |digest| store.definition(digest).unwrap();
    assert_eq!(body("d1"), None);
    create_from(store, &run("one"), &[("d1", "\0 body"), ("d2", "")]);
    let two = create_from(store, &run("two"), &[("d1", "other")]);
    store.commit(&[append_from(two, 0, vec![enqueued(1)], &[("d1", "other"), ("d3", "x"), ("d3", "y")])]).unwrap();
    store.commit(&[append_from(two, 1, vec![enqueued(2)], &[("d3", "z")])]).unwrap();
    store.deploy_task(&TaskRow { definition: "d3".to_owned(), ..task("p", "a", "1") }, &"other".into()).unwrap();
    assert_eq!(["d1", "d2", "d3"].map(body), ["\0 body", "", "x"].map(|body| Some(body.into())));
}

/// Each way on which a definition comes, refused.
pub fn a_definition_is_stored_with_what_is_made_from_it_or_not_at_all(store: &dyn Store) {
    let key = create_from(store, &run("one"), &[]);
    store.deploy_task(&task("p", "a", "1"), &"body".into()).unwrap();
    let refused = [
        store.create_run(&run("one"), append_from(RunKey(0), 0, Vec::new(), &[("d", "body")])).map(drop),
        store.commit(&[append_from(key, 0, vec![enqueued(1)], &[("d", "body")]), append(key, 0, vec![enqueued(1)])]),
        store.deploy_task(&TaskRow { definition: "d".to_owned(), ..task("p", "a", "1") }, &"body".into()),
    ];
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert_eq!(store.definition("d").unwrap(), None);
    assert_eq!(store.definition("a@1").unwrap(), Some("body".into()));
}

/// Each once, in order.
pub fn projects_are_those_of_runs_and_of_deployed_tasks(store: &dyn Store) {
    assert_eq!(store.projects().unwrap(), [""; 0]);
    let mut elsewhere = run("two");
    elsewhere.id.project = "größe".to_owned();
    for row in [run("one"), elsewhere, run("three")] {
        create_from(store, &row, &[]);
    }
    for project in ["q", "p", "q"] {
        let _ = store.deploy_task(&task(project, "env.main", "v1"), &Bytes::new());
    }
    assert_eq!(store.projects().unwrap(), ["größe", "p", "q"]);
}

/// A version that is there stays as it is.
pub fn a_task_is_deployed_once_in_each_version(store: &dyn Store) {
    let first = task("p", "env.größe", "v1");
    store.deploy_task(&first, &Bytes::new()).unwrap();
    let again = TaskRow { definition: "other".to_owned(), ..first.clone() };
    let refused = store.deploy_task(&again, &Bytes::new());
    assert!(matches!(refused, Err(Error::AlreadyExists(_))), "{refused:?}");
    store.deploy_task(&task("p", "env.größe", "v2"), &Bytes::new()).unwrap();
    store.deploy_task(&task("q", "env.größe", "v1"), &Bytes::new()).unwrap();
    assert_eq!(store.task(&scope("p"), "env.größe", "v1").unwrap(), Some(first));
    assert_eq!(store.task(&scope("p"), "env.größe", "v3").unwrap(), None);
    assert_eq!(store.task(&scope("x"), "env.größe", "v1").unwrap(), None);
    let other_org = Scope { org: String::new(), ..scope("p") };
    assert_eq!(store.task(&other_org, "env.größe", "v1").unwrap(), None);
}

/// Unless a name is given: then all its versions.
pub fn a_list_of_tasks_has_each_once_in_its_newest_version(store: &dyn Store) {
    for (project, name, version) in
        [("p", "a", "2"), ("p", "b", "1"), ("q", "a", "1"), ("p", "a", "1"), ("p", "c", "1"), ("p", "b", "0")]
    {
        store.deploy_task(&task(project, name, version), &Bytes::new()).unwrap();
    }
    // The newest is the one deployed last, whatever its version is called.
    assert_eq!(listed(store, &every()), ["p:b@0", "p:c@1", "p:a@1", "q:a@1"]);
    assert_eq!(listed(store, &TaskQuery { scope: Some(scope("p")), ..every() }), ["p:b@0", "p:c@1", "p:a@1"]);
    assert_eq!(listed(store, &TaskQuery { scope: Some(scope("x")), ..every() }), [""; 0]);
    let named = TaskQuery { name: Some("a".to_owned()), ..every() };
    assert_eq!(listed(store, &named), ["p:a@1", "q:a@1", "p:a@2"], "with a name: all versions");
    assert_eq!(listed(store, &TaskQuery { scope: Some(scope("p")), ..named }), ["p:a@1", "p:a@2"]);
    let with =
        |part: &str| listed(store, &TaskQuery { part: Some(part.to_owned()), scope: Some(scope("p")), ..every() });
    assert_eq!(with("b"), ["p:b@0"], "by a part of the name");
    assert_eq!((with("").len(), with("%")), (3, Vec::new()), "no patterns");
    let page = |offset, limit| listed(store, &TaskQuery { offset, limit, ..every() });
    assert_eq!(page(1, 2), ["p:c@1", "p:a@1"]);
    assert_eq!(page(3, 9), ["q:a@1"]);
    assert_eq!(page(4, 9), [""; 0]);
    assert_eq!(page(0, 0), [""; 0]);
    let oldest = |query: TaskQuery| listed(store, &TaskQuery { oldest_first: true, ..query });
    assert_eq!(oldest(every()), ["q:a@1", "p:a@1", "p:c@1", "p:b@0"]);
    assert_eq!(oldest(TaskQuery { offset: 1, limit: 2, ..every() }), ["p:a@1", "p:c@1"]);
    assert_eq!(oldest(TaskQuery { name: Some("a".to_owned()), ..every() }), ["p:a@2", "q:a@1", "p:a@1"]);
}

/// The last outputs count; keys are compared as they are.
pub fn cached_outputs_are_replaced_under_their_key(store: &dyn Store) {
    let outputs = |text: &str, attempt: u32| CachedOutputs {
        run: "one".to_owned(),
        scope: (attempt != 2).then(|| Scope { org: String::new(), project: "p".to_owned(), domain: text.to_owned() }),
        action: ActionName::new("c").unwrap(),
        attempt: AttemptNo(attempt),
        outputs: Bytes::copy_from_slice(text.as_bytes()),
        stored_at: Timestamp(i64::from(attempt)),
        producer: (attempt > 1).then(|| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse().unwrap()),
    };
    assert_eq!(store.cached("k").unwrap(), None);
    store.cache("k", &outputs("first", 1)).unwrap();
    store.cache("K", &outputs("", 3)).unwrap();
    assert_eq!(store.cached("k").unwrap(), Some(outputs("first", 1)));
    store.cache("k", &outputs("second", 2)).unwrap();
    assert_eq!(store.cached("k").unwrap(), Some(outputs("second", 2)));
    assert_eq!(store.cached("K").unwrap(), Some(outputs("", 3)));
}
