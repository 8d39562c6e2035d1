//! Runs whose programs run elsewhere.

use std::time::Duration;

use spanwise_core::{Phase, Timestamp};

use super::examples::{append, create, enqueued, launched, run};
use crate::{Append, Retention, RunKey, RunQuery, RunRow, Store};

/// The end of a run may be taken back for as long as it is in doubt.
pub fn a_tracked_run_whose_end_is_in_doubt_is_unfinished_and_stays(store: &dyn Store) {
    let of_elsewhere = RunRow { tracked: true, ..run("elsewhere") };
    let (key, other) = (create(store, &of_elsewhere).unwrap(), create(store, &run("here")).unwrap());
    let at_its_end = Some((Phase::Failed, Some(Timestamp(2))));
    store.commit(&[Append { run_phase: at_its_end, in_doubt: true, ..append(key, 0, vec![enqueued(1)]) }]).unwrap();
    store.commit(&[Append { run_phase: at_its_end, ..append(other, 0, vec![enqueued(1)]) }]).unwrap();

    let tracked = store.runs(&RunQuery { only_tracked: true, ..RunQuery::newest(9) }).unwrap();
    assert_eq!(tracked.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key]);
    assert!(tracked[0].1.tracked && !store.run(other).unwrap().unwrap().tracked);
    let one = |only: RunKey, only_tracked| RunQuery { keys: vec![only], only_tracked, ..RunQuery::newest(9) };
    for (query, found) in
        [(one(key, true), 1), (one(other, false), 1), (one(other, true), 0), (one(RunKey(99), false), 0)]
    {
        assert_eq!(store.runs(&query).unwrap().len(), found, "{query:?}");
    }
    let failed = RunQuery { phases: vec![Phase::Failed], ..RunQuery::newest(9) };
    assert_eq!(store.runs(&failed).unwrap().len(), 2, "it is shown as what it is taken for");
    let unfinished = || store.unfinished().unwrap().into_iter().map(|run| run.id.name.to_string()).collect::<Vec<_>>();
    assert_eq!(unfinished(), ["elsewhere"]);

    // Everything that is older than the newest fact goes.
    let (all, later) = (Retention { max_age: Some(Duration::ZERO), max_bytes: Some(1) }, Timestamp(99));
    store.commit(&[append(key, 1, vec![launched(50, 1)])]).unwrap();
    create(store, &RunRow { created_at: Timestamp(60), ..run("newest") }).unwrap();
    let gone: Vec<_> = store.prune(&all, later).unwrap().runs.into_iter().map(|run| run.key).collect();
    assert_eq!(gone, [other]);

    let goes_on = Some((Phase::Running, None));
    store.commit(&[Append { run_phase: goes_on, ..append(key, 2, vec![launched(51, 2)]) }]).unwrap();
    assert_eq!(store.run(key).unwrap().unwrap().ended_at, None);
    store.commit(&[Append { run_phase: at_its_end, ..append(key, 3, vec![launched(52, 3)]) }]).unwrap();
    assert_eq!(unfinished(), ["newest"]);
    assert_eq!(store.prune(&all, later).unwrap().runs.len(), 1);
}
