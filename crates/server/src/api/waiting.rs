//! Tasks that wait for another run: their requests say whose they are, and meanwhile they take up no place (semantics S4).

use std::time::Duration;

use connectrpc::RequestContext;
use futures_util::{Stream, StreamExt};
use spanwise_core::{ActionName, AttemptNo, RunId};
use spanwise_engine::{OutsideWait, RunHandle};

use super::Api;
use super::reads::Found;

/// Where a client says what a request is part of. Inside of a task, the stock SDK and ours say the task's action there:
/// `{project}-{domain}-{run}-{action}-{4 characters}`.
const REQUEST_ID: &str = "x-request-id";

/// A task that asks for a run's state again and again has this long until it asks again.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(5);

impl Api {
    /// The wait of the task that sends a request for an action of another run: it waits as long as it holds the answer. None if no
    /// task sends it, or if there is nothing to wait for.
    pub(super) fn wait_of(&self, ctx: &RequestContext, watched: &Found) -> Option<OutsideWait> {
        let (run, action, attempt) = self.sender(ctx)?;
        // Whoever looks at its own run is asked for by it, or looks at what it waits for anyway.
        let waits = run.id() != watched.run.id() && !watched.action.is_finished();
        waits.then(|| self.control.wait_outside(&run, action, attempt))
    }

    /// The same for one question of many.
    pub(super) fn note_watch(&self, ctx: &RequestContext, watched: &Found) {
        let Some(wait) = self.wait_of(ctx, watched) else { return };
        let (run, name, closing) = (watched.run.clone(), watched.name, self.control.closing().clone());
        tokio::spawn(async move {
            let watch = run.watch(name);
            let ended = async {
                while run.action(&name).is_some_and(|action| !action.is_finished()) {
                    watch.changed().await;
                }
            };
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep(BETWEEN_QUESTIONS) => {}
                () = closing.cancelled() => {}
            }
            drop(wait);
        });
    }

    /// The attempt whose task sends a request.
    fn sender(&self, ctx: &RequestContext) -> Option<(RunHandle, ActionName, AttemptNo)> {
        let id = ctx.header(REQUEST_ID)?.to_str().ok()?;
        let (of_run, action) = split(id)?;
        let is_it = |run: &RunId| {
            let rest = of_run.strip_prefix(run.project.as_str()).and_then(|rest| rest.strip_prefix('-'));
            let rest = rest.and_then(|rest| rest.strip_prefix(run.domain.as_str()));
            rest.and_then(|rest| rest.strip_prefix('-')) == Some(run.name.as_str())
        };
        let run = self.control.live_run(is_it)?;
        let action = match run.action(&action) {
            Some(_) => action,
            // Inside of a step the SDK names the step, of which nothing is known yet.
            None => run.only_busy()?,
        };
        let attempt = run.action(&action)?.attempt()?;
        Some((run, action, attempt))
    }
}

/// An answer that somebody waits for as long as it is not over.
pub(super) fn awaited<S: Stream>(answer: S, wait: Option<OutsideWait>) -> impl Stream<Item = S::Item> {
    answer.map(move |item| {
        let _held = &wait;
        item
    })
}

/// What stands for the run, and the action. No action's name has a dash in it that the SDK makes.
fn split(id: &str) -> Option<(&str, ActionName)> {
    let (rest, _salt) = id.rsplit_once('-')?;
    let (of_run, action) = rest.rsplit_once('-')?;
    Some((of_run, ActionName::new(action).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_request_id_names_the_action_of_the_task_that_sends_it() {
        let found = |id| split(id).map(|(run, action)| (run.to_owned(), action.to_string()));
        let expected = |run: &str, action: &str| Some((run.to_owned(), action.to_owned()));
        assert_eq!(found("flytesnacks-development-r1-a0-x7f2"), expected("flytesnacks-development-r1", "a0"));
        assert_eq!(found("my-project-dev-my-run-1k2j3h-abcd"), expected("my-project-dev-my-run", "1k2j3h"));
        assert_eq!(found("nothing"), None);
        assert_eq!(found("a0-abcd"), None);
    }
}
