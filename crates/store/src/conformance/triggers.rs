//! Triggers, their revisions and their slots.

use spanwise_core::artifact::ArtifactKey;
use spanwise_core::trigger::{TriggerChange, TriggerId};
use spanwise_core::{Phase, Timestamp};

use super::examples::{append, create, create_from, enqueued, run};
use crate::{Append, Definition, Error, Retention, RunKey, RunQuery, RunRow, Scope, Store, TriggerQuery, TriggerRow};

fn trigger(task: &str, name: &str, revision: u64) -> TriggerRow {
    let scope = Scope { org: "acme".to_owned(), project: "p".to_owned(), domain: "development".to_owned() };
    TriggerRow {
        id: TriggerId { scope, task: task.to_owned(), name: name.to_owned() },
        revision,
        change: TriggerChange::Deployed,
        active: true,
        changed_at: Timestamp(10),
        deployed_at: Timestamp(9),
        deployed_by: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse().ok(),
        task_version: "v1".to_owned(),
        definition: "d".to_owned(),
        since: Timestamp(8),
        settled: None,
        after_artifact: ArtifactKey(7),
    }
}

fn body(digest: &str) -> Definition {
    Definition { digest: digest.to_owned(), body: format!("body of {digest}").into() }
}

fn every() -> TriggerQuery {
    TriggerQuery { limit: 100, ..TriggerQuery::default() }
}

fn listed(store: &dyn Store, query: &TriggerQuery) -> Vec<String> {
    let triggers = store.triggers(query).unwrap();
    triggers.into_iter().map(|trigger| format!("{}@{}", trigger.id, trigger.revision)).collect()
}

/// Of the revisions of a trigger the last one counts, unless it says that the trigger is gone.
pub fn the_last_revision_of_a_trigger_counts(store: &dyn Store) {
    let first = trigger("env.größe", "daily", 1);
    store.put_trigger(&first, Some(&body("d"))).unwrap();
    assert_eq!(store.triggers(&every()).unwrap(), std::slice::from_ref(&first));
    let refused = store.put_trigger(&first, None);
    assert!(matches!(refused, Err(Error::AlreadyExists(_))), "{refused:?}");
    let paused = TriggerRow {
        revision: 2,
        change: TriggerChange::Deactivated,
        active: false,
        deployed_by: None,
        changed_at: Timestamp(20),
        ..first.clone()
    };
    store.put_trigger(&paused, None).unwrap();
    store.put_trigger(&trigger("env.größe", "hourly", 1), None).unwrap();
    store.put_trigger(&TriggerRow { task_version: "v2".to_owned(), ..trigger("env.b", "daily", 1) }, None).unwrap();
    assert_eq!(listed(store, &every()), ["env.b/daily@1", "env.größe/hourly@1", "env.größe/daily@2"]);
    assert_eq!(store.trigger_revisions(&first.id, 0, 9).unwrap(), [paused.clone(), first.clone()]);
    assert_eq!(store.trigger_revisions(&first.id, 1, 9).unwrap(), std::slice::from_ref(&first));
    assert_eq!(store.trigger_revisions(&first.id, 0, 1).unwrap(), std::slice::from_ref(&paused));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(listed(store, &TriggerQuery { only_active: true, ..every() }), ["env.b/daily@1", "env.größe/hourly@1"]);
    assert_eq!(listed(store, &TriggerQuery { task: text("env.b"), ..every() }), ["env.b/daily@1"]);
    assert_eq!(listed(store, &TriggerQuery { task_version: text("v2"), ..every() }), ["env.b/daily@1"]);
    assert_eq!(listed(store, &TriggerQuery { name: text("hourly"), ..every() }), ["env.größe/hourly@1"]);
    assert_eq!(listed(store, &TriggerQuery { offset: 1, limit: 1, ..every() }), ["env.größe/hourly@1"]);
    let elsewhere = Scope { project: "q".to_owned(), ..first.id.scope.clone() };
    assert_eq!(listed(store, &TriggerQuery { scope: Some(elsewhere), ..every() }), [""; 0]);
    assert_eq!(listed(store, &TriggerQuery { scope: Some(first.id.scope.clone()), ..every() }).len(), 3);
    let deleted = TriggerRow { revision: 3, change: TriggerChange::Deleted, ..paused };
    store.put_trigger(&deleted, None).unwrap();
    assert_eq!(listed(store, &TriggerQuery { task: text("env.größe"), ..every() }), ["env.größe/hourly@1"]);
    assert_eq!(store.trigger_revisions(&first.id, 0, 1).unwrap(), [deleted]);
    assert_eq!(store.newest_fact().unwrap(), Some(Timestamp(20)));
}

/// The last slot that was settled, whichever way it lies; of this trigger alone.
pub fn slots_of_a_trigger_are_settled(store: &dyn Store) {
    let (one, other) = (trigger("env.a", "daily", 1), trigger("env.b", "daily", 1));
    store.settle_trigger(&one.id, Timestamp(5)).unwrap();
    for row in [&one, &other] {
        store.put_trigger(row, None).unwrap();
    }
    let settled = || store.triggers(&every()).unwrap().into_iter().map(|row| row.settled).collect::<Vec<_>>();
    assert_eq!(settled(), [None, Some(Timestamp(5))]);
    store.settle_trigger(&one.id, Timestamp(50)).unwrap();
    assert_eq!(settled(), [None, Some(Timestamp(50))]);
    store.settle_trigger(&one.id, Timestamp(40)).unwrap();
    assert_eq!(settled(), [None, Some(Timestamp(40))]);
    assert_eq!(store.trigger_revisions(&one.id, 0, 9).unwrap()[0].settled, Some(Timestamp(40)));
}

/// By the name of the trigger, and the task where two have it.
pub fn runs_are_found_by_the_trigger_that_has_fired_them(store: &dyn Store) {
    let fired = |name: &str, by: Option<&str>| RunRow { fired_by: by.map(str::to_owned), ..run(name) };
    for (name, by) in [("one", Some("daily")), ("two", None), ("three", Some("daily")), ("four", Some("hourly"))] {
        create(store, &fired(name, by)).unwrap();
    }
    let found = |fired_by: &str| {
        let query = RunQuery { fired_by: Some(fired_by.to_owned()), ..RunQuery::newest(9) };
        let runs = store.runs(&query).unwrap();
        runs.into_iter().map(|(_, run)| (run.id.name.to_string(), run.fired_by)).collect::<Vec<_>>()
    };
    let daily = || Some("daily".to_owned());
    assert_eq!(found("daily"), [("three".to_owned(), daily()), ("one".to_owned(), daily())]);
    assert_eq!(found(""), []);
    assert_eq!(store.find(&run("two").id).unwrap().unwrap().1.fired_by, None);
    let ended =
        Append { run_phase: Some((Phase::Failed, Some(Timestamp(3)))), ..append(RunKey(3), 0, vec![enqueued(1)]) };
    store.commit(&[ended]).unwrap();
    let live = RunQuery { fired_by: daily(), only_live: true, ..RunQuery::newest(9) };
    let names = |query: &RunQuery| -> Vec<String> {
        store.runs(query).unwrap().into_iter().map(|(_, run)| run.id.name.to_string()).collect()
    };
    assert_eq!(names(&live), ["one"]);
    assert_eq!(names(&RunQuery { org: Some("acme".to_owned()), ..live.clone() }), [""; 0]);
    assert_eq!(names(&RunQuery { org: Some(String::new()), ..live }), ["one"]);
    let query = RunQuery { fired_by: daily(), task: Some("env.other".to_owned()), ..RunQuery::newest(9) };
    assert_eq!(store.runs(&query).unwrap(), []);
}

/// Whatever else goes.
pub fn what_a_trigger_is_made_from_stays_as_long_as_it_does(store: &dyn Store) {
    store.put_trigger(&trigger("env.a", "daily", 1), Some(&body("d"))).unwrap();
    let key = create_from(store, &run("one"), &[("d", "body of d"), ("e", "body of e")]);
    let run_phase = Some((Phase::Succeeded, Some(Timestamp(2))));
    store.commit(&[Append { run_phase, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
    let nothing = Retention { max_age: Some(std::time::Duration::ZERO), max_bytes: Some(0) };
    assert_eq!(store.prune(&nothing, Timestamp(1_000_000)).unwrap().runs.len(), 1);
    assert_eq!(["d", "e"].map(|digest| store.definition(digest).unwrap()), [Some(body("d").body), None]);
}
