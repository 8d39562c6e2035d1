//! Notifications to receivers that take them, fail, hang and come back, and of a process that goes away in between.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use spanwise_core::{ActionSpec, Command, RunId, RunName};
use spanwise_store::{Durability, Payloads, Retention};

use super::*;
use crate::engine::{EngineConfig, Storage};
use crate::{NewRun, RunHandle, RunSettings};

const LIMITS: NotificationLimits = NotificationLimits {
    first_pause: Duration::from_millis(2),
    longest_pause: Duration::from_millis(20),
    patience: Duration::from_secs(600),
};

/// Receivers by their names: those that are down refuse, those that hang never answer.
#[derive(Default)]
struct Receivers {
    down: Mutex<HashSet<&'static str>>,
    hanging: Mutex<HashSet<&'static str>>,
    /// What was tried, and what was taken: run and rule.
    tried: Mutex<Vec<(String, u32)>>,
    taken: Mutex<Vec<(String, u32)>>,
    said: Mutex<Vec<(String, u32, u64)>>,
    again: Mutex<Vec<(String, u32)>>,
}

/// The receiver of each rule.
const NAMES: [&str; 3] = ["a", "b", "c"];

impl Notifier for Receivers {
    fn deliver(&self, end: RunEnd) -> Pin<Box<dyn Future<Output = Result<Delivery, Undelivered>> + Send + '_>> {
        Box::pin(async move {
            let (name, of) = (NAMES[end.rule as usize], (end.run.id.name.to_string(), end.rule));
            self.tried.lock().unwrap().push(of.clone());
            if of.0.starts_with("unwanted") {
                return Ok(Delivery::Unwanted);
            }
            if of.0.starts_with("bad") {
                return Err(Undelivered { text: "400".to_owned(), fault: Fault::Message });
            }
            if self.hanging.lock().unwrap().contains(name) {
                std::future::pending::<()>().await;
            }
            if self.down.lock().unwrap().contains(name) {
                return Err(Undelivered { text: "refused".to_owned(), fault: Fault::Receiver });
            }
            self.taken.lock().unwrap().push(of);
            Ok(Delivery::Delivered)
        })
    }

    fn failed(&self, failed: &Failed<'_>) {
        self.said.lock().unwrap().push((failed.receiver.to_owned(), failed.failures, failed.given_up));
    }

    fn takes_again(&self, receiver: &str, failures: u32) {
        self.again.lock().unwrap().push((receiver.to_owned(), failures));
    }
}

impl Receivers {
    fn taken(&self) -> Vec<(String, u32)> {
        let mut taken = self.taken.lock().unwrap().clone();
        taken.sort();
        taken
    }
}

fn memory() -> Engine {
    Engine::open(EngineConfig::embedded(Storage::Memory, Retention::default())).unwrap()
}

/// As soon as whoever had the directory before has gone.
async fn on_disk(path: &Path) -> Engine {
    let storage = Storage::Directory { path: path.to_owned(), durability: Durability::Process };
    let config = EngineConfig::embedded(storage, Retention::default());
    let open = async {
        loop {
            match Engine::open(config.clone()) {
                Err(error) if error.is_in_use() => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => return opened.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), open).await.expect("the directory is free within half a minute")
}

fn create(engine: &Engine, name: &str, rules: &[u32]) -> RunHandle {
    create_for(engine, name, rules.iter().map(|rule| (*rule, NAMES[*rule as usize].to_owned())).collect())
}

fn create_for(engine: &Engine, name: &str, receivers: Vec<(u32, String)>) -> RunHandle {
    let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
    let id = RunId { org, project, domain, name: RunName::new(name).unwrap() };
    let settings = RunSettings { receivers, ..RunSettings::default() };
    let (spec, inputs) = (ActionSpec::task("env.main"), Bytes::new());
    engine.create_run(NewRun { id, spec, inputs, settings, definitions: Vec::new() }).unwrap()
}

async fn end(run: &RunHandle) {
    let abort = Command::Abort { action: ActionName::ROOT, by: "ann".to_owned(), reason: "enough".to_owned() };
    run.cell.command(&abort, run.now(), Payloads::default()).unwrap();
    run.committed().await.unwrap();
}

async fn ended(engine: &Engine, name: &str, rules: &[u32]) -> RunHandle {
    let run = create(engine, name, rules);
    end(&run).await;
    run
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("not within 30 s: {what}"));
}

async fn states(run: &RunHandle) -> Vec<NotificationState> {
    run.notifications().await.unwrap().iter().map(|row| row.state).collect()
}

fn of(name: &str, rule: u32) -> (String, u32) {
    (name.to_owned(), rule)
}

#[tokio::test]
async fn s13_each_end_is_told_once_to_each_receiver_that_wants_it() {
    let (engine, receivers) = (memory(), Arc::new(Receivers::default()));
    // Before anybody notifies, and after; one goes on.
    let early = ended(&engine, "early", &[0, 1]).await;
    let _notifications = engine.notify(receivers.clone(), LIMITS);
    let (late, live) = (create(&engine, "late", &[0]), create(&engine, "live", &[0]));
    let unwanted = ended(&engine, "unwanted", &[2]).await;
    end(&late).await;
    until("all are told", async || receivers.taken().len() == 3).await;
    assert_eq!(receivers.taken(), [of("early", 0), of("early", 1), of("late", 0)]);
    until("it is noted", async || states(&unwanted).await == [NotificationState::Unwanted]).await;
    until("it is noted", async || states(&early).await == [NotificationState::Delivered; 2]).await;
    assert_eq!(states(&live).await, [NotificationState::Waiting]);
    assert_eq!(engine.troubled_notifications("", "", 10).unwrap().len(), 0);
}

#[tokio::test]
async fn s13_5_the_end_of_a_run_that_notifies_nobody_wakes_nobody() {
    let engine = memory();
    ended(&engine, "quiet", &[]).await;
    let woken = || tokio::time::timeout(Duration::from_millis(50), engine.inner.ended.notified());
    assert!(woken().await.is_err());
    ended(&engine, "loud", &[0]).await;
    assert!(woken().await.is_ok());
}

#[tokio::test]
async fn s13_a_receiver_that_is_away_or_hangs_disturbs_no_other_and_gets_everything_once_it_is_back() {
    let (engine, receivers) = (memory(), Arc::new(Receivers::default()));
    receivers.down.lock().unwrap().insert("a");
    receivers.hanging.lock().unwrap().insert("b");
    let _notifications = engine.notify(receivers.clone(), LIMITS);
    let mut runs = Vec::new();
    for number in 0..20 {
        runs.push(ended(&engine, &format!("run-{number:02}"), &[0, 1, 2]).await);
    }
    until("the third has all", async || receivers.taken().len() == 20).await;
    until("the first was tried again and again", async || receivers.said.lock().unwrap().len() > 3).await;
    let hung = receivers.tried.lock().unwrap().iter().filter(|(_, rule)| *rule == 1).count();
    assert_eq!(hung, 1, "one at a time");
    let troubled = engine.troubled_notifications("p", "d", 100).unwrap();
    assert!(!troubled.is_empty() && troubled.iter().all(|(_, row, _)| row.receiver == "a"), "{troubled:?}");
    assert!(troubled.iter().all(|(_, row, _)| row.error.as_deref() == Some("refused")));
    receivers.down.lock().unwrap().clear();
    until("the first has all", async || receivers.taken().len() == 40).await;
    until("that it is back is said", async || !receivers.again.lock().unwrap().is_empty()).await;
    until("all of it is noted", async || engine.troubled_notifications("", "", 100).unwrap().is_empty()).await;
    let taken = receivers.taken();
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 40, "each once: {taken:?}");
}

#[tokio::test]
async fn s13_a_message_that_is_refused_holds_up_no_other_of_its_receiver() {
    let (engine, receivers) = (memory(), Arc::new(Receivers::default()));
    let bad = ended(&engine, "bad", &[0]).await;
    let good = ended(&engine, "good", &[0]).await;
    let _notifications = engine.notify(receivers.clone(), LIMITS);
    until("the good one is there", async || states(&good).await == [NotificationState::Delivered]).await;
    until("the bad one is tried again", async || bad.notifications().await.unwrap()[0].tries > 2).await;
    let row = bad.notifications().await.unwrap().remove(0);
    assert_eq!((row.state, row.error.as_deref()), (NotificationState::Waiting, Some("400")));
}

#[tokio::test]
async fn s13_what_fails_for_too_long_is_given_up_with_what_waits_behind_it() {
    let (engine, receivers) = (memory(), Arc::new(Receivers::default()));
    receivers.down.lock().unwrap().insert("a");
    let runs = [ended(&engine, "one", &[0]).await, ended(&engine, "two", &[0]).await];
    let other = create(&engine, "other", &[0]);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let limits = NotificationLimits { patience: Duration::ZERO, ..LIMITS };
    let _notifications = engine.notify(receivers.clone(), limits);
    for run in &runs {
        until("it is given up", async || states(run).await == [NotificationState::GivenUp]).await;
    }
    until("it is said", async || !receivers.said.lock().unwrap().is_empty()).await;
    assert_eq!(receivers.said.lock().unwrap()[0], ("a".to_owned(), 1, 2));
    assert_eq!(receivers.tried.lock().unwrap().len(), 1);
    assert_eq!(states(&other).await, [NotificationState::Waiting]);
    assert_eq!(engine.troubled_notifications("", "", 10).unwrap()[0].2, 2);
}

#[tokio::test]
async fn s13_a_process_that_goes_away_skips_nothing_and_repeats_nothing_that_was_noted() {
    let directory = tempfile::tempdir().unwrap();
    let first = Arc::new(Receivers::default());
    first.hanging.lock().unwrap().insert("b");
    {
        let engine = on_disk(directory.path()).await;
        let notifications = engine.notify(first.clone(), LIMITS);
        let run = ended(&engine, "one", &[0, 1]).await;
        until("one is noted", async || states(&run).await[0] == NotificationState::Delivered).await;
        until("the other is on its way", async || first.tried.lock().unwrap().len() == 2).await;
        drop(notifications);
        // Nobody notifies when this one ends.
        ended(&engine, "two", &[0]).await;
    }
    let (engine, second) = (on_disk(directory.path()).await, Arc::new(Receivers::default()));
    let notifications = engine.notify(second.clone(), LIMITS);
    until("what was left is told", async || second.taken().len() == 2).await;
    notifications.finish(Duration::from_secs(10)).await;
    assert_eq!(second.taken(), [of("one", 1), of("two", 0)]);
    let tried = second.tried.lock().unwrap().clone();
    assert_eq!(tried.len(), 2, "{tried:?}");
}

/// Many receivers, some of which take nothing: at first they say so, then they hang. Their names end with their host.
#[derive(Default)]
struct Crowd {
    hangs: Mutex<bool>,
    tried: Mutex<Vec<u32>>,
    taken: Mutex<usize>,
}

/// The number of the rule of the receiver that takes everything.
const ALIVE: u32 = 20;

impl Notifier for Crowd {
    fn deliver(&self, end: RunEnd) -> Pin<Box<dyn Future<Output = Result<Delivery, Undelivered>> + Send + '_>> {
        Box::pin(async move {
            if end.rule == ALIVE {
                *self.taken.lock().unwrap() += 1;
                return Ok(Delivery::Delivered);
            }
            self.tried.lock().unwrap().push(end.rule);
            if *self.hangs.lock().unwrap() {
                std::future::pending::<()>().await;
            }
            Err(Undelivered { text: "refused".to_owned(), fault: Fault::Receiver })
        })
    }

    fn host(&self, receiver: &str) -> String {
        receiver.split_once('@').map_or(receiver, |(_, host)| host).to_owned()
    }
}

#[tokio::test]
async fn s13_3_receivers_that_hang_leave_room_for_others_whether_they_share_a_host_or_not() {
    for is_shared in [true, false] {
        let (engine, crowd) = (memory(), Arc::new(Crowd::default()));
        // Those of one host may hang at once: they have two of the lanes.
        *crowd.hangs.lock().unwrap() = is_shared;
        let name = |rule: u32| if is_shared { format!("{rule}@dead") } else { format!("me@dead-{rule}") };
        let dead = create_for(&engine, "dead", (0..12).map(|rule| (rule, name(rule))).collect());
        end(&dead).await;
        let _notifications = engine.notify(crowd.clone(), LIMITS);
        let wanted = if is_shared { 2 } else { 12 };
        until("those that take nothing are tried", async || crowd.tried.lock().unwrap().len() >= wanted).await;
        *crowd.hangs.lock().unwrap() = true;
        for number in 0..3 {
            let run = create_for(&engine, &format!("run-{number}"), vec![(ALIVE, "me@alive".to_owned())]);
            end(&run).await;
        }
        until("the one that takes them has all", async || *crowd.taken.lock().unwrap() == 3).await;
        assert!(!is_shared || crowd.tried.lock().unwrap().len() == 2, "{:?}", crowd.tried.lock().unwrap());
    }
}
