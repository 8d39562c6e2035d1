//! What a run that recovers another one does not do again.

use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, RunId, Source};
use spanwise_engine::{Relation, RunHandle};

use super::{ControlPlane, Error};

/// How long a store rests that could not be read.
const ASKED_AGAIN: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };

impl ControlPlane {
    /// Sees to it, before an action is driven, that it is not done again; tries until that can be said. Its inputs are not in memory while
    /// it waits for that: the journal has them.
    pub(super) async fn recovered(&self, run: &RunHandle, action: ActionName, inputs: &mut Option<Bytes>) {
        let mut is_told = false;
        while let Err(error) = self.recover_action(run, action).await {
            if !std::mem::replace(&mut is_told, true) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(run = %run.id().name, %action, error, "what the recovered run has of an action is asked for again");
            }
            *inputs = None;
            tokio::time::sleep(ASKED_AGAIN).await;
        }
    }

    /// In a run that recovers another one, an action that has succeeded there is at its end with what it delivered there. One that
    /// cannot be read there any more is run again, and said.
    async fn recover_action(&self, run: &RunHandle, action: ActionName) -> Result<(), Error> {
        let Some(Relation::Recover { run: source }) = &run.settings().relation else { return Ok(()) };
        if action == ActionName::ROOT || !run.is_untouched(&action) {
            return Ok(());
        }
        let source = RunId { name: source.clone(), ..run.id().clone() };
        match self.delivered_in(&source, run, action).await {
            Ok(None) => Ok(()),
            // Retention has deleted it meanwhile.
            Err(Error::NotFound(_)) => Ok(()),
            Ok(Some((from, outputs))) => Ok(run.reuse(action, from, outputs, &self.inner.executor).await?),
            Err(error) if is_for_good(&error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(run = %run.id().name, %action, error, "what the recovered run has of an action cannot be read: it runs again");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What an action of the run that is recovered has delivered, and where it is from; none if the action is to be run again.
    async fn delivered_in(
        &self,
        id: &RunId,
        run: &RunHandle,
        action: ActionName,
    ) -> Result<Option<(Source, Bytes)>, Error> {
        if self.options(run)?.rerun_actions.iter().any(|name| name == action.as_str()) {
            return Ok(None);
        }
        Ok(self.run(id)?.delivered(&action).await?)
    }
}

/// True if it would be the same the next time.
fn is_for_good(error: &Error) -> bool {
    use crate::definitions::Error::{Engine, Invalid, Missing};
    match error {
        Error::Unreadable { .. } | Error::Definition(Missing(_) | Invalid(_)) => true,
        Error::Engine(error) | Error::Definition(Engine(error)) => error.is_damage(),
        _ => false,
    }
}
