//! Actions with everything around them that answering takes.

use std::sync::Arc;

use connectrpc::ConnectError;
use spanwise_core::{Action, ActionKind, ActionName, history};
use spanwise_engine::RunHandle;
use spanwise_proto::flyteidl2::common::ActionIdentifier;
use spanwise_proto::flyteidl2::workflow::{Action as WireAction, ActionDetails, RunDetails};
use spanwise_wire::details::{self, Shown};
use spanwise_wire::{Definition, Invalid, ids, options, relation, times};

use super::Api;
use crate::control::Error;
use crate::layout;
use crate::waits;

/// An action of a run.
pub(super) struct Found {
    pub(super) run: RunHandle,
    pub(super) name: ActionName,
    pub(super) action: Action,
}

impl Found {
    /// The root of a run.
    pub(super) fn root(run: &RunHandle) -> Result<Found, ConnectError> {
        let name = ActionName::ROOT;
        let action = run.action(&name).ok_or_else(|| unknown(run, &name))?;
        Ok(Found { run: run.clone(), name, action })
    }
}

impl Api {
    /// The action with this id.
    pub(super) fn find(&self, id: Option<&ActionIdentifier>) -> Result<Found, ConnectError> {
        let (run, name) = ids::action_id(id.ok_or(Invalid::Missing("action_id"))?)?;
        let run = self.control.run(&run)?;
        let action = run.action(&name).ok_or_else(|| unknown(&run, &name))?;
        Ok(Found { run, name, action })
    }

    /// What an action was made from.
    pub(super) fn definition(&self, action: &Action) -> Result<Option<Arc<Definition>>, ConnectError> {
        Ok(self.control.definition(&action.spec)?)
    }

    pub(super) async fn details(&self, found: &Found) -> Result<ActionDetails, ConnectError> {
        let definition = self.definition(&found.action)?;
        let events = found.run.events_of(&found.name).await.map_err(Error::from)?;
        let outputs = match found.action.spec.kind {
            ActionKind::Condition => found.run.payloads(&found.name).await.map_err(Error::from)?.1,
            _ => None,
        };
        let directory = layout::directory(found.run.id());
        let shown = Shown {
            run: found.run.id(),
            directory: &directory,
            name: &found.name,
            action: &found.action,
            definition: definition.as_deref(),
            firing: found.run.settings().firing.as_ref(),
        };
        let mut details = shown.details(&history::attempts(&events), outputs.as_deref());
        let waits = found.run.waits_for(&found.name);
        details.attempts.extend(waits.map(|waits| details::pending_attempt(&found.action, waits::text(&waits))));
        Ok(details)
    }

    pub(super) async fn run_details(&self, run: RunHandle) -> Result<RunDetails, ConnectError> {
        let mut run_spec = options::decode(&self.control.sent_options(&run)?)?;
        run_spec.run_start_time = times::timestamp(run.start_time()).into();
        if let Some(relation) = run.settings().relation.as_ref() {
            run_spec.relation = relation::to_message(&run.id().scope(), relation).into();
        }
        let action = self.details(&Found::root(&run)?).await?;
        Ok(RunDetails { run_spec: run_spec.into(), action: action.into(), ..RunDetails::default() })
    }

    /// An action as lists show it.
    pub(super) fn listed(
        &self,
        of: &RunHandle,
        name: &ActionName,
        action: &Action,
    ) -> Result<WireAction, ConnectError> {
        let definition = self.definition(action)?;
        let (run, directory) = (of.id(), layout::directory(of.id()));
        let firing = of.settings().firing.as_ref();
        Ok(Shown { run, directory: &directory, name, action, definition: definition.as_deref(), firing }.action())
    }
}

fn unknown(run: &RunHandle, name: &ActionName) -> ConnectError {
    ConnectError::not_found(format!("action `{name}` is not known to run `{}`", run.id().name))
}
