//! Lists of runs by each of their filters, and the events of one action.

use std::sync::Arc;

use spanwise_core::{ActionKind, ActionName, ActionSpec, AttemptNo, Event, Fact, Phase, RunName, TaskName, Timestamp};

use super::examples::{append, create, enqueued, row, run};
use crate::{ActionRow, Append, ExportState, Payloads, RunKey, RunQuery, RunRow, Scope, Store};

fn names(store: &dyn Store, query: &RunQuery) -> Vec<String> {
    store.runs(query).unwrap().into_iter().map(|(_, row)| row.id.name.to_string()).collect()
}

fn all() -> RunQuery {
    RunQuery::newest(100)
}

fn finish(store: &dyn Store, key: RunKey, phase: Phase) {
    let run_phase = Some((phase, phase.is_terminal().then_some(Timestamp(9))));
    store.commit(&[Append { run_phase, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
}

fn labelled(name: &str, labels: &[(&str, &str)]) -> RunRow {
    let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
    RunRow { labels, ..run(name) }
}

/// Project, domain and task, each alone and together; no patterns.
pub fn runs_are_filtered_by_scope_and_task(store: &dyn Store) {
    create(store, &run("one")).unwrap();
    let mut elsewhere = run("two");
    elsewhere.id.project = "q".to_owned();
    create(store, &elsewhere).unwrap();
    let mut production = RunRow { task: TaskName::from("env.größe"), ..run("three") };
    production.id.domain = "production".to_owned();
    create(store, &production).unwrap();
    let mut of_org = run("four");
    of_org.id.org = "acme".to_owned();
    create(store, &of_org).unwrap();

    let scope = |project: &str, domain: &str| {
        all().within(Scope { org: String::new(), project: project.to_owned(), domain: domain.to_owned() })
    };
    assert_eq!(names(store, &scope("p", "development")), ["four", "one"], "in any org");
    assert_eq!(names(store, &scope("q", "development")), ["two"]);
    assert_eq!(names(store, &scope("p", "production")), ["three"]);
    assert_eq!(names(store, &scope("p", "x")), [""; 0]);
    let project = |name: &str| RunQuery { project: Some(name.to_owned()), ..all() };
    let domain = |name: &str| RunQuery { domain: Some(name.to_owned()), ..all() };
    assert_eq!(names(store, &project("p")), ["four", "three", "one"], "in any domain");
    assert_eq!(names(store, &project("q")), ["two"]);
    assert_eq!(names(store, &domain("development")), ["four", "two", "one"], "in any project");
    assert_eq!(names(store, &domain("production")), ["three"]);
    let of_task = |task: &str| RunQuery { task: Some(task.to_owned()), ..all() };
    assert_eq!(names(store, &of_task("env.größe")), ["three"]);
    assert_eq!(names(store, &of_task("env")), [""; 0], "no prefixes");
    assert_eq!(names(store, &of_task("env.%")), [""; 0], "no patterns");
    assert_eq!(names(store, &RunQuery { task: Some("env.main".to_owned()), ..scope("q", "development") }), ["two"]);
}

/// Phases, and the time of acceptance.
pub fn runs_are_filtered_by_phase_and_time(store: &dyn Store) {
    for (index, phase) in [Phase::Running, Phase::Failed, Phase::Recovered].into_iter().enumerate() {
        let row = RunRow { created_at: Timestamp(10 * (index as i64 + 1)), ..run(&format!("r{index}")) };
        finish(store, create(store, &row).unwrap(), phase);
    }
    let in_phases = |phases: &[Phase]| names(store, &RunQuery { phases: phases.to_vec(), ..all() });
    assert_eq!(in_phases(&[]), ["r2", "r1", "r0"]);
    assert_eq!(in_phases(&[Phase::Running]), ["r0"]);
    assert_eq!(in_phases(&[Phase::Recovered, Phase::Failed]), ["r2", "r1"]);
    assert_eq!(in_phases(&[Phase::Queued]), [""; 0]);
    let between = |since: Option<i64>, until: Option<i64>| {
        names(store, &RunQuery { since: since.map(Timestamp), until: until.map(Timestamp), ..all() })
    };
    assert_eq!(between(Some(20), None), ["r2", "r1"], "at this time or later");
    assert_eq!(between(None, Some(20)), ["r0"], "before this time");
    assert_eq!(between(Some(20), Some(30)), ["r1"]);
    assert_eq!(between(Some(31), None), [""; 0]);
}

/// The last change is that of the root.
pub fn runs_are_filtered_by_their_last_change_and_by_the_version_of_their_task(store: &dyn Store) {
    let versioned = |name: &str, version: &str| RunRow { task_version: version.to_owned(), ..run(name) };
    let begun = create(store, &versioned("begun", "v1")).unwrap();
    let ended = create(store, &versioned("ended", "v2")).unwrap();
    create(store, &run("new")).unwrap();
    let launched = Event { at: Timestamp(20), fact: Fact::Launched { attempt: AttemptNo(1) }, ..enqueued(1) };
    let child = Event { action: ActionName::new("c").unwrap(), ..enqueued(90) };
    store.commit(&[append(begun, 0, vec![enqueued(1), launched, child])]).unwrap();
    let run_phase = Some((Phase::Succeeded, Some(Timestamp(30))));
    store.commit(&[Append { run_phase, ..append(ended, 0, vec![enqueued(1)]) }]).unwrap();
    let updated = |since: Option<i64>, until: Option<i64>| {
        let (updated_since, updated_until) = (since.map(Timestamp), until.map(Timestamp));
        names(store, &RunQuery { updated_since, updated_until, ..all() })
    };
    assert_eq!(updated(Some(20), None), ["ended", "begun"], "at this time or later");
    assert_eq!(updated(Some(21), None), ["ended"], "what happens to a child is no change of the root");
    assert_eq!(updated(None, Some(20)), ["new"], "before this time");
    assert_eq!(updated(Some(1), Some(30)), ["new", "begun"]);
    let of_version = |version: &str| names(store, &RunQuery { task_version: Some(version.to_owned()), ..all() });
    assert_eq!((of_version("v1"), of_version("v2")), (vec!["begun".to_owned()], vec!["ended".to_owned()]));
    assert_eq!((of_version(""), of_version("v")), (vec!["new".to_owned()], Vec::new()));
}

/// No run is PAUSED itself: it has a condition that is.
pub fn runs_that_wait_for_a_signal_are_found_as_paused(store: &dyn Store) {
    let condition = |phase: Phase| ActionRow {
        name: ActionName::new("c1").unwrap(),
        parent: Some(ActionName::ROOT),
        kind: ActionKind::Condition,
        ..row(phase)
    };
    for (name, of_condition, of_run) in [
        ("waits", Some(Phase::Paused), Phase::Running),
        ("answered", Some(Phase::Succeeded), Phase::Running),
        ("ended", Some(Phase::Paused), Phase::Aborted),
        ("none", None, Phase::Running),
    ] {
        let key = create(store, &run(name)).unwrap();
        let actions = of_condition.map(|phase| (condition(phase), Payloads::default())).into_iter().collect();
        let run_phase = Some((of_run, of_run.is_terminal().then_some(Timestamp(9))));
        store.commit(&[Append { run_phase, actions, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
    }
    let in_phases = |phases: &[Phase]| names(store, &RunQuery { phases: phases.to_vec(), ..all() });
    assert_eq!(in_phases(&[Phase::Paused]), ["waits"]);
    assert_eq!(in_phases(&[Phase::Paused, Phase::Aborted]), ["ended", "waits"]);
    assert_eq!(in_phases(&[Phase::Running]), ["none", "answered", "waits"]);
}

/// With a value and with any; quotes, dots and percent signs mean nothing.
pub fn runs_are_filtered_by_labels_whatever_they_are_made_of(store: &dyn Store) {
    let pairs = [
        ("team", "data"),
        ("a.b/c", "dots and a slash"),
        ("größe 🦀", "ж\u{2028}"),
        ("\"quoted\" it's", "back\\slash \"quoted\" 'x'"),
        ("$[0]", "%_*"),
        ("", ""),
        ("control\u{1}\n\t\u{7f}", "\u{8}\u{c}\r\u{1f}"),
        ("number", "1"),
        ("truth", "true"),
        ("nothing", "null"),
    ];
    for (index, pair) in pairs.iter().enumerate() {
        create(store, &labelled(&format!("r{index}"), &[*pair, ("all", "yes")])).unwrap();
    }
    create(store, &labelled("none", &[])).unwrap();
    create(store, &run("bare")).unwrap();
    let with = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), Some((*value).to_owned()))).collect();
        names(store, &RunQuery { labels, ..all() })
    };
    for (index, (label, value)) in pairs.into_iter().enumerate() {
        assert_eq!(with(&[(label, value)]), [format!("r{index}")], "{label:?}={value:?}");
        assert_eq!(with(&[(label, value), ("all", "yes")]), [format!("r{index}")]);
        assert_eq!(with(&[(label, value), ("all", "no")]), [""; 0]);
        assert_eq!(with(&[(label, "other")]), [""; 0]);
    }
    assert_eq!(with(&[("all", "yes")]).len(), pairs.len());
    assert_eq!(with(&[("a", "dots and a slash")]), [""; 0]);
    assert_eq!(with(&[("TEAM", "data")]), [""; 0], "case counts");
}

/// Page by page, the newest or the oldest first.
pub fn lists_of_runs_are_paged_in_both_orders(store: &dyn Store) {
    for index in 0..7 {
        let task = TaskName::from(if index % 2 == 0 { "env.even" } else { "env.odd" });
        create(store, &RunRow { task, ..run(&format!("r{index}")) }).unwrap();
    }
    let pages = |query: RunQuery| {
        let (mut after, mut pages) = (None, Vec::new());
        loop {
            let page = store.runs(&RunQuery { after, ..query.clone() }).unwrap();
            let Some((last, _)) = page.last() else { return pages };
            after = Some(*last);
            pages.push(page.iter().map(|(_, row)| row.id.name.to_string()).collect::<Vec<_>>().join(" "));
        }
    };
    let by_three = RunQuery { limit: 3, ..RunQuery::default() };
    assert_eq!(pages(by_three.clone()), ["r6 r5 r4", "r3 r2 r1", "r0"]);
    assert_eq!(pages(RunQuery { oldest_first: true, ..by_three.clone() }), ["r0 r1 r2", "r3 r4 r5", "r6"]);
    let even = RunQuery { task: Some("env.even".to_owned()), ..by_three };
    assert_eq!(pages(even.clone()), ["r6 r4 r2", "r0"]);
    assert_eq!(pages(RunQuery { oldest_first: true, ..even }), ["r0 r2 r4", "r6"]);
    assert_eq!(names(store, &RunQuery::newest(0)), [""; 0]);
    assert_eq!(names(store, &RunQuery::newest(usize::MAX)).len(), 7);
}

/// In the order of the runs; a run that has none is left out.
pub fn one_action_of_each_run_is_read_at_once(store: &dyn Store) {
    let with_root = |name: &str, phase: Phase| {
        let key = create(store, &run(name)).unwrap();
        let actions = vec![(row(phase), Payloads::default())];
        store.commit(&[Append { actions, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
        key
    };
    let (one, two) = (with_root("one", Phase::Running), with_root("two", Phase::Succeeded));
    let bare = create(store, &run("bare")).unwrap();
    let roots = |runs: &[RunKey]| {
        let read = store.action_of_each(runs, &ActionName::ROOT).unwrap();
        read.into_iter().map(|(key, row)| (key, row.phase)).collect::<Vec<_>>()
    };
    assert_eq!(roots(&[two, bare, one, RunKey(77)]), [(one, Phase::Running), (two, Phase::Succeeded)]);
    assert_eq!(roots(&[two]), [(two, Phase::Succeeded)]);
    assert_eq!(roots(&[]), []);
    assert!(store.action_of_each(&[one], &ActionName::new("a1").unwrap()).unwrap().is_empty());
}

/// What a restart takes up.
pub fn unfinished_runs_are_listed_the_oldest_first(store: &dyn Store) {
    let keys: Vec<RunKey> = ["b", "a", "c", "d"].map(|name| create(store, &run(name)).unwrap()).into();
    finish(store, keys[2], Phase::Aborted);
    finish(store, keys[1], Phase::Running);
    let unfinished: Vec<RunName> = store.unfinished().unwrap().into_iter().map(|run| run.id.name).collect();
    assert_eq!(unfinished, ["b", "a", "d"].map(|name| RunName::new(name).unwrap()));
}

/// Without those of its neighbours.
pub fn the_events_of_one_action_come_in_order(store: &dyn Store) {
    let (one, two) = (create(store, &run("one")).unwrap(), create(store, &run("two")).unwrap());
    let child = ActionName::new("c").unwrap();
    let of_child = |at: i64, attempt: Option<u32>| Event {
        action: child,
        at: Timestamp(at),
        fact: match attempt {
            None => Fact::Enqueued { spec: Arc::new(ActionSpec::task("env.child")) },
            Some(attempt) => Fact::Launched { attempt: AttemptNo(attempt) },
        },
    };
    let first = vec![enqueued(1), of_child(2, None), enqueued(3), of_child(4, Some(1)), of_child(5, Some(2))];
    store.commit(&[append(one, 0, first), append(two, 0, vec![enqueued(7)])]).unwrap();
    store.commit(&[append(one, 5, vec![of_child(6, Some(3))])]).unwrap();
    let expected = [of_child(2, None), of_child(4, Some(1)), of_child(5, Some(2)), of_child(6, Some(3))];
    assert_eq!(store.events_of(one, &child).unwrap(), expected);
    assert_eq!(store.events_of(one, &ActionName::ROOT).unwrap(), [enqueued(1), enqueued(3)]);
    assert_eq!(store.events_of(two, &child).unwrap(), []);
    assert_eq!(store.events_of(RunKey(99), &child).unwrap(), []);
}

/// Positions of the export, and which runs are left.
pub fn exports_are_pending_until_they_are_done(store: &dyn Store) {
    let traced = |name: &str| RunRow { export: Some(ExportState::default()), ..run(name) };
    let (_, one, two) = (
        create(store, &run("untraced")).unwrap(),
        create(store, &traced("one")).unwrap(),
        create(store, &traced("two")).unwrap(),
    );
    assert_eq!(store.unexported().unwrap(), [one, two]);
    let state = ExportState { next_seq: 7, exported: 12, dropped: 3, done: true };
    store.put_exports(&[(one, state)]).unwrap();
    assert_eq!(store.unexported().unwrap(), [two]);
    assert_eq!(store.run(one).unwrap().unwrap().export, Some(state));
    assert_eq!(store.find(&run("untraced").id).unwrap().unwrap().1.export, None);
    assert_eq!(store.run(RunKey(99)).unwrap(), None);
}

/// Also from the middle of what was written in one go.
pub fn events_are_read_on_from_a_number(store: &dyn Store) {
    let key = create(store, &run("one")).unwrap();
    let events: Vec<Event> = (0..10).map(enqueued).collect();
    for (index, chunk) in events.chunks(2).enumerate() {
        store.commit(&[append(key, 2 * index as u64, chunk.to_vec())]).unwrap();
    }
    let (mut read, mut seq) = (Vec::new(), 0);
    loop {
        let next = store.events_from(key, seq, 3).unwrap();
        if next.is_empty() {
            break;
        }
        seq += next.len() as u64;
        read.extend(next);
    }
    assert_eq!(read, events);
    assert_eq!(store.events_from(key, 4, 100).unwrap(), events[4..]);
    // Facts of one action that follow each other are kept together; a number in the midst of them is as good as any.
    let more: Vec<Event> =
        (0..4).map(|at| Event { at: Timestamp(at), fact: Fact::WaitsForSlot { wait: None }, ..enqueued(3) }).collect();
    store.commit(&[append(key, 10, more.clone())]).unwrap();
    assert_eq!(store.events_from(key, 12, 100).unwrap(), more[2..]);
    assert_eq!(store.events_from(key, 9, 100).unwrap(), [&events[9..], &more].concat());
    assert_eq!(store.events_from(key, 14, 100).unwrap(), []);
}
