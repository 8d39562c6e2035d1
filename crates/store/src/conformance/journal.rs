//! Runs, their events and their rows.

use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionKind, ActionName, Failure, Phase, TaskName, Timestamp};

use super::examples::{append, create, enqueued, launched, row, rows, run};
use crate::{ActionRow, Append, Error, Payloads, PrunedRun, Retention, RunKey, RunQuery, Store};

fn inline(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

/// One run a name; asking for it tells which.
pub fn a_name_is_taken_once(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    assert!(matches!(create(store, &run("one")), Err(Error::AlreadyExists(name)) if name == "one"));
    assert_eq!(store.find(&run("one").id).unwrap(), Some((key, run("one"))));
    assert_eq!(store.find(&run("two").id).unwrap(), None);
}

/// The same name in another domain is another run.
pub fn names_are_unique_in_org_project_and_domain_only(store: &dyn Store) {
    create(store, &run("one")).unwrap();
    let mut other = run("one");
    other.id.domain = "production".to_owned();
    create(store, &other).unwrap();
    assert_eq!(store.runs(&RunQuery::newest(10)).unwrap().len(), 2);
    assert_eq!(store.runs(&RunQuery::newest(1)).unwrap()[0].1, other);
}

/// Events of several runs in one batch, and of one run in several batches.
pub fn events_come_back_in_order(store: &dyn Store) {
    let (one, two) = (create(store, &run("one")).unwrap(), create(store, &run("two")).unwrap());
    let batch =
        [append(one, 0, vec![enqueued(1)]), append(two, 0, vec![enqueued(5)]), append(one, 1, vec![launched(2, 1)])];
    store.commit(&batch).unwrap();
    store.commit(&[append(one, 2, vec![launched(3, 2), launched(4, 3)])]).unwrap();
    let events = store.load(one).unwrap().unwrap().events;
    assert_eq!(events, [enqueued(1), launched(2, 1), launched(3, 2), launched(4, 3)]);
    assert_eq!(store.load(two).unwrap().unwrap().events, [enqueued(5)]);
    assert!(store.load(RunKey(99)).unwrap().is_none());
}

/// Neither of the run at fault nor of the others.
pub fn a_conflict_leaves_nothing_of_the_batch(store: &dyn Store) {
    let (one, two) = (create(store, &run("one")).unwrap(), create(store, &run("two")).unwrap());
    store.commit(&[append(one, 0, vec![enqueued(1)])]).unwrap();
    let refused = store.commit(&[append(two, 0, vec![enqueued(1)]), append(one, 0, vec![launched(2, 1)])]);
    assert!(matches!(refused, Err(Error::Conflict { seq: 0, .. })), "{refused:?}");
    assert_eq!(store.load(one).unwrap().unwrap().events, [enqueued(1)]);
    assert_eq!(store.load(two).unwrap().unwrap().events, []);
}

/// A row without values changes none.
pub fn values_are_kept_when_later_rows_leave_them_out(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let with = |first_seq, event, row, payloads| Append {
        actions: vec![(row, payloads)],
        ..append(key, first_seq, vec![event])
    };
    let inputs = Payloads { inputs: inline("in"), outputs: None };
    store.commit(&[with(0, enqueued(1), row(Phase::Queued), inputs)]).unwrap();
    let outputs = Payloads { inputs: None, outputs: inline("out") };
    store.commit(&[with(1, launched(2, 1), row(Phase::Succeeded), outputs)]).unwrap();
    let both = Payloads { inputs: inline("in"), outputs: inline("out") };
    assert_eq!(store.payloads(key, &ActionName::ROOT).unwrap(), both);
    assert_eq!(store.payloads(key, &ActionName::new("x").unwrap()).unwrap(), Payloads::default());
}

/// The last of several rows of one action counts, and the phase of the run with it.
pub fn rows_show_the_last_state(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let failed = ActionRow { failure: Some(Failure::user("E", "broken")), attempts: 2, ..row(Phase::Failed) };
    let batch = [
        Append { actions: vec![(row(Phase::Queued), Payloads::default())], ..append(key, 0, vec![enqueued(1)]) },
        Append {
            actions: vec![(failed.clone(), Payloads::default())],
            run_phase: Some((Phase::Failed, Some(Timestamp(9)))),
            ..append(key, 1, vec![launched(2, 1)])
        },
    ];
    store.commit(&batch).unwrap();
    assert_eq!(store.action(key, &ActionName::ROOT).unwrap(), Some(failed));
    let (_, stored) = store.find(&run("one").id).unwrap().unwrap();
    assert_eq!((stored.phase, stored.ended_at), (Phase::Failed, Some(Timestamp(9))));
}

/// By the time of their end; the name is free again.
pub fn old_finished_runs_are_pruned_and_live_ones_are_not(store: &dyn Store) {
    let finish = |name: &str, ended: i64| {
        let key = create(store, &run(name)).unwrap();
        let run_phase = Some((Phase::Succeeded, Some(Timestamp(ended))));
        store.commit(&[Append { run_phase, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
        key
    };
    let (old, young) = (finish("old", 10), finish("young", 1_000_000));
    let live = create(store, &run("live")).unwrap();
    let keep = Retention { max_age: Some(Duration::from_millis(500)), max_bytes: None };
    let pruned = PrunedRun { key: old, id: Some(run("old").id) };
    assert_eq!(store.prune(&keep, Timestamp(1_000_100)).unwrap().runs, [pruned]);
    assert!(store.load(old).unwrap().is_none());
    assert!(store.load(young).unwrap().is_some() && store.load(live).unwrap().is_some());
    create(store, &run("old")).unwrap();
}

/// An empty value is not none.
pub fn unicode_and_empty_values_survive(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let named =
        ActionRow {
            task: TaskName::from("umgebung.größe"), group: Some("группа 🦀".to_owned()), ..row(Phase::Queued)
        };
    let empty = Payloads { inputs: inline(""), outputs: None };
    store
        .commit(&[Append { actions: vec![(named.clone(), empty.clone())], ..append(key, 0, vec![enqueued(1)]) }])
        .unwrap();
    assert_eq!(store.action(key, &ActionName::ROOT).unwrap(), Some(named));
    assert_eq!(store.payloads(key, &ActionName::ROOT).unwrap(), empty);
}

/// Both or neither.
pub fn a_run_is_created_with_its_first_events(store: &dyn Store) {
    let first = Append {
        actions: vec![(row(Phase::Queued), Payloads { inputs: inline("in"), outputs: None })],
        ..append(RunKey(0), 0, vec![enqueued(1)])
    };
    let key = store.create_run(&run("one"), first.clone()).unwrap();
    assert_eq!(store.load(key).unwrap().unwrap().events, [enqueued(1)]);
    assert_eq!(store.payloads(key, &ActionName::ROOT).unwrap().inputs, inline("in"));
    assert!(matches!(store.create_run(&run("one"), first), Err(Error::AlreadyExists(_))));
    assert_eq!(store.load(key).unwrap().unwrap().events.len(), 1);
}

/// The kinds of actions that only wait, in the phases that only they can have.
pub fn conditions_and_their_phases_are_stored(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let condition = |name: &str, phase: Phase| ActionRow {
        name: ActionName::new(name).unwrap(),
        parent: Some(ActionName::ROOT),
        kind: ActionKind::Condition,
        ..row(phase)
    };
    let conditions = [condition("b", Phase::Paused), condition("c", Phase::Recovered), condition("d", Phase::TimedOut)];
    let timer = ActionRow { kind: ActionKind::Timer, ..condition("t", Phase::Running) };
    let actions = conditions.iter().chain([&timer]).cloned().map(|row| (row, Payloads::default())).collect();
    store.commit(&[Append { actions, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
    let names = ["d", "b", "x", "c", "t"].map(|name| ActionName::new(name).unwrap());
    let [b, c, d] = conditions;
    assert_eq!(rows(store, key, &names), [d, b, c, timer]);
}

/// Numbers that are taken, and numbers too high.
pub fn events_without_a_gap_only(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    store.commit(&[append(key, 0, vec![enqueued(1), launched(2, 1)])]).unwrap();
    for wrong in [0, 1, 3] {
        let refused = store.commit(&[append(key, wrong, vec![launched(3, 2)])]);
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{wrong}: {refused:?}");
    }
    store.commit(&[append(key, 2, vec![launched(3, 2)])]).unwrap();
    assert_eq!(store.load(key).unwrap().unwrap().events.len(), 3);
}
