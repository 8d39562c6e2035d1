//! Places of the whole engine: the limit, turns, parents that wait, withdrawals, and a stress of it all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::lifecycle::{RunTrace, TraceLevel};
use spanwise_core::{ActionName, ActionSpec, AttemptNo, CachePolicy, Fact, Phase, RetryPolicy, Timeouts, Wait};
use spanwise_engine::{
    Attempt, Busy, Call, Engine, EngineConfig, Limits, NewRun, Outcome, QueueLimits, Report, Retention, RunHandle,
    RunOptions, RunSettings, ShortPool, Storage, WaitsFor,
};
use tokio::task::JoinSet;

use crate::stage::*;
use crate::{Body, Run, main_task, new_run};

fn limited(max_attempts: u32) -> Engine {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    Engine::open(EngineConfig { limits: Limits::of_slots(Some(max_attempts)), ..config }).unwrap()
}

fn is_held(action: &spanwise_core::Action) -> bool {
    action.phase() == Phase::WaitingForResources
}

#[tokio::test]
async fn s4_no_more_attempts_than_places_and_runs_take_turns() {
    let (engine, stage) = (limited(2), Stage::new());
    let (a, _a) = begin(&engine, "a", main_task(), stage.clone());
    let (b, _b) = begin(&engine, "b", main_task(), stage.clone());
    stage.began(2).await;
    let mut driven = Vec::new();
    // The roots give up their places for their children.
    for (run, action) in [(&a, "a1"), (&b, "b1"), (&a, "a2"), (&a, "a3"), (&a, "a4"), (&b, "b2"), (&b, "b3")] {
        driven.push(start(run, action, child(), stage.clone()));
        if driven.len() > 2 {
            until(run, action, is_held).await;
        } else {
            stage.began(2 + driven.len()).await;
        }
    }
    for (ended, began) in ["a/a1", "a/a2", "b/b2", "a/a3", "b/b3"].into_iter().zip(5..) {
        assert_eq!(stage.began(began - 1).await.len(), began - 1, "nobody before there is a place");
        stage.succeeds(ended);
        stage.began(began).await;
    }
    let order = ["a/a0#1", "b/a0#1", "a/a1#1", "b/b1#1", "a/a2#1", "b/b2#1", "a/a3#1", "b/b3#1", "a/a4#1"];
    assert_eq!(stage.began(9).await, order);
    stage.succeed(&["b/b1", "a/a4"]);
    for driven in driven {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

#[tokio::test]
async fn s4_a_parent_that_resumes_needs_no_place_but_counts() {
    let (engine, stage) = (limited(1), Stage::new());
    let (a, a_driven) = begin(&engine, "a", main_task(), stage.clone());
    stage.began(1).await;
    a.enqueue(name("ok"), ActionSpec::condition("approve", ActionName::ROOT), Bytes::new()).unwrap();
    let (_b, b_driven) = begin(&engine, "b", main_task(), stage.clone());
    stage.began(2).await;
    // Two go on with one place from here.
    a.signal(name("ok"), "ann", None, Bytes::new()).await.unwrap();
    let (c, c_driven) = begin(&engine, "c", main_task(), stage.clone());
    until(&c, "a0", is_held).await;
    stage.succeeds("b/a0");
    soon(b_driven).await.unwrap().unwrap();
    // Its place was one too many: `c` still waits.
    let (d, d_driven) = begin(&engine, "d", main_task(), stage.clone());
    until(&d, "a0", is_held).await;
    assert_eq!(c.action(&ActionName::ROOT).unwrap().phase(), Phase::WaitingForResources);
    for (who, driven) in [("a/a0", a_driven), ("c/a0", c_driven), ("d/a0", d_driven)] {
        stage.succeeds(who);
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
    assert_eq!(stage.began(4).await, ["a/a0#1", "b/a0#1", "c/a0#1", "d/a0#1"]);
}

#[tokio::test]
async fn s4_who_waits_for_a_place_can_be_aborted_withdrawn_and_timed_out() {
    let (engine, stage) = (limited(1), Stage::new());
    let (_a, a_driven) = begin(&engine, "a", main_task(), stage.clone());
    stage.began(1).await;
    let (aborted, aborted_driven) = begin(&engine, "aborted", main_task(), stage.clone());
    until(&aborted, "a0", is_held).await;
    let (dropped, dropped_driven) = begin(&engine, "dropped", main_task(), stage.clone());
    until(&dropped, "a0", is_held).await;
    let timeouts = Timeouts { max_queued_time: Some(Duration::from_millis(5)), ..Timeouts::default() };
    let (_late, late_driven) = begin(&engine, "late", ActionSpec { timeouts, ..main_task() }, stage.clone());
    assert!(matches!(soon(late_driven).await.unwrap().unwrap(), Outcome::TimedOut(_)));
    let (last, last_driven) = begin(&engine, "last", main_task(), stage.clone());
    until(&last, "a0", is_held).await;
    aborted.abort(ActionName::ROOT, "ann", "enough").await.unwrap();
    assert!(matches!(soon(aborted_driven).await.unwrap().unwrap(), Outcome::Aborted { .. }));
    dropped_driven.abort();
    assert!(soon(dropped_driven).await.is_err());
    stage.succeed(&["a/a0", "last/a0"]);
    soon(a_driven).await.unwrap().unwrap();
    assert_eq!(soon(last_driven).await.unwrap().unwrap(), succeeded());
    assert_eq!(stage.began(2).await, ["a/a0#1", "last/a0#1"]);
    // Whoever was dropped is still there for the next driver.
    stage.succeeds("dropped/a0");
    assert_eq!(soon(drive(&dropped, "a0", stage.clone())).await.unwrap().unwrap(), succeeded());
}

#[tokio::test]
async fn s4_a_place_is_not_kept_by_an_action_whose_run_lets_others_first() {
    let (engine, stage) = (limited(1), Stage::new());
    let settings = RunSettings {
        options: RunOptions { max_action_concurrency: Some(2), ..RunOptions::default() },
        ..RunSettings::default()
    };
    let (a, _a) = begin_with(&engine, NewRun { settings, ..new_run("a", main_task()) }, stage.clone());
    stage.began(1).await;
    for action in ["first", "second", "third"] {
        a.enqueue(name(action), child(), Bytes::new()).unwrap();
    }
    let (_b, b_driven) = begin(&engine, "b", main_task(), stage.clone());
    stage.began(2).await;
    // Driven the other way round: the third one asked for a place when its run had nobody else to offer.
    let third = drive(&a, "third", stage.clone());
    until(&a, "third", is_held).await;
    let (first, second) = (drive(&a, "first", stage.clone()), drive(&a, "second", stage.clone()));
    until(&a, "first", is_held).await;
    until(&a, "second", is_held).await;
    stage.succeed(&["a/first", "a/second", "a/third", "b/a0"]);
    for driven in [b_driven, first, second, third] {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

#[tokio::test]
async fn s4_a_pause_before_the_next_attempt_takes_up_no_place() {
    let (engine, stage) = (limited(1), Stage::new());
    let backoff = Some(spanwise_core::Backoff::constant(Duration::from_secs(3600)));
    let spec = ActionSpec { retry: RetryPolicy { retries: 1, backoff }, ..main_task() };
    let (a, _a) = begin(&engine, "a", spec, stage.clone());
    stage.began(1).await;
    let (_b, b_driven) = begin(&engine, "b", main_task(), stage.clone());
    stage.succeeds("b/a0");
    stage.ends("a/a0", broken());
    assert_eq!(soon(b_driven).await.unwrap().unwrap(), succeeded());
    assert_eq!(a.action(&ActionName::ROOT).unwrap().attempts, 1);
}

#[tokio::test]
async fn s4_a_wait_that_timed_out_and_pauses_is_not_in_line() {
    let (engine, stage) = (limited(1), Stage::new());
    let (_a, a_driven) = begin(&engine, "a", main_task(), stage.clone());
    stage.began(1).await;
    let backoff = Some(spanwise_core::Backoff::constant(Duration::from_secs(3600)));
    let timeouts = Timeouts { max_queued_time: Some(Duration::from_millis(5)), ..Timeouts::default() };
    let spec = ActionSpec { retry: RetryPolicy { retries: 1, backoff }, timeouts, ..main_task() };
    let (b, _b) = begin(&engine, "b", spec, stage.clone());
    until(&b, "a0", |root| root.failures == 1).await;
    let (c, c_driven) = begin(&engine, "c", main_task(), stage.clone());
    until(&c, "a0", is_held).await;
    stage.succeed(&["a/a0", "c/a0"]);
    for driven in [a_driven, c_driven] {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

#[tokio::test]
async fn a_limit_of_zero_is_no_limit() {
    let (_run, driven) = begin(&limited(0), "a", main_task(), Run(|_| Box::pin(async { ok() }) as Body));
    assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
}

const PLACES: usize = 6;

/// The bodies of a stress: parents drive a hundred children each, and the children say how many of them are under way.
struct Crowd {
    children: usize,
    under_way: Mutex<Vec<(RunHandle, ActionName)>>,
    peak: AtomicUsize,
    ended: AtomicUsize,
}

impl Crowd {
    fn executor(self: &Arc<Crowd>) -> Run<impl Fn(Attempt) -> Body + Send + Sync + use<>> {
        let crowd = Arc::clone(self);
        Run(move |attempt: Attempt| {
            let crowd = Arc::clone(&crowd);
            if attempt.scope.action.is_root() {
                Box::pin(async move { crowd.parent(attempt.run).await }) as Body
            } else {
                Box::pin(async move { crowd.child(attempt).await })
            }
        })
    }

    async fn parent(self: Arc<Crowd>, run: RunHandle) -> Report {
        let mut drivers = JoinSet::new();
        let mut dropped = Vec::new();
        for index in 0..self.children {
            let action = name(&format!("c{index}"));
            let key = format!("k{}", index % 12);
            let policy = CachePolicy { key, overwrite: index % 8 == 0, serialize: true, max_age_seconds: None };
            let spec = ActionSpec { cache: (index % 4 == 0).then_some(policy), ..child() };
            run.enqueue(action, spec, Bytes::new()).unwrap();
            let (driver, crowd) = (run.clone(), Arc::clone(&self));
            let driver = drivers.spawn(async move {
                let call = Call { action, inputs: None, caller: None };
                driver.drive(call, &crowd.executor()).await.unwrap();
                crowd.ended.fetch_add(1, Ordering::SeqCst);
            });
            match index % 10 {
                3 => drop(tokio::spawn({
                    let run = run.clone();
                    async move { run.abort(action, "ann", "enough").await }
                })),
                7 => dropped.push(driver),
                _ => {}
            }
            if index % 5 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for driver in dropped {
            tokio::task::yield_now().await;
            driver.abort();
        }
        while drivers.join_next().await.is_some() {}
        ok()
    }

    async fn child(self: Arc<Crowd>, attempt: Attempt) -> Report {
        let me = (attempt.run, attempt.scope.action);
        let now = {
            let mut all = self.under_way.lock().unwrap();
            // A body that was aborted or dropped may not know it yet; its attempt is over all the same.
            all.push(me);
            all.retain(|(run, action)| run.action(action).is_some_and(|action| action.occupies_slot()));
            all.len()
        };
        self.peak.fetch_max(now, Ordering::SeqCst);
        for _ in 0..now % 4 {
            tokio::task::yield_now().await;
        }
        ok()
    }
}

/// Two thousand actions of twenty runs, half of them with limits of their own, some after the same keys of the cache, with
/// aborts and dropped drivers in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_a_crowd_gets_its_places_and_never_more_than_there_are() {
    let engine = limited(PLACES as u32);
    let (under_way, peak, ended) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
    let crowd = Arc::new(Crowd { children: 100, under_way, peak, ended });
    let runs = (0..20).map(|index| {
        let max_action_concurrency = (index % 2 == 0).then_some(3);
        let settings = RunSettings {
            options: RunOptions { max_action_concurrency, ..RunOptions::default() },
            ..RunSettings::default()
        };
        let new = NewRun { settings, ..new_run(&format!("run-{index}"), main_task()) };
        begin_with(&engine, new, crowd.executor())
    });
    for (run, driven) in runs.collect::<Vec<_>>() {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
        assert!(run.actions().iter().all(|row| row.phase.is_terminal()));
    }
    let (peak, ended) = (crowd.peak.load(Ordering::SeqCst), crowd.ended.load(Ordering::SeqCst));
    assert!(peak <= PLACES, "{peak} at one time");
    assert!(ended >= 20 * 90, "{ended} were driven to their end");
    // Every place is there again.
    let stage = Stage::new();
    let all = (0..PLACES).map(|index| begin(&engine, &format!("last-{index}"), main_task(), stage.clone()));
    let all: Vec<_> = all.collect();
    stage.began(PLACES).await;
    let (one_more, _driven) = begin(&engine, "one-more", main_task(), stage.clone());
    until(&one_more, "a0", is_held).await;
    drop(all);
}

#[tokio::test]
async fn s4_whoever_waits_outside_of_its_run_gives_its_place_to_another() {
    let (engine, stage) = (limited(1), Stage::new());
    let (a, a_driven) = begin(&engine, "a", main_task(), stage.clone());
    stage.began(1).await;
    let (b, b_driven) = begin(&engine, "b", main_task(), stage.clone());
    until(&b, "a0", is_held).await;
    let busy = |run: &RunHandle| WaitsFor::Slot(Busy { limit: 1, who: vec![(run.id().clone(), ActionName::ROOT)] });
    assert_eq!(b.waits_for(&ActionName::ROOT), Some(busy(&a)));
    let waits = a.wait_outside(ActionName::ROOT, AttemptNo(1));
    stage.began(2).await;
    assert_eq!(b.waits_for(&ActionName::ROOT), None);
    let (c, c_driven) = begin(&engine, "c", main_task(), stage.clone());
    until(&c, "a0", is_held).await;
    assert_eq!(c.waits_for(&ActionName::ROOT), Some(busy(&b)));
    // Another wait of the same attempt, and one of an attempt that is not under way, change nothing.
    drop((a.wait_outside(ActionName::ROOT, AttemptNo(1)), b.wait_outside(ActionName::ROOT, AttemptNo(7))));
    assert_eq!(c.waits_for(&ActionName::ROOT), Some(busy(&b)));
    drop(waits);
    stage.succeeds("b/a0");
    soon(b_driven).await.unwrap().unwrap();
    // The place of `a` was one too many.
    assert_eq!(c.waits_for(&ActionName::ROOT), Some(busy(&a)));
    stage.succeed(&["a/a0", "c/a0"]);
    for driven in [a_driven, c_driven] {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

#[tokio::test]
async fn s7_a_limit_of_the_run_names_who_has_its_places() {
    let (engine, stage) = (limited(10), Stage::new());
    let settings = RunSettings {
        options: RunOptions { max_action_concurrency: Some(2), ..RunOptions::default() },
        ..RunSettings::default()
    };
    let (a, _root) = begin_with(&engine, NewRun { settings, ..new_run("a", main_task()) }, stage.clone());
    stage.began(1).await;
    let children = ["a1", "a2", "a3"].map(|action| start(&a, action, child(), stage.clone()));
    stage.began(3).await;
    until(&a, "a3", is_held).await;
    let who = ["a1", "a2"].map(|action| (a.id().clone(), name(action))).to_vec();
    assert_eq!(a.waits_for(&name("a3")), Some(WaitsFor::SlotOfRun(Busy { limit: 2, who })));
    assert_eq!(a.waits_for(&name("a1")), None);
    let waits = a.wait_outside(name("a1"), AttemptNo(1));
    stage.began(4).await;
    drop(waits);
    stage.succeed(&["a/a1", "a/a2", "a/a3"]);
    for driven in children {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

fn in_queue(queue: &str) -> ActionSpec {
    ActionSpec { queue: Some(queue.into()), ..main_task() }
}

fn with_queues(queues: &[(&str, QueueLimits)]) -> Limits {
    let queues = queues.iter().map(|(name, limits)| ((*name).to_owned(), *limits)).collect();
    Limits { queues, ..Limits::of_slots(Some(4)) }
}

#[tokio::test]
async fn s14_4_what_waits_for_a_full_queue_names_it_and_links_to_who_has_it() {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let narrow = QueueLimits { concurrency: Some(1), ..QueueLimits::default() };
    let engine = Engine::open(EngineConfig { limits: with_queues(&[("gpu", narrow)]), ..config }).unwrap();
    let stage = Stage::new();
    let traced = |name: &str| {
        let trace = RunTrace { level: TraceLevel::Lifecycle, sampled: true, ..RunTrace::default() };
        NewRun { settings: RunSettings { trace, ..RunSettings::default() }, ..new_run(name, in_queue("gpu")) }
    };
    let (a, a_driven) = begin_with(&engine, traced("a"), stage.clone());
    stage.began(1).await;
    let (b, b_driven) = begin_with(&engine, traced("b"), stage.clone());
    until(&b, "a0", is_held).await;
    let who = vec![(a.id().clone(), ActionName::ROOT)];
    let short = ShortPool { pool: "gpu 1 of 1".to_owned(), who, count: Some(1) };
    assert_eq!(b.waits_for(&ActionName::ROOT), Some(WaitsFor::Pool(short)));
    // Other queues have room.
    let (c, c_driven) = begin(&engine, "c", main_task(), stage.clone());
    stage.began(2).await;
    let events = b.events_of(&ActionName::ROOT).await.unwrap();
    let waits = events.iter().find_map(|event| match &event.fact {
        Fact::WaitsForSlot { wait } => wait.clone(),
        _ => None,
    });
    let holders = vec![a.attempt_span(&ActionName::ROOT, AttemptNo(1)).unwrap()];
    assert_eq!(waits, Some(Wait { pool: "gpu 1 of 1".to_owned(), holders, actions: Vec::new() }));
    drop(c);
    stage.succeed(&["a/a0", "b/a0", "c/a0"]);
    for driven in [a_driven, b_driven, c_driven] {
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

/// A name that is taken is told, whether or not its queue is full, and takes no place in it.
#[tokio::test]
async fn s14_5_a_run_that_is_not_created_takes_no_place_in_its_queue() {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let shallow = QueueLimits { concurrency: Some(1), depth: Some(2), ..QueueLimits::default() };
    let engine = Engine::open(EngineConfig { limits: with_queues(&[("q", shallow)]), ..config }).unwrap();
    let stage = Stage::new();
    let mut driven = vec![begin(&engine, "a", in_queue("q"), stage.clone())];
    stage.began(1).await;
    driven.push(begin(&engine, "b", in_queue("q"), stage.clone()));
    let again = |name: &str| engine.create_run(new_run(name, in_queue("q"))).unwrap_err().to_string();
    for _ in 0..3 {
        assert_eq!((again("a").as_str(), again("b").as_str()), ("run `a` already exists", "run `b` already exists"));
    }
    driven.push(begin(&engine, "c", in_queue("q"), stage.clone()));
    assert_eq!(again("b"), "run `b` already exists");
    assert!(again("d").contains("queue `q` is full: 2 wait"), "{}", again("d"));
    for ((_run, driven), who) in driven.into_iter().zip(["a/a0", "b/a0", "c/a0"]) {
        stage.succeeds(who);
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
}

#[tokio::test]
async fn s14_5_a_full_queue_refuses_what_is_new_and_nobody_waits_for_ever_because_of_that() {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let shallow = QueueLimits { concurrency: Some(1), depth: Some(1), ..QueueLimits::default() };
    let engine = Engine::open(EngineConfig { limits: with_queues(&[("q", shallow)]), ..config }).unwrap();
    let stage = Stage::new();
    let (a, a_driven) = begin(&engine, "a", in_queue("q"), stage.clone());
    stage.began(1).await;
    let (b, b_driven) = begin(&engine, "b", in_queue("q"), stage.clone());
    until(&b, "a0", is_held).await;
    let refused = engine.create_run(new_run("c", in_queue("q"))).unwrap_err();
    assert!(refused.to_string().contains("queue `q` is full"), "{refused}");
    // The name of a run that was refused is free, and another queue takes it.
    let (c, c_driven) = begin(&engine, "c", main_task(), stage.clone());
    stage.began(2).await;
    // `a` waits for its child and gives its slot to `b`: a child that was refused would keep it for ever.
    let spec = ActionSpec { parent: Some(ActionName::ROOT), ..in_queue("q") };
    let first = start(&a, "a1", spec.clone(), stage.clone());
    stage.began(3).await;
    // It has something to wait for: the next is refused until there is room.
    let refused = a.enqueue(name("a2"), spec.clone(), Bytes::new()).unwrap_err();
    assert!(refused.to_string().contains("`a2` is not accepted: queue `q` is full"), "{refused}");
    assert!(a.action(&name("a2")).is_none());
    stage.succeeds("b/a0");
    soon(b_driven).await.unwrap().unwrap();
    stage.began(4).await;
    let second = start(&a, "a2", spec, stage.clone());
    for (ended, driven) in [("a/a1", first), ("a/a2", second), ("a/a0", a_driven), ("c/a0", c_driven)] {
        stage.succeeds(ended);
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    }
    drop((b, c));
}
