//! What a run has for another one that recovers it.

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, End, Phase, Source, State};

use crate::error::Error;
use crate::run::RunHandle;

impl RunHandle {
    /// Whether nothing of an action has begun yet, so that it may be at its end with what another run has delivered.
    pub fn is_untouched(&self, action: &ActionName) -> bool {
        self.action(action).is_some_and(|action| {
            matches!(action.phase(), Phase::Queued | Phase::WaitingForResources)
                || matches!(action.state, State::Asleep { .. })
        })
    }

    /// What an action of this run has delivered, for the action of the same name in a run that recovers this one; none if that one is to be run.
    ///
    /// # Errors
    /// If the journal cannot be written or read.
    pub async fn delivered(&self, action: &ActionName) -> Result<Option<(Source, Bytes)>, Error> {
        let Some(earlier) = self.action(action) else { return Ok(None) };
        let source = |attempt| Source::Recovery { run: self.id().name.to_string(), attempt };
        let attempt = match earlier.end() {
            Some(End::Succeeded { attempt }) => *attempt,
            // What it has waited for is over: there are no outputs.
            Some(End::Elapsed) => return Ok(Some((source(AttemptNo(0)), Bytes::new()))),
            Some(End::Reused(Source::Recovery { attempt, .. } | Source::Cache { attempt, .. })) => *attempt,
            _ => return Ok(None),
        };
        let outputs = self.payloads(action).await?.1;
        Ok(outputs.map(|outputs| (source(attempt), outputs)))
    }
}
