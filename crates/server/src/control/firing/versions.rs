//! What triggers do that wait for versions of an artifact.

use spanwise_core::artifact::{ArtifactName, OnArtifact};
use spanwise_core::trigger::{FiringRules, Overlap, VersionFacts, VersionStep, next_version};
use spanwise_engine::{ArtifactQuery, ArtifactRow, TriggerRow};

use super::{Done, Error, Fire, Scheduler, later};

impl Scheduler {
    /// Decides about the next version that nothing is decided about.
    pub(super) async fn step_version(
        &self,
        row: &TriggerRow,
        on: &OnArtifact,
        rules: FiringRules,
    ) -> Result<Done, Error> {
        let engine = &self.plane.inner.engine;
        let is_limited = rules.overlap != Overlap::Allow;
        if is_limited {
            // Before it is looked whether one goes on: its end may come in between.
            self.plane.inner.timer.awaits(&row.id);
        }
        let is_running = is_limited && self.plane.is_running(&row.id)?;
        let (since, settled) = (row.after_artifact, engine.settled_version(&row.id)?);
        let facts = VersionFacts { since, settled, is_running };
        let name = ArtifactName { scope: row.id.scope.clone(), name: on.name.clone() };
        let query = ArtifactQuery { after: Some(facts.decided()), limit: 1, ..ArtifactQuery::of(&name) };
        let next = engine.artifacts(&query)?.into_iter().next();
        let seen = next.as_ref().map(|row| (row.key, row.artifact.id.version.as_str(), &row.artifact.partition));
        let (settles, fires) = match next_version(on, rules, &facts, seen) {
            // A version says so when it comes, and a run when it ends.
            VersionStep::Wait | VersionStep::AwaitEnd => return Ok(Done::Waits(None)),
            VersionStep::Pass(key) => (key, false),
            VersionStep::LeaveOut(key) => {
                let version = next.as_ref().map(|row| row.artifact.id.version.as_str());
                tracing::warn!(trigger = %row.id, version, "a version is left out: a run of the trigger goes on");
                (key, false)
            }
            VersionStep::Fire(key) => (key, true),
        };
        if let Some(version) = next.filter(|_| fires)
            && let Some(stopped) = self.fire_version(row, version).await?
        {
            return Ok(stopped);
        }
        engine.settle_version(&row.id, settles)?;
        Ok(Done::Went)
    }

    /// Creates the run of a version. What is to be done instead of settling it, if it is not settled by that.
    async fn fire_version(&self, row: &TriggerRow, version: ArtifactRow) -> Result<Option<Done>, Error> {
        let current = self.plane.trigger_revisions(&row.id, 0, 1)?.into_iter().next();
        if current.is_none_or(|current| current.revision != row.revision) {
            return Ok(Some(Done::Went));
        }
        let of = spanwise_wire::artifact::shown_version(&version.artifact.id);
        let fire = Fire { version: Some(version), ..Fire::default() };
        Ok((!self.create(row, fire, &of).await).then(later))
    }
}
