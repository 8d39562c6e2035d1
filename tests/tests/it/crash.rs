//! Durability: what was acknowledged survives `kill -9`, and is not done again.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, SystemTime};

use crate::journal;
use crate::log;
use crate::workload::{Process, RESULT, Workload, text};

const KILL_POINTS: usize = 50;

/// Runs that are killed several times.
const UNLUCKY_RUNS: usize = 5;

/// A run that goes on after a kill does so at once; this is far above what a busy machine needs.
const RECOVERY_LIMIT: Duration = Duration::from_secs(2);

/// Pseudo-random numbers (SplitMix64): with its seed a failure can be looked at again, as far as time permits.
pub(crate) struct Random(u64);

impl Random {
    /// The seed is printed, which shows when a test fails.
    pub(crate) fn from_environment() -> Random {
        let given = std::env::var("SPANWISE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("SPANWISE_SEED={seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn up_to(&mut self, limit: Duration) -> Duration {
        Duration::from_micros(self.next() % limit.as_micros().max(1) as u64)
    }
}

/// One run with everything that happens to it.
#[derive(Default)]
struct Story {
    workload: Workload,
    /// The length of the log at each kill.
    kills: Vec<usize>,
    /// From the start of each process after a kill to the first body that began in it.
    recoveries: Vec<Duration>,
}

impl Story {
    /// Kills the process and looks at what it leaves; false if it had ended by itself.
    fn kill(&mut self, mut process: Process) -> bool {
        let killed = process.kill().signal() == Some(9);
        self.note_recovery(process.started);
        let lines = self.workload.log();
        let acked = log::acked(&lines).len();
        let safe = journal::inspect(&self.workload.data()).map_or(0, |journal| journal.succeeded());
        assert!(safe >= acked, "{acked} outcomes were acknowledged, the journal has {safe}");
        if killed {
            self.kills.push(lines.len());
        }
        killed
    }

    fn note_recovery(&mut self, started: SystemTime) {
        let Some(last) = self.kills.last() else { return };
        let began = log::first_begin_after(&self.workload.log(), *last);
        self.recoveries.extend(began.and_then(|began| began.duration_since(started).ok()));
    }

    /// Starts the program once more, to its end, and checks the whole story. Returns how long that took.
    fn finish(&mut self) -> Duration {
        let process = self.workload.start();
        let started = process.started;
        let output = process.finish();
        let took = started.elapsed().unwrap_or_default();
        self.note_recovery(started);
        let lines = self.workload.log();
        assert_eq!(text(&output.stdout), RESULT, "{}\n{lines:?}", text(&output.stderr));
        if let Err(wrong) = log::check(&lines, &self.kills) {
            panic!("{wrong}\nkilled after lines {:?} of {lines:?}", self.kills);
        }
        let journal = journal::inspect(&self.workload.data()).unwrap();
        assert!(journal.actions.iter().all(|action| action.phase.is_terminal()), "{:?}", journal.actions);
        took
    }
}

fn check_recoveries(mut recoveries: Vec<Duration>) {
    recoveries.sort();
    let slowest = recoveries.last().copied().unwrap_or_default();
    let median = recoveries.get(recoveries.len() / 2).copied().unwrap_or_default();
    eprintln!("first new body after a kill: median {median:.1?}, slowest {slowest:.1?}, of {}", recoveries.len());
    assert!(slowest < RECOVERY_LIMIT);
}

#[test]
fn a_run_survives_kill_9_at_any_moment() {
    let mut random = Random::from_environment();
    let usual = Story::default().finish();
    let (mut kills, mut recoveries) = (0, Vec::new());
    while kills < KILL_POINTS {
        let mut story = Story::default();
        let process = story.workload.start();
        std::thread::sleep(random.up_to(usual));
        kills += usize::from(story.kill(process));
        story.finish();
        recoveries.append(&mut story.recoveries);
    }
    check_recoveries(recoveries);
}

/// Each process gets further than the one before it: three losses in a row with no progress are an action's end.
#[test]
fn a_run_survives_several_kills() {
    let mut random = Random::from_environment();
    let (mut kills, mut recoveries) = (0, Vec::new());
    for _ in 0..UNLUCKY_RUNS {
        let mut story = Story::default();
        for _ in 0..3 + random.next() % 3 {
            let before = story.workload.log();
            let (known, lost) = (log::acked(&before).len(), log::in_flight(&before));
            let mut process = story.workload.start();
            story.workload.wait_for_log("the end of what was lost, and more", |lines| {
                let acked = log::acked(lines);
                let caught_up = lost.iter().all(|key| is_parent(key) || acked.contains(key));
                caught_up && acked.len() > known || !process.is_running()
            });
            std::thread::sleep(random.up_to(Duration::from_millis(25)));
            kills += usize::from(story.kill(process));
        }
        story.finish();
        recoveries.append(&mut story.recoveries);
    }
    assert!(kills > UNLUCKY_RUNS, "the kills came too late to be several");
    check_recoveries(recoveries);
}

/// A parent makes progress by its children's ends.
fn is_parent(key: &str) -> bool {
    ["root", "outer", "inner"].contains(&key)
}
