//! A journal that cannot be written for a while, and one that will never take what one of its runs has: with a real database that is
//! not allowed to grow.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Phase, RunId, RunName};
use spanwise_store::{Durability, Retention, RunQuery, Sqlite};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    Attempt, Call, Engine, EngineConfig, Executor, NewRun, NewStep, Outcome, Report, RunHandle, RunSettings, Storage,
};

/// Larger than what is free in the pages that a database has.
const LARGE: usize = 1 << 20;

/// A disk that can be full, and the engine on it.
struct Disk {
    directory: tempfile::TempDir,
    store: Arc<Sqlite>,
    engine: Engine,
}

impl Disk {
    fn new(waits_for_room: bool) -> Disk {
        let config = EngineConfig::embedded(Storage::Memory, Retention::default());
        Disk::under(EngineConfig { waits_for_room, ..config })
    }

    fn under(config: EngineConfig) -> Disk {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(directory.path(), Durability::Process).unwrap());
        let engine = Engine::on(store.clone(), false, config).unwrap();
        Disk { directory, store, engine }
    }

    /// The database may grow no more.
    fn fills(&self) {
        self.store.limit_pages(1).unwrap();
    }

    fn has_room(&self) {
        self.store.limit_pages(1 << 20).unwrap();
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("journal.db")).unwrap()
    }

    /// Somebody else has written the next event of a run: what follows is refused for good.
    fn takes_the_next_event_of(&self, run: &RunHandle) {
        let foreign = "INSERT INTO events (run, seq, count, action, v, body) \
             SELECT ?1, max(seq + count), 1, 'a0', 1, '[[1,{\"type\":\"held\"}]]' FROM events WHERE run = ?1";
        self.database().execute(foreign, [run.key().0]).unwrap();
    }

    fn create(&self, name: &str) -> Result<RunHandle, Error> {
        self.create_with(name, 1)
    }

    fn create_with(&self, name: &str, inputs: usize) -> Result<RunHandle, Error> {
        // What a server drives has one.
        let settings = RunSettings { definition: Some("program".into()), ..RunSettings::default() };
        let inputs = Bytes::from(vec![7; inputs]);
        self.engine.create_run(NewRun {
            id: id(name),
            spec: ActionSpec::task("env.main"),
            inputs,
            settings,
            definitions: Vec::new(),
        })
    }

    async fn stalls(&self) {
        soon(self.engine.stalled().wait_for(Option::is_some)).await.unwrap();
    }
}

fn id(name: &str) -> RunId {
    let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
    RunId { org, project, domain, name: RunName::new(name).unwrap() }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it happens within a minute")
}

/// Bodies that end with large outputs when they are told to.
#[derive(Clone)]
struct Bodies {
    began: Arc<AtomicU32>,
    may_end: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies { began: Arc::default(), may_end: Arc::new(Semaphore::new(0)) }
    }
}

impl Bodies {
    /// So many of them end, whichever they are: now, or when they begin.
    fn end(&self, count: usize) {
        self.may_end.add_permits(count);
    }
}

impl Executor for Bodies {
    fn execute(&self, _attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let may_end = Arc::clone(&self.may_end);
        self.began.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            may_end.acquire().await.unwrap().forget();
            Report::Succeeded(Bytes::from(vec![7; LARGE]))
        })
    }
}

fn drive(run: &RunHandle, bodies: &Bodies) -> JoinHandle<Result<Outcome, Error>> {
    drive_action(run, ActionName::ROOT, bodies)
}

fn drive_action(run: &RunHandle, action: ActionName, bodies: &Bodies) -> JoinHandle<Result<Outcome, Error>> {
    let (run, bodies) = (run.clone(), bodies.clone());
    let call = Call { action, inputs: None, caller: None };
    tokio::spawn(async move { run.drive(call, &bodies).await })
}

async fn until(run: &RunHandle, phase: Phase) {
    let mut changes = run.subscribe();
    let is_so = || run.action(&ActionName::ROOT).is_some_and(|root| root.phase() == phase);
    soon(async {
        while !is_so() {
            changes.changed().await.unwrap();
        }
    })
    .await;
}

fn assert_refused<T: std::fmt::Debug>(what: &str, answer: Result<T, Error>) {
    let refused = answer.expect_err(what);
    assert!(refused.may_pass(), "{what}: {refused:?}");
    let Error::Store(source) = &refused else { panic!("{what}: {refused:?}") };
    assert!(matches!(**source, spanwise_store::Error::Full { .. }), "{what}: {source}");
}

fn a_step(run: &RunHandle) -> NewStep {
    let (spec, outcome) = (ActionSpec::step("load", ActionName::ROOT), Ok(Bytes::new()));
    NewStep { spec, started: run.now(), inputs: Bytes::new(), outcome, observed: false, definition: None }
}

fn large() -> Outcome {
    Outcome::Succeeded(Bytes::from(vec![7; LARGE]))
}

#[tokio::test]
async fn s4_a_full_disk_delays_what_is_under_way_refuses_what_is_new_and_loses_nothing() {
    let disk = Disk::new(true);
    let (ending, live, other) = (Bodies::default(), Bodies::default(), Bodies::default());
    let old = disk.create("old").unwrap();
    let (run, long) = (disk.create("run").unwrap(), disk.create("long").unwrap());
    let (driven, long_driven) = (drive(&run, &ending), drive(&long, &live));
    for run in [&run, &long] {
        until(run, Phase::Running).await;
        run.committed().await.unwrap();
    }
    disk.fills();
    ending.end(1);
    disk.stalls().await;

    // Every entry says the same.
    let child = ActionName::new("c").unwrap();
    let spec = || ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") };
    assert_refused("create", disk.create("new"));
    assert_refused("enqueue", long.enqueue(child, spec(), Bytes::new()));
    assert_refused("step", long.record_step(child, a_step(&long)).await);
    assert_refused("signal", long.signal(child, "ann", None, Bytes::new()).await);
    assert_refused("probe", disk.engine.probe());
    assert_refused("read what is not safe", run.payloads(&ActionName::ROOT).await);
    assert_eq!(disk.engine.run_row(&id("new")).unwrap(), None);
    assert!(long.action(&child).is_none(), "what was refused is not there");
    // What is safe is read.
    assert_eq!(old.payloads(&ActionName::ROOT).await.unwrap().0, Some(Bytes::from(vec![7; 1])));
    // What was accepted before begins later.
    let waiting = drive(&old, &other);
    // What fills the disk can be ended, although it cannot be said to be safe.
    assert_refused("abort", long.abort(ActionName::ROOT, "ann", "it fills the disk").await);
    until(&long, Phase::Aborted).await;
    tokio::time::sleep(2 * RETRY).await;
    assert!(!driven.is_finished() && !long_driven.is_finished(), "nobody is told what is not safe");
    assert_eq!(other.began.load(Ordering::SeqCst), 0, "nothing new begins");

    disk.has_room();
    assert_eq!(soon(driven).await.unwrap().unwrap(), large());
    let aborted = soon(long_driven).await.unwrap().unwrap();
    assert_eq!(aborted, Outcome::Aborted { by: "ann".to_owned(), reason: "it fills the disk".to_owned() });
    other.end(1);
    assert_eq!(soon(waiting).await.unwrap().unwrap(), large());
    let new = disk.create("new").unwrap();
    assert!(new.enqueue(child, spec(), Bytes::new()).unwrap());
    disk.engine.probe().unwrap();
    assert_eq!(ending.began.load(Ordering::SeqCst), 1);

    // All of it is on the disk.
    disk.engine.flush().await.unwrap();
    let phases: Vec<_> = disk
        .store
        .runs(&RunQuery::newest(9))
        .unwrap()
        .into_iter()
        .map(|(_, row)| (row.id.name.to_string(), row.phase))
        .collect();
    let expected =
        [("new", Phase::Queued), ("long", Phase::Aborted), ("run", Phase::Succeeded), ("old", Phase::Succeeded)];
    assert_eq!(phases, expected.map(|(name, phase)| (name.to_owned(), phase)));
}

/// Ends at once, and shows what it was given.
struct Echo;

impl Executor for Echo {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(async move { Report::Succeeded(attempt.inputs) })
    }
}

/// What is in hand is told from what is stored by being something else.
#[tokio::test]
async fn s4_who_waits_for_room_keeps_no_large_inputs() {
    let disk = Disk::new(true);
    let (full, run) = (disk.create("full").unwrap(), disk.create("run").unwrap());
    disk.fills();
    let spec = ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") };
    full.enqueue(ActionName::new("c").unwrap(), spec, Bytes::from(vec![7; LARGE])).unwrap();
    assert_refused("commit", full.committed().await);
    let call = Call { action: ActionName::ROOT, inputs: Some(Bytes::from(vec![8; LARGE])), caller: None };
    let driven = tokio::spawn(async move { run.drive(call, &Echo).await });
    // It looks at the disk when it is polled for the first time.
    tokio::task::yield_now().await;
    disk.has_room();
    assert_eq!(soon(driven).await.unwrap().unwrap(), Outcome::Succeeded(Bytes::from(vec![7; 1])));
}

#[tokio::test]
async fn s4_what_is_being_tried_again_is_not_safe_yet() {
    let disk = Disk::new(true);
    let (run, quiet) = (disk.create("run").unwrap(), disk.create("quiet").unwrap());
    let spec = ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") };
    run.enqueue(ActionName::new("c").unwrap(), spec, Bytes::from(vec![7; LARGE])).unwrap();
    disk.fills();
    assert_refused("commit", run.committed().await);
    // The next try stands still while another connection writes.
    let other = disk.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let journal = &disk.engine.inner.journal;
    soon(async {
        while !journal.shared.lock().writing {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_refused("commit while it is tried again", run.committed().await);
    assert!(!journal.has_all_of(&run.cell));
    quiet.committed().await.expect("it has nothing new");
    other.execute_batch("ROLLBACK").unwrap();

    disk.has_room();
    soon(disk.engine.stalled().wait_for(Option::is_none)).await.unwrap();
    run.committed().await.unwrap();
    assert!(journal.has_all_of(&run.cell));
}

#[tokio::test]
async fn s4_a_run_that_met_a_full_disk_in_an_engine_that_does_not_wait_goes_on_when_it_is_resumed() {
    let disk = Disk::new(false);
    let bodies = Bodies::default();
    let run = disk.create("run").unwrap();
    let driven = drive(&run, &bodies);
    until(&run, Phase::Running).await;
    disk.fills();
    bodies.end(1);
    assert_refused("drive", soon(driven).await.unwrap());
    assert_refused("create", disk.create("new"));
    assert!(disk.engine.resume(&id("run")).unwrap().is_broken());

    disk.has_room();
    soon(disk.engine.stalled().wait_for(Option::is_none)).await.unwrap();
    disk.create("new").unwrap();
    let again = disk.engine.resume(&id("run")).unwrap();
    assert!(!again.is_broken());
    // It had ended, and what it had made was not forgotten.
    assert_eq!(soon(drive(&again, &bodies)).await.unwrap().unwrap(), large());
    assert_eq!(bodies.began.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_run_whose_events_are_refused_for_good_is_broken_off_alone_and_taken_up_from_the_journal() {
    let disk = Disk::new(true);
    let (at_fault, other) = (disk.create("at-fault").unwrap(), disk.create("other").unwrap());
    disk.takes_the_next_event_of(&at_fault);
    let child = |name: &str| ActionName::new(name).unwrap();
    let spec = || ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") };
    for run in [&at_fault, &other] {
        run.enqueue(child("c"), spec(), Bytes::new()).unwrap();
    }
    // Both in one group.
    {
        let shared = &disk.engine.inner.journal.shared;
        let mut queue = shared.lock();
        queue.add(&at_fault.cell);
        queue.add(&other.cell);
        shared.write_group(queue);
    }

    other.committed().await.unwrap();
    let refused = at_fault.committed().await.unwrap_err();
    assert!(!refused.may_pass(), "{refused:?}");
    assert!(at_fault.is_broken() && !other.is_broken());
    assert_eq!(disk.engine.stalled().borrow().clone().map(|error| error.to_string()), None);
    let again = disk.engine.resume(&id("at-fault")).unwrap();
    assert!(
        again.action(&child("c")).is_none()
            && again.action(&ActionName::ROOT).unwrap().phase() == Phase::WaitingForResources
    );
    again.enqueue(child("c"), spec(), Bytes::new()).unwrap();
    again.committed().await.unwrap();
}

#[tokio::test]
async fn a_run_that_somebody_else_has_written_to_ends_its_drivers_here_and_harms_no_other() {
    let disk = Disk::new(true);
    let (lost, other) = (disk.create("lost").unwrap(), disk.create("other").unwrap());
    let (lost_bodies, other_bodies) = (Bodies::default(), Bodies::default());
    let (lost_driven, other_driven) = (drive(&lost, &lost_bodies), drive(&other, &other_bodies));
    for run in [&lost, &other] {
        until(run, Phase::Running).await;
        run.committed().await.unwrap();
    }
    let child = ActionName::new("c").unwrap();
    let (spec, condition) = (ActionSpec::condition("approve", ActionName::ROOT), ActionName::new("approve").unwrap());
    lost.enqueue(condition, spec, Bytes::new()).unwrap();
    lost.committed().await.unwrap();
    let waiting = drive_action(&lost, condition, &lost_bodies);

    disk.takes_the_next_event_of(&lost);
    let spec = ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") };
    lost.enqueue(child, spec, Bytes::new()).unwrap();
    let refused = lost.committed().await.unwrap_err();
    assert!(matches!(&refused, Error::NotOurs(name) if name.as_str() == "lost"), "{refused:?}");
    // Whoever drives it or waits for it here is told so; its body, which never ends, is dropped.
    assert!(matches!(soon(lost_driven).await.unwrap(), Err(Error::NotOurs(_))));
    assert!(matches!(soon(waiting).await.unwrap(), Err(Error::NotOurs(_))));
    assert!(matches!(soon(lost.wait(ActionName::ROOT)).await, Err(Error::NotOurs(_))));
    assert!(lost.is_broken() && !lost.is_driven(&ActionName::ROOT));

    disk.engine.probe().unwrap();
    disk.create("new").unwrap();
    other_bodies.end(1);
    assert_eq!(soon(other_driven).await.unwrap().unwrap(), large());
    // As the journal has it: with what somebody else has written, without what was refused.
    let again = disk.engine.resume(&id("lost")).unwrap();
    assert!(!again.is_broken() && again.action(&child).is_none());
    assert_eq!(disk.engine.run_row(&id("other")).unwrap().unwrap().1.phase, Phase::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_creation_waits_for_the_disk_delays_no_other() {
    let disk = Arc::new(Disk::new(true));
    let there = disk.create("there").unwrap();
    // The next commit stands still while another connection writes.
    let other = disk.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let slow = {
        let disk = Arc::clone(&disk);
        tokio::task::spawn_blocking(move || disk.create("slow"))
    };
    soon(async {
        while !disk.engine.inner.runs.is_being_made(&id("slow")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(disk.engine.resume(&id("there")).unwrap().key(), there.key());
    assert!(matches!(disk.engine.resume(&id("unknown")), Err(Error::NotFound(_))));
    assert!(disk.engine.live_run(|_| true).is_some_and(|run| run.id() == there.id()));
    assert!(disk.engine.inner.runs.is_being_made(&id("slow")));
    other.execute_batch("ROLLBACK").unwrap();
    soon(slow).await.unwrap().unwrap();
}

#[tokio::test]
async fn s4_a_run_that_is_taken_up_again_has_its_places_once() {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let config = EngineConfig { attempts_outlive_the_process: true, waits_for_room: true, ..config };
    let disk = Disk::under(EngineConfig { limits: spanwise_core::admission::Limits::of_slots(Some(2)), ..config });
    let bodies = Bodies::default();
    let mut run = disk.create("run").unwrap();
    for round in 0..3 {
        let driven = drive(&run, &bodies);
        until(&run, Phase::Running).await;
        run.committed().await.unwrap();
        // Its attempt stays under way.
        driven.abort();
        assert!(soon(driven).await.is_err());
        disk.takes_the_next_event_of(&run);
        let step = ActionName::new(&format!("s{round}")).unwrap();
        assert!(!run.record_step(step, a_step(&run)).await.unwrap_err().may_pass());
        let broken = std::mem::replace(&mut run, disk.engine.resume(&id("run")).unwrap());
        assert!(broken.is_broken() && !run.is_broken());
        if round == 0 {
            // Whatever is done with what is left of it counts for nothing.
            assert!(broken.abort(ActionName::ROOT, "ann", "late").await.is_err());
        }
    }
    let other = disk.create("other").unwrap();
    let driven = [drive(&run, &bodies), drive(&other, &bodies)];
    until(&other, Phase::Running).await;
    let third = disk.create("third").unwrap();
    let waiting = drive(&third, &bodies);
    until(&third, Phase::WaitingForResources).await;
    // Told at once: which of the two hears it first is not theirs to choose.
    bodies.end(2);
    for body in driven {
        soon(body).await.unwrap().unwrap();
    }
    bodies.end(1);
    assert_eq!(soon(waiting).await.unwrap().unwrap(), large());
}
