//! What every store promises, as one suite.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{
    ActionKind, ActionName, ActionSpec, AttemptNo, Event, Fact, Failure, Phase, RunId, RunName, TaskName, Timestamp,
};
use spanwise_store::{
    ActionRow, Append, Definition, Durability, Error, Memory, Payloads, PrunedRun, Retention, RunKey, RunQuery, RunRow,
    Sqlite, Store,
};

use crate::catalog::*;
use crate::queries::*;
use crate::retention::*;

/// Runs every case against one kind of store.
macro_rules! conformance {
    ($store:ident, $open:expr) => {
        mod $store {
            use super::*;
            conformance!(@cases $open;
                a_name_is_taken_once, events_come_back_in_order, a_conflict_leaves_nothing_of_the_batch,
                values_are_kept_when_later_rows_leave_them_out, rows_show_the_last_state,
                old_finished_runs_are_pruned_and_live_ones_are_not, names_are_unique_in_org_project_and_domain_only,
                unicode_and_empty_values_survive, events_without_a_gap_only, a_run_is_created_with_its_first_events,
                conditions_and_their_phases_are_stored,
                runs_are_filtered_by_scope_and_task, runs_are_filtered_by_phase_and_time,
                runs_are_filtered_by_their_last_change_and_by_the_version_of_their_task,
                runs_that_wait_for_a_signal_are_found_as_paused, runs_are_filtered_by_labels_whatever_they_are_made_of, lists_of_runs_are_paged_in_both_orders,
                unfinished_runs_are_listed_the_oldest_first, the_events_of_one_action_come_in_order,
                a_definition_is_kept_once_under_its_digest,
                a_definition_is_stored_with_what_is_made_from_it_or_not_at_all, a_task_is_deployed_once_in_each_version,
                a_list_of_tasks_has_each_once_in_its_newest_version, cached_outputs_are_replaced_under_their_key,
                definitions_go_with_the_last_that_refers_to_them, old_cached_outputs_are_pruned,
                a_cache_without_end_takes_no_run_with_it, what_was_cached_in_the_time_of_a_run_goes_with_it_by_size,
                the_key_of_a_run_never_comes_again, nothing_is_old_by_a_clock_that_jumped, every_value_that_is_kept_is_shown,
                the_newest_fact_is_that_of_runs_actions_and_what_is_kept_beside_them,
                exports_are_pending_until_they_are_done, events_are_read_on_from_a_number
            );
        }
    };
    (@cases $open:expr; $($case:ident),+) => {$(
        #[test]
        fn $case() {
            let directory = tempfile::tempdir().unwrap();
            let open: fn(&std::path::Path) -> Box<dyn Store> = $open;
            super::$case(open(directory.path()).as_ref());
        }
    )+};
}

conformance!(memory, |_| Box::new(Memory::new()));
conformance!(sqlite_process, |path| Box::new(Sqlite::open(path, Durability::Process).unwrap()));
conformance!(sqlite_disk, |path| Box::new(Sqlite::open(path, Durability::Disk).unwrap()));

pub(crate) fn run(name: &str) -> RunRow {
    RunRow {
        id: RunId {
            org: String::new(),
            project: "p".to_owned(),
            domain: "development".to_owned(),
            name: RunName::new(name).unwrap(),
        },
        task: TaskName::from("env.main"),
        phase: Phase::Queued,
        created_at: Timestamp(1),
        ended_at: None,
        labels: BTreeMap::new(),
        definition: None,
        task_version: String::new(),
        settings: "{}".to_owned(),
        export: None,
        unreadable: None,
    }
}

/// Adds a run with no events yet.
pub(crate) fn create(store: &dyn Store, run: &RunRow) -> Result<RunKey, Error> {
    store.create_run(run, append(RunKey(0), 0, Vec::new()))
}

pub(crate) fn enqueued(at: i64) -> Event {
    Event {
        action: ActionName::ROOT,
        at: Timestamp(at),
        fact: Fact::Enqueued { spec: Arc::new(ActionSpec::task("env.main")) },
    }
}

fn launched(at: i64, attempt: u32) -> Event {
    Event { action: ActionName::ROOT, at: Timestamp(at), fact: Fact::Launched { attempt: AttemptNo(attempt) } }
}

pub(crate) fn row(phase: Phase) -> ActionRow {
    ActionRow {
        name: ActionName::ROOT,
        parent: None,
        kind: ActionKind::Task,
        task: TaskName::from("env.main"),
        group: None,
        phase,
        attempts: 0,
        enqueued_at: Timestamp(1),
        started_at: None,
        ended_at: phase.is_terminal().then_some(Timestamp(9)),
        failure: None,
    }
}

pub(crate) fn append(run: RunKey, first_seq: u64, events: Vec<Event>) -> Append {
    Append { run, first_seq, events, actions: Vec::new(), run_phase: None, definitions: Vec::new() }
}

/// A run of this name with what it is made from.
pub(crate) fn create_from(store: &dyn Store, run: &RunRow, definitions: &[(&str, &str)]) -> RunKey {
    store.create_run(run, append_from(RunKey(0), 0, Vec::new(), definitions)).unwrap()
}

/// Events with what their actions are made from.
pub(crate) fn append_from(run: RunKey, first_seq: u64, events: Vec<Event>, definitions: &[(&str, &str)]) -> Append {
    let definition =
        |(digest, body): &(&str, &str)| Definition { digest: (*digest).to_owned(), body: body.to_string().into() };
    Append { definitions: definitions.iter().map(definition).collect(), ..append(run, first_seq, events) }
}

fn inline(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn a_name_is_taken_once(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    assert!(matches!(create(store, &run("one")), Err(Error::AlreadyExists(name)) if name == "one"));
    assert_eq!(store.find(&run("one").id).unwrap(), Some((key, run("one"))));
    assert_eq!(store.find(&run("two").id).unwrap(), None);
}

fn names_are_unique_in_org_project_and_domain_only(store: &dyn Store) {
    create(store, &run("one")).unwrap();
    let mut other = run("one");
    other.id.domain = "production".to_owned();
    create(store, &other).unwrap();
    assert_eq!(store.runs(&RunQuery::newest(10)).unwrap().len(), 2);
    assert_eq!(store.runs(&RunQuery::newest(1)).unwrap()[0].1, other);
}

fn events_come_back_in_order(store: &dyn Store) {
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

fn a_conflict_leaves_nothing_of_the_batch(store: &dyn Store) {
    let (one, two) = (create(store, &run("one")).unwrap(), create(store, &run("two")).unwrap());
    store.commit(&[append(one, 0, vec![enqueued(1)])]).unwrap();
    let refused = store.commit(&[append(two, 0, vec![enqueued(1)]), append(one, 0, vec![launched(2, 1)])]);
    assert!(matches!(refused, Err(Error::Conflict { seq: 0, .. })), "{refused:?}");
    assert_eq!(store.load(one).unwrap().unwrap().events, [enqueued(1)]);
    assert_eq!(store.load(two).unwrap().unwrap().events, []);
}

fn values_are_kept_when_later_rows_leave_them_out(store: &dyn Store) {
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

fn rows_show_the_last_state(store: &dyn Store) {
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
    assert_eq!(store.actions(key).unwrap(), [failed]);
    let (_, stored) = store.find(&run("one").id).unwrap().unwrap();
    assert_eq!((stored.phase, stored.ended_at), (Phase::Failed, Some(Timestamp(9))));
}

fn old_finished_runs_are_pruned_and_live_ones_are_not(store: &dyn Store) {
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

fn unicode_and_empty_values_survive(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let named =
        ActionRow {
            task: TaskName::from("umgebung.größe"), group: Some("группа 🦀".to_owned()), ..row(Phase::Queued)
        };
    let empty = Payloads { inputs: inline(""), outputs: None };
    store
        .commit(&[Append { actions: vec![(named.clone(), empty.clone())], ..append(key, 0, vec![enqueued(1)]) }])
        .unwrap();
    assert_eq!(store.actions(key).unwrap(), [named]);
    assert_eq!(store.payloads(key, &ActionName::ROOT).unwrap(), empty);
}

fn a_run_is_created_with_its_first_events(store: &dyn Store) {
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

fn conditions_and_their_phases_are_stored(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let condition = |name: &str, phase: Phase| ActionRow {
        name: ActionName::new(name).unwrap(),
        parent: Some(ActionName::ROOT),
        kind: ActionKind::Condition,
        ..row(phase)
    };
    let rows = [condition("b", Phase::Paused), condition("c", Phase::Recovered), condition("d", Phase::TimedOut)];
    let actions = rows.iter().cloned().map(|row| (row, Payloads::default())).collect();
    store.commit(&[Append { actions, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
    assert_eq!(store.actions(key).unwrap(), rows);
}

fn events_without_a_gap_only(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    store.commit(&[append(key, 0, vec![enqueued(1), launched(2, 1)])]).unwrap();
    for wrong in [0, 1, 3] {
        let refused = store.commit(&[append(key, wrong, vec![launched(3, 2)])]);
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{wrong}: {refused:?}");
    }
    store.commit(&[append(key, 2, vec![launched(3, 2)])]).unwrap();
    assert_eq!(store.load(key).unwrap().unwrap().events.len(), 3);
}
