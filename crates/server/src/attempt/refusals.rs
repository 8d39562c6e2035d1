//! What attempts asked for and were refused: the stock SDK raises a refusal as an error of the system, and another attempt would be
//! refused again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_core::{ActionName, Failure, FailureKind};
use spanwise_engine::RunKey;

/// The most refusals that are noted of one attempt: a body that goes on asking in vain gets the same answer.
const MOST_OF_ACTION: usize = 64;

/// The messages of refusals, by the action that was refused something.
type Said = HashMap<(RunKey, ActionName), Vec<String>>;

/// The refusals of the attempts under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    of: Arc<Mutex<Said>>,
}

/// What one attempt was refused; forgotten when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    refusals: Refusals,
    of: Option<(RunKey, ActionName)>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to note the refusals of an attempt.
    pub(super) fn of(&self, run: RunKey, action: ActionName) -> Refused {
        self.lock().insert((run, action), Vec::new());
        Refused { refusals: self.clone(), of: Some((run, action)) }
    }

    /// A request of an attempt was refused with this message.
    pub(crate) fn note(&self, run: RunKey, action: ActionName, said: &str) {
        if let Some(refusals) = self.lock().get_mut(&(run, action))
            && refusals.len() < MOST_OF_ACTION
            && !said.is_empty()
        {
            refusals.push(said.to_owned());
        }
    }
}

impl Refused {
    /// A failure that repeats a refusal is the user's, whoever the SDK says it is of.
    pub(super) fn judge(&self, failure: Failure) -> Failure {
        let was_refused = || {
            let by_action = self.refusals.lock();
            let said = self.of.as_ref().and_then(|of| by_action.get(of));
            said.into_iter().flatten().any(|said| failure.message.contains(said.as_str()))
        };
        let kind = if failure.kind == FailureKind::System && was_refused() { FailureKind::User } else { failure.kind };
        Failure { kind, ..failure }
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        if let Some(of) = &self.of {
            self.refusals.lock().remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_failure_that_repeats_a_refusal_is_the_users() {
        let refusals = Refusals::default();
        let refused = refusals.of(RunKey(1), ActionName::ROOT);
        refusals.note(RunKey(1), ActionName::ROOT, "custom_context has 65 keys");
        refusals.note(RunKey(2), ActionName::ROOT, "of another run");
        let kind = |message: &str| refused.judge(Failure::system("RuntimeSystemError", message)).kind;
        assert_eq!(kind("Controller failed: Action launch failed: custom_context has 65 keys"), FailureKind::User);
        assert_eq!(kind("Controller failed: of another run"), FailureKind::System);
        drop(refused);
        refusals.note(RunKey(1), ActionName::ROOT, "too late");
        assert!(refusals.lock().is_empty());
    }
}
