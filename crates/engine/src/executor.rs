//! Who runs attempts: what an executor is given, and what it answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::trace::TraceParent;
use spanwise_core::{ActionName, Ended, Failure};
use spanwise_store::NewArtifact;

use crate::run::RunHandle;
use crate::scope::AttemptScope;

/// One attempt, handed to an executor.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The run.
    pub run: RunHandle,
    /// What belongs to the attempt; the calls made by its body refer to it.
    pub scope: Arc<AttemptScope>,
    /// The inputs, as they were frozen when the action was accepted.
    pub inputs: Bytes,
    /// The span of the attempt, if the run's lifecycle is traced: the body is delivered its map with this `traceparent`, so that
    /// its own spans hang under the attempt.
    pub span: Option<TraceParent>,
    /// An earlier process of the engine launched it: it is to be found again ([`AttemptScope::report_alive`]), or reported lost.
    pub adopted: bool,
}

/// What an attempt came to.
#[derive(Clone, Debug)]
pub enum Report {
    /// Its outputs.
    Succeeded(Bytes),
    /// Its outputs, and the versions of artifacts that come to be by its success.
    Produced(Bytes, Vec<NewArtifact>),
    /// What went wrong.
    Failed(Failure),
    /// It is over without a result.
    Lost {
        /// Why it is taken for lost.
        reason: String,
        /// False if the attempt is known not to be at fault: it never began, or the machine failed it. It is made again, as
        /// often as that happens.
        blamed: bool,
    },
}

impl Report {
    /// An attempt that began and went away without a word.
    pub fn lost(reason: impl Into<String>) -> Report {
        Report::Lost { reason: reason.into(), blamed: true }
    }

    /// An attempt that never began, or that the machine failed.
    pub fn unblamed(reason: impl Into<String>) -> Report {
        Report::Lost { reason: reason.into(), blamed: false }
    }

    /// How the attempt ended, for the rules, and what it has left.
    pub(crate) fn split(self) -> (Ended, Option<Bytes>, Vec<NewArtifact>) {
        match self {
            Report::Succeeded(outputs) => (Ended::Succeeded, Some(outputs), Vec::new()),
            Report::Produced(outputs, artifacts) => (Ended::Succeeded, Some(outputs), artifacts),
            Report::Failed(failure) => (Ended::Failed(failure), None, Vec::new()),
            Report::Lost { reason, blamed } => (Ended::Lost { reason, blamed }, None, Vec::new()),
        }
    }
}

/// Runs attempts. The future may be dropped at any time: the attempt is over then, unless the state still has it under way
/// and attempts outlive the process ([`EngineConfig::attempts_outlive_the_process`]).
///
/// [`EngineConfig::attempts_outlive_the_process`]: crate::EngineConfig::attempts_outlive_the_process
pub trait Executor: Send + Sync {
    /// Starts an attempt. A body that makes calls runs in [`AttemptScope::run_body`].
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>>;

    /// True if an attempt runs as soon as it is launched. An executor for which it is not says so with
    /// [`RunHandle::report_started`].
    fn starts_at_once(&self) -> bool {
        true
    }

    /// Puts outputs that were there already where the caller of the action looks for them. In this process that is nowhere.
    fn deliver<'a>(
        &'a self,
        _run: &'a RunHandle,
        _action: ActionName,
        _outputs: &'a Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
