//! A program that is asked to start one of its tasks: by `spanwise run`, which has the program and not its source.
//!
//! The program is started with one argument, and with one end of a socket as its standard input: so what it prints stays its own.
//! It reads one line, the [`Request`], and writes a line for each [`Event`]. Whoever asks goes away by closing the other end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use spanwise_core::{ActionKind, ActionName, Failure, Phase, TaskName, Timestamp};
use spanwise_engine::ActionView;

use crate::error::{Error, ErrorKind};

mod serve;

pub(crate) use serve::{is_asked, take_over};

/// The only argument of a program that is asked to start a task.
pub const ARGUMENT: &str = "spanwise-run";

/// The version of what both sides say, told by `describe`: a program of another one is refused.
pub const VERSION: u32 = 1;

/// What is to be started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The task's full name.
    pub task: String,
    /// Its inputs by their names, as JSON.
    pub inputs: serde_json::Map<String, Json>,
    /// The server that runs it; none: the engine of the program itself.
    pub endpoint: Option<String>,
    /// Where the run belongs, as far as whoever asks has said it.
    pub org: Option<String>,
    /// The same.
    pub project: Option<String>,
    /// The same.
    pub domain: Option<String>,
    /// The run's name.
    pub name: Option<String>,
    /// The custom context.
    pub context: Vec<(String, String)>,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Variables for the task processes of a server.
    pub env: BTreeMap<String, String>,
    /// How its lifecycle is traced.
    pub trace: Option<String>,
    /// How many actions may run at one time.
    pub max_action_concurrency: Option<u32>,
}

/// What the program answers, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Nothing was started.
    Refused(Trouble),
    /// The run is there. A program that starts it on a server ends now.
    Started(Started),
    /// Actions that are not as they were.
    Actions {
        /// They.
        actions: Vec<Shown>,
    },
    /// The run has ended well.
    Succeeded {
        /// What its root gives; null for nothing.
        output: Json,
    },
    /// The run has ended otherwise.
    Failed(Trouble),
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Its name.
    pub run: String,
    /// Where it belongs.
    pub org: String,
    /// The same.
    pub project: String,
    /// The same.
    pub domain: String,
    /// The address of its page.
    pub url: String,
}

/// An error as the other side shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Whose it is: the name of an [`ErrorKind`].
    pub kind: String,
    /// Its code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Its causes, nearest first.
    pub causes: Vec<String>,
}

impl Trouble {
    pub(crate) fn of(error: &Error) -> Trouble {
        Trouble {
            kind: format!("{:?}", error.kind()),
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            causes: error.causes().to_vec(),
        }
    }

    /// True if no server answered.
    pub fn is_unreachable(&self) -> bool {
        self.is(ErrorKind::System) && self.code == "ServerUnavailable"
    }

    /// True if it is of this kind.
    pub fn is(&self, kind: ErrorKind) -> bool {
        self.kind == format!("{kind:?}")
    }
}

/// An action as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name.
    pub name: ActionName,
    /// The task action that asked for it.
    pub parent: Option<ActionName>,
    /// Task or step.
    pub kind: ActionKind,
    /// The task's full name, or the step's name.
    pub task: TaskName,
    /// The group it is shown in.
    pub group: Option<String>,
    /// Where it is.
    pub phase: Phase,
    /// Attempts launched so far.
    pub attempts: u32,
    /// When it was accepted.
    pub enqueued_at: Timestamp,
    /// When its first attempt began to run.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub ended_at: Option<Timestamp>,
    /// What went wrong.
    pub failure: Option<Failure>,
}

impl From<ActionView> for Shown {
    fn from(view: ActionView) -> Shown {
        let ActionView { name, parent, kind, task, group, phase, attempts, .. } = view;
        let (enqueued_at, started_at, ended_at) = (view.enqueued_at, view.started_at, view.ended_at);
        let failure = view.failure;
        Shown { name, parent, kind, task, group, phase, attempts, enqueued_at, started_at, ended_at, failure }
    }
}

impl From<Shown> for ActionView {
    fn from(shown: Shown) -> ActionView {
        let Shown { name, parent, kind, task, group, phase, attempts, .. } = shown;
        let (enqueued_at, started_at, ended_at) = (shown.enqueued_at, shown.started_at, shown.ended_at);
        let failure = shown.failure;
        ActionView { name, parent, kind, task, group, phase, attempts, enqueued_at, started_at, ended_at, failure }
    }
}
