//! What becomes of an attempt that is dropped before it has a report: aborted, timed out, given back.

use std::sync::Arc;

use spanwise_core::{ActionName, AttemptNo};
use spanwise_engine::{Attempt, RunHandle};
use spanwise_process::{Claim, Process, Recording};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Files, Shared, devices, results};
use crate::layout;

/// Owns the process of an attempt. Dropped before the report, it stops the process and removes what there is of it, except a result of an attempt
/// that is still under way: the server ends, and the next one judges by it.
pub(super) struct Charge {
    of: Of,
    run: RunHandle,
    action: ActionName,
    number: AttemptNo,
    adopted: bool,
    files: Files,
    /// The log, while it is recorded: what the process says at its end is looked at too.
    recording: Option<Recording>,
    shared: Arc<Shared>,
    /// Whoever waits for the end of what is stopped waits for the drop as well.
    _token: TaskTrackerToken,
}

/// What there is of the process.
enum Of {
    /// Nothing but the path of its claim.
    Claim,
    Process(Process),
    /// It has ended.
    Ended,
    /// Somebody else has it.
    Left,
}

impl Charge {
    pub(super) fn of(shared: &Arc<Shared>, attempt: &Attempt, files: &Files) -> Charge {
        Charge {
            of: Of::Claim,
            run: attempt.run.clone(),
            action: attempt.scope.action,
            number: attempt.scope.attempt,
            adopted: attempt.adopted,
            files: files.clone(),
            recording: None,
            shared: Arc::clone(shared),
            _token: shared.stopping.token(),
        }
    }

    pub(super) fn records(&mut self, recording: Option<Recording>) {
        self.recording = recording;
    }

    pub(super) fn began(&mut self, process: &Process) {
        self.of = Of::Process(process.clone());
    }

    /// Its process is gone: others may have its devices.
    pub(super) fn ended(&mut self) {
        self.of = Of::Ended;
        devices::give_back(&self.files.process);
    }

    /// Somebody else has it.
    pub(super) fn leave(mut self) {
        self.of = Of::Left;
    }

    /// The attempt has a report. Its claim goes when that is safe: until then it says that the attempt ran.
    pub(super) fn reported(mut self) {
        self.of = Of::Left;
        self.files.remove_directory();
        let (run, action, number, files) = (self.run.clone(), self.action, self.number, self.files.clone());
        tokio::spawn(async move {
            if run.settled(action, number).await.is_ok() {
                files.remove_work();
            }
        });
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let of = std::mem::replace(&mut self.of, Of::Left);
        if matches!(of, Of::Left) {
            return;
        }
        let (run, action, number) = (self.run.clone(), self.action, self.number);
        let (shared, files, adopted) = (Arc::clone(&self.shared), self.files.clone(), self.adopted);
        let recording = self.recording.take();
        self.shared.stopping.spawn(async move {
            shared.end(of, adopted, &files).await;
            if let Some(recording) = recording {
                recording.finish().await;
            }
            let is_under_way = run.action(&action).is_some_and(|action_now| action_now.attempt() == Some(number));
            let Ok(directory) = layout::attempt(run.id(), &action, number) else { return };
            if is_under_way && results::are_there(&shared.blobs, &files.process, &directory).await {
                // The store outlives a restart of the machine, too. Without room for it, it stays beside the claim.
                results::try_deliver(&shared.blobs, &files.process, &directory).await;
            } else {
                files.remove_work();
            }
        });
    }
}

impl Shared {
    /// Ends the process and all that it has left.
    async fn end(&self, of: Of, adopted: bool, files: &Files) {
        let process = match of {
            Of::Process(process) => Some(process),
            Of::Ended | Of::Left => None,
            Of::Claim => match self.runner.claim_of(&files.process).await {
                Ok(Claim::Process(id)) => self.runner.adopt(&id).await.ok().flatten(),
                // A process that an earlier server has started may come to claim it yet.
                Ok(Claim::Free) if adopted => return drop(self.runner.give_up(&files.process).await),
                Ok(Claim::Free | Claim::GivenUp) => return,
                Err(_) => None,
            },
        };
        if let Some(process) = process {
            let remains = self.runner.ask_remains(&files.process, process.id());
            tokio::join!(remains, process.stop(self.grace));
        }
        self.runner.end_remains(&files.process).await;
    }
}
