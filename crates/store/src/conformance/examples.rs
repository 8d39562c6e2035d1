//! What the cases store: runs, events and rows with nothing special about them. For the tests of one store too.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanwise_core::{
    ActionKind, ActionName, ActionSpec, AttemptNo, Event, Fact, Phase, RunId, RunName, TaskName, Timestamp,
};

use crate::{ActionRow, Append, Definition, Error, RunKey, RunRow, Store};

/// A run of this name, accepted at 1.
pub fn run(name: &str) -> RunRow {
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
        fired_by: None,
        tracked: false,
        settings: "{}".to_owned(),
        export: None,
        unreadable: None,
    }
}

/// Adds a run with no events yet.
///
/// # Errors
/// What the store says.
pub fn create(store: &dyn Store, run: &RunRow) -> Result<RunKey, Error> {
    store.create_run(run, append(RunKey(0), 0, Vec::new()))
}

/// The root is accepted.
pub fn enqueued(at: i64) -> Event {
    Event {
        action: ActionName::ROOT,
        at: Timestamp(at),
        fact: Fact::Enqueued { spec: Arc::new(ActionSpec::task("env.main")) },
    }
}

/// An attempt of the root is launched.
pub fn launched(at: i64, attempt: u32) -> Event {
    Event { action: ActionName::ROOT, at: Timestamp(at), fact: Fact::Launched { attempt: AttemptNo(attempt) } }
}

/// The root in a phase; at its end it has ended at 9.
pub fn row(phase: Phase) -> ActionRow {
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

/// The rows of these actions, as far as they are there.
pub fn rows(store: &dyn Store, run: RunKey, names: &[ActionName]) -> Vec<ActionRow> {
    names.iter().filter_map(|name| store.action(run, name).unwrap()).collect()
}

/// Events of a run, with no rows.
pub fn append(run: RunKey, first_seq: u64, events: Vec<Event>) -> Append {
    Append {
        run,
        first_seq,
        events,
        actions: Vec::new(),
        run_phase: None,
        in_doubt: false,
        definitions: Vec::new(),
        receivers: Vec::new(),
        given: Vec::new(),
        artifacts: Vec::new(),
    }
}

/// A run of this name with what it is made from.
pub fn create_from(store: &dyn Store, run: &RunRow, definitions: &[(&str, &str)]) -> RunKey {
    store.create_run(run, append_from(RunKey(0), 0, Vec::new(), definitions)).unwrap()
}

/// Events with what their actions are made from.
pub fn append_from(run: RunKey, first_seq: u64, events: Vec<Event>, definitions: &[(&str, &str)]) -> Append {
    let definition =
        |(digest, body): &(&str, &str)| Definition { digest: (*digest).to_owned(), body: body.to_string().into() };
    Append { definitions: definitions.iter().map(definition).collect(), ..append(run, first_seq, events) }
}
