//! What pruning leaves and what it takes, beside the runs themselves.

use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, Event, Phase, Timestamp};

use super::examples::{append, append_from, create, create_from, enqueued, row, run};
use crate::{ActionRow, Append, CachedOutputs, Payloads, Retention, RunKey, RunQuery, RunRow, Scope, Store, TaskRow};

fn keep(max_age: Option<Duration>, max_bytes: Option<u64>) -> Retention {
    Retention { max_age, max_bytes }
}

fn finish(store: &dyn Store, run: &RunRow, events: Vec<Event>, ended: i64) -> RunKey {
    let key = create(store, run).unwrap();
    let run_phase = Some((Phase::Succeeded, Some(Timestamp(ended))));
    store.commit(&[Append { run_phase, ..append(key, 0, events) }]).unwrap();
    key
}

fn cached(size: usize, stored_at: i64) -> CachedOutputs {
    let (action, outputs) = (ActionName::new("c").unwrap(), Bytes::from(vec![7; size]));
    let (run, stored_at) = ("one".to_owned(), Timestamp(stored_at));
    CachedOutputs { run, scope: None, action, attempt: AttemptNo(1), outputs, stored_at, producer: None }
}

/// Something that happened at a time, which is as old as the store then.
fn a_fact_at(store: &dyn Store, at: Timestamp) {
    store.cache("fact", &CachedOutputs { stored_at: at, ..cached(1, 0) }).unwrap();
}

/// Later than anything that happens here.
const LATER: Timestamp = Timestamp(3_600_001_000);

/// A run, an action of a run, a deployed task.
pub fn definitions_go_with_the_last_that_refers_to_them(store: &dyn Store) {
    let deployed = TaskRow {
        scope: Scope { org: String::new(), project: "p".to_owned(), domain: "d".to_owned() },
        name: "env.deployed".to_owned(),
        version: "1".to_owned(),
        definition: "of-a-task".to_owned(),
        deployed_at: Timestamp(1),
    };
    let body = "body";
    store.deploy_task(&deployed, &body.into()).unwrap();
    let live = create_from(store, &run("live"), &[("of-settings", body)]);
    store.commit(&[append_from(live, 0, vec![enqueued(1)], &[("of-both", body)])]).unwrap();
    let old = [("of-both", body), ("of-the-old-one", body), ("of-a-task", body)];
    let key = create_from(store, &run("old"), &old);
    let run_phase = Some((Phase::Succeeded, Some(Timestamp(10))));
    let last = append_from(key, 0, vec![enqueued(1)], &[("of-its-child", body)]);
    store.commit(&[Append { run_phase, ..last }]).unwrap();
    let left = |digests: &[&str]| {
        let is_left = |digest: &&&str| store.definition(digest).unwrap().is_some();
        let all = ["of-a-task", "of-settings", "of-both", "of-the-old-one", "of-its-child"];
        assert_eq!(all.iter().filter(is_left).copied().collect::<Vec<_>>(), digests);
    };
    a_fact_at(store, LATER);
    store.prune(&keep(None, None), LATER).unwrap();
    left(&["of-a-task", "of-settings", "of-both", "of-the-old-one", "of-its-child"]);
    store.prune(&keep(Some(Duration::from_micros(1)), None), LATER).unwrap();
    left(&["of-a-task", "of-settings", "of-both"]);
}

/// By their age, like runs.
pub fn old_cached_outputs_are_pruned(store: &dyn Store) {
    store.cache("old", &cached(1, 10)).unwrap();
    store.cache("young", &cached(1, 1_000_000)).unwrap();
    store.prune(&keep(None, None), Timestamp(1_000_100)).unwrap();
    assert!(store.cached("old").unwrap().is_some());
    store.prune(&keep(Some(Duration::from_millis(500)), None), Timestamp(1_000_100)).unwrap();
    assert!(store.cached("old").unwrap().is_none() && store.cached("young").unwrap().is_some());
}

/// Not after the run is gone, and not if another store has used it.
pub fn the_key_of_a_run_never_comes_again(store: &dyn Store) {
    assert_eq!(store.last_key().unwrap(), RunKey(0));
    finish(store, &run("first"), vec![enqueued(1)], 10);
    let last = finish(store, &run("last"), vec![enqueued(1)], 10);
    store.cache("fact", &cached(1, 11)).unwrap();
    assert_eq!(store.prune(&keep(Some(Duration::ZERO), None), LATER).unwrap().runs.len(), 2);
    assert_eq!(store.last_key().unwrap(), last);
    assert!(create(store, &run("last")).unwrap() > last);
    store.skip_keys(RunKey(70)).unwrap();
    store.skip_keys(RunKey(60)).unwrap();
    assert_eq!(store.last_key().unwrap(), RunKey(70));
    assert_eq!(create(store, &run("next")).unwrap(), RunKey(71));
}

/// Age is counted from the newest fact.
pub fn nothing_is_old_by_a_clock_that_jumped(store: &dyn Store) {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let month = keep(Some(Duration::from_secs(30 * 24 * 3600)), None);
    let key = create_from(store, &run("one"), &[("d", "body")]);
    let run_phase = Some((Phase::Succeeded, Some(Timestamp(DAY))));
    store.commit(&[Append { run_phase, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
    store.cache("k", &cached(1, DAY)).unwrap();
    let far = Timestamp(20_000 * DAY);
    assert_eq!(store.prune(&month, far).unwrap().runs, []);
    assert!(store.load(key).unwrap().is_some() && store.definition("d").unwrap().is_some());
    assert!(store.cached("k").unwrap().is_some());
    // The time that has passed is that of the facts.
    finish(store, &run("two"), vec![enqueued(1)], 40 * DAY);
    let pruned = store.prune(&month, far).unwrap().runs;
    assert_eq!(pruned.iter().map(|run| run.key).collect::<Vec<_>>(), [key]);
    assert!(store.definition("d").unwrap().is_none() && store.cached("k").unwrap().is_none());
    // A clock that was set back deletes nothing either.
    assert_eq!(store.prune(&month, Timestamp(0)).unwrap().runs, []);
}

/// One after the other, each later than the one before.
pub fn the_newest_fact_is_that_of_runs_actions_and_what_is_kept_beside_them(store: &dyn Store) {
    let newest = || store.newest_fact().unwrap().map(|at| at.0);
    assert_eq!(newest(), None);
    let key = create(store, &RunRow { created_at: Timestamp(5), ..run("one") }).unwrap();
    assert_eq!(newest(), Some(5));
    let started = ActionRow { started_at: Some(Timestamp(8)), ..row(Phase::Running) };
    let actions = vec![(started, Payloads::default())];
    store.commit(&[Append { actions, ..append(key, 0, vec![enqueued(8)]) }]).unwrap();
    assert_eq!(newest(), Some(8));
    store.cache("k", &cached(1, 9)).unwrap();
    assert_eq!(newest(), Some(9));
    let scope = Scope { org: String::new(), project: "p".to_owned(), domain: "d".to_owned() };
    let (name, version, definition) = ("a".to_owned(), "1".to_owned(), "d".to_owned());
    let task = TaskRow { scope, name, version, definition, deployed_at: Timestamp(11) };
    store.deploy_task(&task, &Bytes::new()).unwrap();
    assert_eq!(newest(), Some(11));
    finish(store, &run("two"), vec![enqueued(1)], 12);
    assert_eq!(newest(), Some(12));
}

/// Inputs, outputs, cached outputs, definitions.
pub fn every_value_that_is_kept_is_shown(store: &dyn Store) {
    let key = create_from(store, &run("one"), &[("d", "body")]);
    let payloads = Payloads { inputs: Some(Bytes::from_static(b"in")), outputs: Some(Bytes::from_static(b"out")) };
    store
        .commit(&[Append { actions: vec![(row(Phase::Queued), payloads)], ..append(key, 0, vec![enqueued(1)]) }])
        .unwrap();
    store.cache("k", &cached(2, 1)).unwrap();
    let mut seen = Vec::new();
    store.visit_values(&mut |value| seen.push(value.to_vec())).unwrap();
    seen.sort();
    assert_eq!(seen, [vec![7; 2], b"body".to_vec(), b"in".to_vec(), b"out".to_vec()]);
}

fn names(store: &dyn Store) -> Vec<String> {
    store.runs(&RunQuery::newest(1000)).unwrap().iter().map(|(_, run)| run.id.name.to_string()).collect()
}

/// Cached outputs have half of the room at most.
pub fn a_cache_without_end_takes_no_run_with_it(store: &dyn Store) {
    for index in 0..40 {
        finish(store, &run(&format!("run-{index}")), vec![enqueued(1)], index);
        for part in 0..4 {
            store.cache(&format!("{index}-{part}"), &cached(100_000, 1000 * index + part)).unwrap();
        }
    }
    assert_eq!(store.prune(&keep(None, Some(4 << 20)), LATER).unwrap().runs, []);
    assert_eq!(names(store).len(), 40);
    assert!(store.cached("39-3").unwrap().is_some() && store.cached("0-0").unwrap().is_none());
}

/// As many as have to, by the time of their end; what is under way stays however large it is.
pub fn the_oldest_finished_runs_go_while_the_store_is_too_large(store: &dyn Store) {
    let large = |name: &str, ended: Option<i64>| {
        let key = create(store, &run(name)).unwrap();
        let phase = if ended.is_some() { Phase::Succeeded } else { Phase::Running };
        let value = Payloads { inputs: None, outputs: Some(Bytes::from(vec![7; 400_000])) };
        let run_phase = Some((phase, ended.map(Timestamp)));
        let append = append(key, 0, vec![enqueued(1)]);
        store.commit(&[Append { actions: vec![(row(phase), value)], run_phase, ..append }]).unwrap();
    };
    large("live", None);
    // The order of their ends is not that of their keys.
    for index in 0..40 {
        large(&format!("run-{index}"), Some(1_000 - index));
    }
    assert_eq!(store.prune(&keep(None, Some(1 << 30)), LATER).unwrap().runs, [], "there is room");
    let pruned = store.prune(&keep(None, Some(6 << 20)), LATER).unwrap().runs.len();
    assert!(pruned > 0 && pruned < 40, "{pruned}");
    let mut left: Vec<String> = (0..40 - pruned).map(|index| format!("run-{index}")).rev().collect();
    left.push("live".to_owned());
    assert_eq!(names(store), left);
    assert_eq!(store.prune(&keep(None, Some(1)), LATER).unwrap().runs.len(), 40 - pruned);
    assert_eq!(names(store), ["live"]);
}

/// Cached outputs may name files of the run.
pub fn what_was_cached_in_the_time_of_a_run_goes_with_it_by_size(store: &dyn Store) {
    for index in 0..40 {
        let key = create(store, &run(&format!("run-{index}"))).unwrap();
        let value = Payloads { inputs: Some(Bytes::from(vec![7; 100_000])), outputs: None };
        let run_phase = Some((Phase::Succeeded, Some(Timestamp(10 * index + 5))));
        let append = append(key, 0, vec![enqueued(1)]);
        store.commit(&[Append { actions: vec![(row(Phase::Succeeded), value)], run_phase, ..append }]).unwrap();
        store.cache(&format!("of-{index}"), &cached(1, 10 * index)).unwrap();
    }
    store.prune(&keep(None, Some(2 << 20)), LATER).unwrap();
    let left = names(store);
    assert!(!left.is_empty() && left.len() < 40, "{left:?}");
    for index in 0..40 {
        let has_run = left.contains(&format!("run-{index}"));
        assert_eq!(store.cached(&format!("of-{index}")).unwrap().is_some(), has_run, "of-{index}");
    }
}
