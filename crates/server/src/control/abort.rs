//! Aborting actions.

use spanwise_core::{ActionName, Phase};
use spanwise_engine::RunHandle;

use super::{Caller, ControlPlane, Error};

impl ControlPlane {
    /// Ends an action with everything under it. After `Ok` it is safe; the phase in which the action had ended already, if it had.
    pub(crate) async fn abort(
        &self,
        run: &RunHandle,
        action: ActionName,
        caller: &Caller,
        reason: &str,
    ) -> Result<Option<Phase>, Error> {
        let ended_now = run.abort(action, caller.name(), reason).await?;
        Ok(run.action(&action).filter(|_| !ended_now).map(|action| action.phase()))
    }
}
