//! Each edge of the machine as a small story, and the properties that must hold for every story.

use std::sync::Arc;

use super::*;
use crate::{Backoff, End, Failure, Phase, RetryPolicy, Timeouts, code};

mod blame;
mod lifecycle;
mod outside;
mod properties;
mod stories;
mod timers;
mod tracked;

/// A run under test: commands go in, events are applied and kept.
struct Story {
    run: Run,
    limits: RunLimits,
    log: Vec<Event>,
    now: Timestamp,
}

impl Story {
    fn new() -> Story {
        Story::with_limits(RunLimits::default())
    }

    fn with_limits(limits: RunLimits) -> Story {
        Story { run: Run::new(limits), limits, log: Vec::new(), now: Timestamp(0) }
    }

    fn send(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        let events = self.run.decide(&command, self.now)?;
        for event in &events {
            self.run.apply(event);
        }
        self.log.extend(events.iter().cloned());
        Ok(events)
    }

    fn wait(&mut self, delay: Duration) -> &mut Story {
        self.now = self.now.after(delay);
        self
    }

    fn enqueue(&mut self, action: &str, spec: ActionSpec) -> &mut Story {
        self.send(Command::Enqueue { action: name(action), spec: Arc::new(spec) }).unwrap();
        self
    }

    /// Launches and starts the next attempt.
    fn start(&mut self, action: &str) -> AttemptNo {
        self.send(Command::Launch { action: name(action) }).unwrap();
        let attempt = self.run.action(&name(action)).unwrap().attempt().unwrap();
        self.send(Command::ReportStarted { action: name(action), attempt }).unwrap();
        attempt
    }

    fn attempt(&self, action: &str) -> AttemptNo {
        self.run.action(&name(action)).unwrap().attempt().expect("an attempt is under way")
    }

    fn succeed(&mut self, action: &str) -> &mut Story {
        let attempt = self.attempt(action);
        self.send(Command::ReportSucceeded { action: name(action), attempt }).unwrap();
        self
    }

    fn fail(&mut self, action: &str, failure: Failure) -> &mut Story {
        let attempt = self.attempt(action);
        self.send(Command::ReportFailed { action: name(action), attempt, failure }).unwrap();
        self
    }

    fn lose(&mut self, action: &str) -> &mut Story {
        self.lose_as(action, true)
    }

    fn lose_as(&mut self, action: &str, blamed: bool) -> &mut Story {
        let (attempt, reason) = (self.attempt(action), "killed".to_owned());
        self.send(Command::ReportLost { action: name(action), attempt, reason, blamed }).unwrap();
        self
    }

    fn tick(&mut self, action: &str) -> &mut Story {
        self.tick_at(action, self.now)
    }

    /// The same where the machine's clock says something else.
    fn tick_at(&mut self, action: &str, clock: Timestamp) -> &mut Story {
        self.send(Command::Tick { action: name(action), clock }).unwrap();
        self
    }

    fn abort(&mut self, action: &str) -> &mut Story {
        let (by, reason) = ("ann".to_owned(), "enough".to_owned());
        self.send(Command::Abort { action: name(action), by, reason }).unwrap();
        self
    }

    /// What a driver of the action does next, which has a slot and reads no cache, if every action has such a driver.
    fn next(&self, action: &str) -> Next {
        next(&self.run, &name(action))
    }

    #[track_caller]
    fn check(&self, action: &str, phase: Phase) {
        assert_eq!(self.run.action(&name(action)).unwrap().phase(), phase, "{action}: {:#?}", self.log);
    }

    /// Folds the log anew.
    fn refold(&self) -> Run {
        let mut run = Run::new(self.limits);
        for event in &self.log {
            run.apply(event);
        }
        run
    }
}

fn next(run: &Run, action: &ActionName) -> Next {
    let process = ProcessFacts::default();
    let (watches, adopts, cache_is_read, has_slot) = (true, false, true, true);
    let facts = DriverFacts { drives: true, watches, adopts, cache_is_read, has_slot, process, is_ready: &|_| true };
    run.next(action, &facts).unwrap()
}

fn name(action: &str) -> ActionName {
    ActionName::new(action).unwrap()
}

fn root() -> ActionSpec {
    ActionSpec::task("env.main")
}

fn child_of(parent: &str) -> ActionSpec {
    ActionSpec { parent: Some(name(parent)), ..ActionSpec::task("env.child") }
}

fn retries(retries: u32) -> ActionSpec {
    ActionSpec { retry: RetryPolicy { retries, backoff: None }, ..root() }
}

fn oops() -> Failure {
    Failure::user("Oops", "it broke")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
