//! Notifications of the ends of runs.

use std::time::Duration;

use spanwise_core::{Phase, Retention, RunId, Timestamp};

use super::examples::{append, enqueued, run};
use crate::{Append, DueQuery, NotificationRow, NotificationState, RunKey, RunRow, Store};

fn create(store: &dyn Store, name: &str, receivers: &[&str]) -> RunKey {
    let receivers = (0..).zip(receivers).map(|(rule, receiver)| (rule, (*receiver).to_owned())).collect();
    store.create_run(&run(name), Append { receivers, ..append(RunKey(0), 0, vec![enqueued(1)]) }).unwrap()
}

fn end(store: &dyn Store, key: RunKey, at: i64) {
    let run_phase = Some((Phase::Succeeded, Some(Timestamp(at))));
    store.commit(&[Append { run_phase, ..append(key, 1, vec![enqueued(at)]) }]).unwrap();
}

fn at(now: i64) -> DueQuery {
    DueQuery { now: Timestamp(now), latest: Timestamp(now + 1000), resting: Vec::new(), limit: 10 }
}

/// Run and rule of what is due.
fn due(store: &dyn Store, query: &DueQuery) -> Vec<(RunKey, u32)> {
    store.due_notifications(query).unwrap().rows.iter().map(|row| (row.run, row.rule)).collect()
}

fn put(store: &dyn Store, run: RunKey, rule: u32, change: impl FnOnce(&mut NotificationRow)) {
    let mut row = store.notifications(run).unwrap().remove(rule as usize);
    change(&mut row);
    store.put_notifications(&[row]).unwrap();
}

/// By the commit that ends it, and not before.
pub fn a_notification_is_due_when_its_run_has_ended(store: &dyn Store) {
    let (a, b) = (create(store, "a", &["größe", "x"]), create(store, "b", &[]));
    assert_eq!(due(store, &at(99)), []);
    let running = Some((Phase::Running, None));
    store.commit(&[Append { run_phase: running, ..append(b, 1, vec![enqueued(2)]) }]).unwrap();
    assert_eq!(store.notifications(a).unwrap().iter().map(|row| row.at).collect::<Vec<_>>(), [None, None]);
    end(store, a, 7);
    assert_eq!(due(store, &at(99)), [(a, 0), (a, 1)]);
    // The clock was moved back since: what was never tried is due all the same.
    assert_eq!(due(store, &at(3)), [(a, 0), (a, 1)]);
    let row = store.notifications(a).unwrap().remove(0);
    let expected = NotificationRow {
        run: a,
        rule: 0,
        receiver: "größe".to_owned(),
        state: NotificationState::Waiting,
        tries: 0,
        at: Some(Timestamp(7)),
        error: None,
    };
    assert_eq!(row, expected);
    assert_eq!(store.notifications(b).unwrap(), []);
}

/// One at a time, and none of a receiver that rests.
pub fn the_oldest_notification_of_each_receiver_is_due_first(store: &dyn Store) {
    let keys = ["a", "b", "c"].map(|name| create(store, name, &["x", "y"]));
    for (key, ended) in keys.iter().zip([30, 10, 20]) {
        end(store, *key, ended);
    }
    assert_eq!(due(store, &at(40)), [(keys[1], 0), (keys[1], 1)]);
    let resting = DueQuery { resting: vec!["x".to_owned()], ..at(40) };
    assert_eq!(due(store, &resting), [(keys[1], 1)]);
    assert_eq!(due(store, &DueQuery { limit: 1, ..at(40) }).len(), 1);
    let (tries, later) = (3, Some(Timestamp(500)));
    put(store, keys[1], 0, |row| (row.tries, row.at) = (tries, later));
    assert_eq!(due(store, &at(40)), [(keys[1], 1), (keys[2], 0)]);
    put(store, keys[2], 0, |row| row.state = NotificationState::Delivered);
    put(store, keys[0], 0, |row| row.state = NotificationState::Unwanted);
    let found = store.due_notifications(&at(40)).unwrap();
    assert_eq!((found.rows.len(), found.next), (1, later));
    assert_eq!(store.due_notifications(&resting).unwrap().next, None);
    assert_eq!(due(store, &at(500)), [(keys[1], 1), (keys[1], 0)]);
    // As late as no pause can make it: the clock was moved.
    assert_eq!(due(store, &DueQuery { latest: Timestamp(499), ..at(40) }), [(keys[1], 1), (keys[1], 0)]);
}

/// For the page of the run, and for the list of what does not work.
pub fn what_has_become_of_notifications_is_kept_as_long_as_their_run(store: &dyn Store) {
    let (a, b) = (create(store, "a", &["x", "y", "z"]), create(store, "b", &["x"]));
    end(store, a, 5);
    end(store, b, 50);
    put(store, a, 0, |row| {
        (row.state, row.tries, row.error) = (NotificationState::Delivered, 2, Some("was".to_owned()))
    });
    put(store, a, 1, |row| (row.tries, row.error) = (1, Some("500".to_owned())));
    put(store, a, 2, |row| (row.state, row.error) = (NotificationState::GivenUp, Some("410".to_owned())));
    put(store, b, 0, |row| (row.tries, row.error) = (1, Some("no".to_owned())));
    let troubled = store.troubled_notifications("", "", 10).unwrap();
    let of = |(row, count): &(NotificationRow, u64)| (row.run, row.rule, *count);
    assert_eq!(troubled.iter().map(of).collect::<Vec<_>>(), [(b, 0, 1), (a, 1, 1), (a, 2, 1)]);
    assert_eq!(store.troubled_notifications("", "", 1).unwrap().len(), 1);
    let states: Vec<_> = store.notifications(a).unwrap().iter().map(|row| (row.state, row.tries)).collect();
    let expected =
        [(NotificationState::Delivered, 2), (NotificationState::Waiting, 1), (NotificationState::GivenUp, 0)];
    assert_eq!(states, expected);
    let keep = Retention { max_age: Some(Duration::from_micros(20)), max_bytes: None };
    store.prune(&keep, Timestamp(50)).unwrap();
    assert_eq!(store.notifications(a).unwrap(), []);
    assert_eq!(store.notifications(b).unwrap().len(), 1);
    let troubled: Vec<NotificationRow> = troubled.into_iter().map(|(row, _)| row).collect();
    store.put_notifications(&troubled).unwrap();
    assert_eq!(store.notifications(a).unwrap(), [], "its run is gone");
}

/// However many there are of another receiver, and of other projects.
pub fn each_receiver_with_trouble_is_found(store: &dyn Store) {
    let trouble =
        |store: &dyn Store, key| put(store, key, 0, |row| (row.tries, row.error) = (1, Some("no".to_owned())));
    let of = |project: &str, name: &str, receiver: &str| {
        let row = RunRow { id: RunId { project: project.to_owned(), ..run(name).id }, ..run(name) };
        let receivers = vec![(0, receiver.to_owned())];
        let key = store.create_run(&row, Append { receivers, ..append(RunKey(0), 0, vec![enqueued(1)]) }).unwrap();
        end(store, key, 5);
        trouble(store, key);
        key
    };
    let mine = of("mine", "old", "rare");
    let others: Vec<RunKey> = (0..300).map(|number| of("other", &format!("run-{number}"), "loud")).collect();
    let found = |project: &str, domain: &str| {
        let found = store.troubled_notifications(project, domain, 5).unwrap();
        found.into_iter().map(|(row, count)| (row.run, row.receiver, count)).collect::<Vec<_>>()
    };
    let (rare, loud) = ((mine, "rare".to_owned(), 1), (others[299], "loud".to_owned(), 300));
    assert_eq!(found("", ""), [loud.clone(), rare.clone()]);
    assert_eq!(found("mine", ""), std::slice::from_ref(&rare));
    assert_eq!(found("other", &run("x").id.domain), [loud]);
    assert_eq!(found("mine", "nowhere"), []);
}

/// Those of others, of runs that ended later and of runs that go on stay.
pub fn notifications_of_one_receiver_are_given_up_by_the_age_of_their_runs(store: &dyn Store) {
    let keys = ["old", "new", "live"].map(|name| create(store, name, &["x", "y"]));
    end(store, keys[0], 10);
    end(store, keys[1], 20);
    assert_eq!(store.give_up_notifications("x", Timestamp(20), Timestamp(30), "away").unwrap(), 1);
    let states = keys.map(|key| store.notifications(key).unwrap().iter().map(|row| row.state).collect::<Vec<_>>());
    let (waits, gone) = (NotificationState::Waiting, NotificationState::GivenUp);
    assert_eq!(states, [vec![gone, waits], vec![waits, waits], vec![waits, waits]]);
    let row = store.notifications(keys[0]).unwrap().remove(0);
    assert_eq!((row.at, row.error.as_deref()), (Some(Timestamp(30)), Some("away")));
    assert_eq!(store.give_up_notifications("x", Timestamp(20), Timestamp(30), "away").unwrap(), 0);
}
