//! A run of this process, as the program that started it or took it up holds it.

use spanwise_core::{ActionName, AttemptNo, RunId};
use spanwise_engine::{ActionView, Outcome, Relation, RunHandle};
use spanwise_proto::flyteidl2::core::Literal;
use tokio::sync::watch;

use super::reports;
use crate::backend::{BackendRun, Pending, user};
use crate::ctx::Ambient;
use crate::parent::Parent;
use crate::payload::{encode_outputs, thaw};
use crate::question::{fitting, kind_of};
use crate::value::ValueError;

/// A run of the engine of this process.
pub(super) struct EmbeddedRun(pub(super) RunHandle);

impl BackendRun for EmbeddedRun {
    fn id(&self) -> &RunId {
        self.0.id()
    }

    fn relation(&self) -> Option<&Relation> {
        self.0.settings().relation.as_ref()
    }

    fn outcome(&self) -> Pending<'_, Outcome> {
        Box::pin(async {
            let ambient = Ambient::current();
            let _waits = ambient.as_ref().and_then(|ambient| ambient.task.parent.wait_for(self.0.id()));
            match self.0.wait(ActionName::ROOT).await {
                // A task that waits for another run must not take the interruption for an answer, as with a call.
                Err(spanwise_engine::Error::Interrupted) if ambient.is_some() => std::future::pending().await,
                outcome => Ok(outcome?),
            }
        })
    }

    fn abort<'a>(&'a self, reason: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            self.0.abort(ActionName::ROOT, &user(), reason).await?;
            Ok(())
        })
    }

    fn report(&self, action: ActionName, attempt: AttemptNo) -> Pending<'_, Option<String>> {
        Box::pin(async move {
            let (engine, run) = (self.0.engine().clone(), self.0.id().clone());
            let read = tokio::task::spawn_blocking(move || match engine.directory() {
                Some(data) => reports::read(data, &run, &action, attempt),
                None => Ok(None),
            });
            let read = read.await.map_err(std::io::Error::other).flatten();
            read.map_err(|error| reports::failed("read", &error))
        })
    }

    fn signal<'a>(&'a self, condition: &'a ActionView, kind: &'static str, value: Literal) -> Pending<'a, ()> {
        Box::pin(async move {
            let inputs = self.0.payloads(&condition.name).await?.0.unwrap_or_default();
            let wanted = kind_of(&thaw(&inputs)?.0).unwrap_or_default();
            let value = fitting(value, kind, &wanted).ok_or_else(|| {
                ValueError::new(format!("condition `{}` waits for a {wanted}, and a {kind} is given", condition.task))
            })?;
            self.0.signal(condition.name, &user(), None, encode_outputs(Some(value))?).await?;
            Ok(())
        })
    }

    fn actions(&self) -> Pending<'_, Vec<ActionView>> {
        Box::pin(std::future::ready(Ok(self.0.actions())))
    }

    fn watch(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
