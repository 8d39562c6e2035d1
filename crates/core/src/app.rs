//! Apps: processes that answer requests for as long as somebody wants them. When one is started, ended and started again.
//!
//! An app has one process at most. [`App::next`] says what is due for it, and is asked again after whatever happens; what has happened is
//! told by [`App::launched`], [`App::answered`], [`App::ending`], [`App::ended`] and [`App::changed`].

use std::time::Duration;

use crate::{Backoff, Timestamp};

#[cfg(test)]
mod tests;

/// Before an app is started again that has ended by itself: twice as long after each time in a row, at most half a minute.
pub const PAUSE: Backoff =
    Backoff { base: Duration::from_millis(500), factor: 2.0, cap: Some(Duration::from_secs(30)) };

/// An app that has answered for so long has started well: what happens to it then is not counted with what was before.
pub const STEADY: Duration = Duration::from_secs(60);

/// So many starts in a row without an answer, and the app has failed. It is started again all the same: always if it has to be there
/// always, and else when somebody asks for it.
pub const TRIES: u32 = 3;

/// How long an app that nobody asks for is kept, unless its definition says it.
pub const IDLE_AFTER: Duration = Duration::from_secs(300);

/// How long an app may take until it answers. A model that is loaded takes minutes.
pub const START_PATIENCE: Duration = Duration::from_secs(600);

/// What is wanted of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Desired {
    /// That it answers.
    #[default]
    Started,
    /// That it does not run.
    Stopped,
}

/// How many processes an app has, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// It is there always, asked for or not.
    pub is_always_on: bool,
    /// Else it is ended when nobody has asked for it for so long.
    pub idle_after: Duration,
}

/// What is known of an app and of those who ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What is wanted.
    pub desired: Desired,
    /// How it is scaled.
    pub scaling: Scaling,
    /// Requests that wait for its process to answer.
    pub waiting: usize,
    /// Requests, streams and sockets that its process has.
    pub open: usize,
    /// When it was asked last.
    pub last_asked: Timestamp,
}

/// Why a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The app is to be stopped.
    Stopped,
    /// The app has another revision.
    Replaced,
    /// Nobody asks for it.
    Idle,
    /// It did not answer in time.
    TooSlow,
}

/// The process of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    Down,
    /// There is none: it has ended by itself, and is not started before this.
    Resting {
        /// When it may be started.
        until: Timestamp,
    },
    /// It does not answer yet.
    Starting {
        /// When it was launched.
        since: Timestamp,
    },
    /// It answers.
    Serving {
        /// Since when.
        since: Timestamp,
    },
    /// It was asked to end.
    Ending {
        /// Why.
        why: Why,
    },
}

/// What is due for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Launch its process.
    Launch,
    /// Ask its process to end.
    End(Why),
    /// Wait for something to happen, at most until this.
    Wait {
        /// When to look again.
        due: Option<Timestamp>,
    },
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It goes to the process.
    Forward,
    /// It waits for the process.
    Hold,
    /// The app is stopped.
    Stopped,
    /// The app has failed; it is not tried again before this.
    Failed {
        /// When it may be started.
        until: Timestamp,
    },
}

/// How an app is, for people and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is stopped.
    Stopped,
    /// It is about to be stopped.
    Stopping,
    /// A new revision is started for the first time.
    Deploying,
    /// It answers.
    Active,
    /// It has no process and is started by the next request.
    ScaledToZero,
    /// It is started for a request.
    Waking,
    /// It has ended by itself, and is started again.
    Restarting,
    /// It has ended by itself again and again.
    Failed,
}

/// An app in one of its revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct App {
    /// Its process.
    pub state: State,
    /// How often it has ended by itself, in a row.
    pub failures: u32,
    /// Its revision has answered once.
    pub has_served: bool,
    /// Its process is of an earlier revision.
    is_outdated: bool,
}

impl App {
    /// An app that answered when the process that looked after it ended: its revision is tried and good.
    pub fn known_to_serve() -> App {
        App { has_served: true, ..App::default() }
    }

    /// What is due.
    pub fn next(&self, facts: &Facts, now: Timestamp) -> Next {
        let wait = |due| Next::Wait { due };
        let is_stopped = facts.desired == Desired::Stopped;
        match self.state {
            State::Down if self.is_wanted(facts) => Next::Launch,
            State::Resting { until } if self.is_wanted(facts) && now >= until => Next::Launch,
            State::Resting { until } if self.is_wanted(facts) => wait(Some(until)),
            State::Down | State::Resting { .. } | State::Ending { .. } => wait(None),
            State::Starting { .. } | State::Serving { .. } if is_stopped => Next::End(Why::Stopped),
            State::Starting { .. } | State::Serving { .. } if self.is_outdated => Next::End(Why::Replaced),
            State::Starting { since } => match since.after(START_PATIENCE) {
                due if now >= due => Next::End(Why::TooSlow),
                due => wait(Some(due)),
            },
            State::Serving { .. } if facts.scaling.is_always_on || facts.open + facts.waiting > 0 => wait(None),
            State::Serving { since } => match facts.last_asked.max(since).after(facts.scaling.idle_after) {
                due if now >= due => Next::End(Why::Idle),
                due => wait(Some(due)),
            },
        }
    }

    /// Whether an app without a process should have one: because it always has, because somebody asks for it, and because a new
    /// revision is tried when it comes, a few times.
    fn is_wanted(&self, facts: &Facts) -> bool {
        let is_tried = !self.has_served && self.failures < TRIES;
        facts.desired == Desired::Started && (facts.scaling.is_always_on || facts.waiting > 0 || is_tried)
    }

    /// What becomes of a request that comes now.
    pub fn admission(&self, desired: Desired, now: Timestamp) -> Admission {
        match self.state {
            _ if desired == Desired::Stopped => Admission::Stopped,
            State::Serving { .. } if !self.is_outdated => Admission::Forward,
            State::Resting { until } if self.failures >= TRIES && now < until => Admission::Failed { until },
            _ => Admission::Hold,
        }
    }

    /// How it is.
    pub fn phase(&self, desired: Desired) -> Phase {
        let is_stopped = desired == Desired::Stopped;
        match self.state {
            State::Down | State::Resting { .. } if is_stopped => Phase::Stopped,
            State::Starting { .. } | State::Serving { .. } | State::Ending { .. } if is_stopped => Phase::Stopping,
            State::Serving { .. } if !self.is_outdated => Phase::Active,
            _ if self.failures >= TRIES => Phase::Failed,
            State::Ending { why: Why::Idle } | State::Down if self.has_served => Phase::ScaledToZero,
            _ if !self.has_served => Phase::Deploying,
            _ if self.failures > 0 => Phase::Restarting,
            _ => Phase::Waking,
        }
    }

    /// Its process is launched.
    pub fn launched(&mut self, now: Timestamp) {
        self.state = State::Starting { since: now };
        self.is_outdated = false;
    }

    /// Its process answers.
    pub fn answered(&mut self, now: Timestamp) {
        if matches!(self.state, State::Starting { .. }) {
            self.state = State::Serving { since: now };
            self.has_served |= !self.is_outdated;
        }
    }

    /// Its process is asked to end.
    pub fn ending(&mut self, why: Why) {
        self.state = State::Ending { why };
    }

    /// Its process has ended, or could not be launched.
    pub fn ended(&mut self, now: Timestamp) {
        let served_for = match self.state {
            State::Ending { why: Why::Stopped | Why::Replaced | Why::Idle } => {
                *self = App { state: State::Down, failures: 0, is_outdated: false, ..*self };
                return;
            }
            State::Serving { since } => now.since(since),
            _ => Duration::ZERO,
        };
        self.failures = if served_for >= STEADY { 1 } else { self.failures.saturating_add(1) };
        self.state = State::Resting { until: now.after(PAUSE.delay(self.failures - 1)) };
        self.is_outdated = false;
    }

    /// It has a new revision: whatever became of earlier ones does not count any more.
    pub fn changed(&mut self) {
        let state = if let State::Resting { .. } = self.state { State::Down } else { self.state };
        *self = App { state, failures: 0, has_served: false, is_outdated: state != State::Down };
    }
}
