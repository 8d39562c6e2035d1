//! A program that is launched to start one of its tasks: by `spanwise run`, which has the program and not its source.
//!
//! The program is started with one argument, and with one end of a socket as its standard input: so what it prints stays its own.
//! It reads one line, the [`Request`], and writes a line for each [`Event`]. The launcher goes away by closing the other end.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use spanwise_engine::{ActionView, RunOptions};

use crate::error::{Error, ErrorKind};

mod serve;

pub(crate) use serve::take_over;

/// The only argument of a program that is launched to start a task.
pub const ARGUMENT: &str = "spanwise-run";

/// The version of what both sides say, told by `describe`: a program of another one is refused.
pub const VERSION: u32 = 2;

/// What is to be started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The task's full name.
    pub task: String,
    /// Its inputs by their names, as JSON.
    pub inputs: serde_json::Map<String, Json>,
    /// The server that runs it; none: the engine of the program itself.
    pub endpoint: Option<String>,
    /// The organisation of the run, if the launcher has said it.
    pub org: Option<String>,
    /// Its project, likewise.
    pub project: Option<String>,
    /// Its domain, likewise.
    pub domain: Option<String>,
    /// The run's name.
    pub name: Option<String>,
    /// The custom context.
    pub context: Vec<(String, String)>,
    /// What is chosen about the run. A program that does not know one of these options refuses it by its name.
    pub options: RunOptions,
}

/// What the program answers, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Nothing was started.
    Refused(Trouble),
    /// The run is there. A program that starts it on a server ends now.
    Started(Started),
    /// Actions that have changed.
    Actions {
        /// The actions as they are now.
        actions: Vec<ActionView>,
    },
    /// The run has succeeded.
    Succeeded {
        /// The output of its root; null if it has none.
        output: Json,
    },
    /// The run has failed, was aborted or has timed out.
    Failed(Trouble),
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Its name.
    pub run: String,
    /// Its organisation.
    pub org: String,
    /// Its project.
    pub project: String,
    /// Its domain.
    pub domain: String,
    /// The address of its page.
    pub url: String,
}

/// An error as the other side shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The name of its [`ErrorKind`].
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
