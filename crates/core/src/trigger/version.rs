//! What a trigger does that waits for versions of an artifact: level-triggered, as one that follows a schedule.

use super::{FiringRules, Overlap};
use crate::artifact::{ArtifactKey, OnArtifact, Partition};

/// What is known of who waits for versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionFacts {
    /// The last version that there was when it was deployed or activated: what is older is not its own.
    pub since: ArtifactKey,
    /// Every version up to this one has been decided.
    pub settled: Option<ArtifactKey>,
    /// True while a run that it has fired goes on. Only asked for where it matters: see [`Overlap`].
    pub is_running: bool,
}

impl VersionFacts {
    /// The last version that nothing is to be decided about.
    pub fn decided(&self) -> ArtifactKey {
        self.settled.map_or(self.since, |settled| settled.max(self.since))
    }
}

/// What becomes of the next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionStep {
    /// Create its run, and settle it.
    Fire(ArtifactKey),
    /// Note that it is decided: it is not waited for.
    Pass(ArtifactKey),
    /// Note that it is decided: a run of the trigger goes on.
    LeaveOut(ArtifactKey),
    /// Wait for the run that goes on.
    AwaitEnd,
    /// Wait for the next version.
    Wait,
}

/// What the scheduler of a trigger does about the next version that there is behind those that are decided. Each version is decided once:
/// one that came while nobody was there is never missed.
pub fn next_version(
    on: &OnArtifact,
    rules: FiringRules,
    facts: &VersionFacts,
    next: Option<(ArtifactKey, &str, &Partition)>,
) -> VersionStep {
    let Some((key, version, partition)) = next.filter(|(key, ..)| *key > facts.decided()) else {
        return VersionStep::Wait;
    };
    match rules.overlap {
        _ if !on.wants(version, partition) => VersionStep::Pass(key),
        Overlap::Skip if facts.is_running => VersionStep::LeaveOut(key),
        Overlap::Queue if facts.is_running => VersionStep::AwaitEnd,
        _ => VersionStep::Fire(key),
    }
}

#[cfg(test)]
mod tests;
