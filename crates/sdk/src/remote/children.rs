//! What a server says about the children of this process's action: one stream for all of them, opened when the first is asked for,
//! opened again when it breaks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connectrpc::{ConnectError, ErrorCode};
use spanwise_core::{ActionName, Failure, Phase, RunId};
use spanwise_proto::flyteidl2::actions::watch_for_updates_response;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::workflow::ActionUpdate;
use spanwise_wire::{failure, requests};
use tokio::sync::{oneshot, watch};

use super::connection::{Connection, LONG};
use crate::error::{Error, ErrorKind, Result};

/// The first pause after a broken stream; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a child was when the server last sent an update of it.
#[derive(Clone, Debug)]
pub(super) struct ChildState {
    pub(super) phase: Phase,
    /// What went wrong, if something did.
    pub(super) failure: Option<Failure>,
    /// The directory of a task's outputs, the file of a step's.
    pub(super) output_uri: String,
    /// What a condition was answered with.
    pub(super) answer: Option<Literal>,
}

/// The children of one action.
pub(super) struct Children {
    connection: Connection,
    parent: (RunId, ActionName),
    state: Mutex<State>,
    /// How far the server has listed them.
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody has asked yet.
    Idle,
    /// The children that were there at the beginning are being listed.
    Opening,
    /// All of them were listed; what follows are changes.
    Complete,
    /// The server was away for too long, or knows the run no more.
    Broken,
}

#[derive(Default)]
struct State {
    children: HashMap<ActionName, ChildState>,
    waiting: HashMap<ActionName, Vec<oneshot::Sender<()>>>,
    broken: Option<ConnectError>,
}

impl Children {
    pub(super) fn new(connection: Connection, parent: (RunId, ActionName)) -> Children {
        Children { connection, parent, state: Mutex::default(), progress: watch::Sender::new(Progress::Idle) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the children of earlier attempts are listed; opens the stream if that has not been done.
    pub(super) async fn complete(self: &Arc<Self>) -> Result<()> {
        let is_first = self.progress.send_if_modified(|progress| {
            let is_idle = *progress == Progress::Idle;
            if is_idle {
                *progress = Progress::Opening;
            }
            is_idle
        });
        if is_first {
            let children = Arc::clone(self);
            tokio::spawn(async move { children.follow().await });
        }
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|progress| matches!(progress, Progress::Complete | Progress::Broken)).await;
        match reached.map(|progress| *progress) {
            Ok(Progress::Complete) => Ok(()),
            _ => Err(self.broken()),
        }
    }

    /// The last update of a child; none if there was none.
    pub(super) fn get(&self, action: &ActionName) -> Option<ChildState> {
        self.lock().children.get(action).cloned()
    }

    /// Notes the state of a child before the server sends it.
    pub(super) fn note(&self, action: ActionName, child: ChildState) {
        let mut state = self.lock();
        let is_over = child.phase.is_terminal();
        state.children.insert(action, child);
        if is_over {
            state.waiting.remove(&action).into_iter().flatten().for_each(|waiting| {
                let _ = waiting.send(());
            });
        }
    }

    /// Waits for the end of a child.
    pub(super) async fn end(&self, action: &ActionName) -> Result<ChildState> {
        loop {
            let ended = {
                let mut state = self.lock();
                match state.children.get(action) {
                    Some(child) if child.phase.is_terminal() => return Ok(child.clone()),
                    _ if state.broken.is_some() => None,
                    _ => {
                        let (sender, ended) = oneshot::channel();
                        state.waiting.entry(*action).or_default().push(sender);
                        Some(ended)
                    }
                }
            };
            match ended {
                Some(ended) => drop(ended.await),
                None => return Err(self.broken()),
            }
        }
    }

    fn broken(&self) -> Error {
        let why = self.lock().broken.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = format!("watch the children of action `{}`: {why}", self.parent.1);
        Error::from_failure(ErrorKind::System, Failure::system("WatchFailed", message))
    }

    /// Reads the stream, and opens it again whenever it breaks: each time the server sends all children anew.
    async fn follow(&self) {
        let (mut heard, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let began = Instant::now();
            let why = self.read(&mut heard).await;
            if why.code == ErrorCode::NotFound || heard.elapsed() > LONG {
                let mut state = self.lock();
                state.broken = Some(why);
                // Whoever waits looks again when its sender is gone.
                state.waiting.clear();
                drop(state);
                let _ = self.progress.send_replace(Progress::Broken);
                return;
            }
            if heard >= began {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads one stream until it breaks.
    async fn read(&self, heard: &mut Instant) -> ConnectError {
        let (run, action) = &self.parent;
        let request = requests::children::watch(run, action);
        let mut stream = match self.connection.actions_watched().watch_for_updates(request).await {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message.to_owned_message(),
                Ok(None) => return ConnectError::unavailable("the server ended the watch"),
                Err(error) => return error,
            };
            *heard = Instant::now();
            match message.message {
                Some(watch_for_updates_response::Message::ActionUpdate(update)) => self.update(&update),
                Some(watch_for_updates_response::Message::ControlMessage(control)) if control.sentinel => {
                    self.progress.send_if_modified(|progress| {
                        let is_news = *progress == Progress::Opening;
                        *progress = Progress::Complete;
                        is_news
                    });
                }
                _ => {}
            }
        }
    }

    fn update(&self, update: &ActionUpdate) {
        let Ok(action) = ActionName::new(&update.action_id.name) else { return };
        let Some(phase) = Phase::from_number(update.phase.to_i32()) else { return };
        let failure = update.error.as_option().map(failure::of_execution);
        let (output_uri, answer) = (update.output_uri.clone(), update.value.as_option().cloned());
        self.note(action, ChildState { phase, failure, output_uri, answer });
    }
}
