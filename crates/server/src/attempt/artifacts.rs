//! The versions of artifacts that an attempt leaves among its outputs.

use spanwise_engine::{Attempt, Report};
use spanwise_wire::artifact::ProducedBy;
use spanwise_wire::task::Program;

use super::trouble::patiently;
use super::{Files, Shared};
use crate::artifacts::{Error, produced_by};
use crate::readiness::in_one_line;

impl Shared {
    /// A success with the versions that come to be by it. What is no version is said in the attempt's log: the task has done its work.
    pub(super) async fn with_artifacts(
        &self,
        attempt: &Attempt,
        program: &Program,
        report: Report,
        files: &Files,
    ) -> Report {
        let outputs = match report {
            Report::Succeeded(outputs) if program.produces_artifacts => outputs,
            other => return other,
        };
        let (run, by) = (&attempt.run, attempt.scope.clone());
        let by = ProducedBy { run: run.id(), action: &by.action, attempt: by.attempt };
        let found = patiently("read which artifacts are there", async || match produced_by(run, by, &outputs) {
            Err(Error::Engine(error)) if !error.is_damage() => Err(error),
            found => Ok(found),
        });
        let (artifacts, said) = match found.await {
            Ok(found) => found,
            Err(error) => (Vec::new(), vec![format!("its artifacts are not kept: {}", in_one_line(&error))]),
        };
        for note in said {
            tracing::warn!(note, "of the artifacts of an attempt");
            // The log is there for who looks for them; without it the task is as good.
            let _ = self.logs.append(&files.log, &format!("warning: {note}")).await;
        }
        Report::Produced(outputs, artifacts)
    }
}
