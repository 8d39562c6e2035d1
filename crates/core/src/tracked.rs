//! Tracked runs: their programs run elsewhere and report how they stand (semantics S16).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AttemptNo, Failure, Phase, Timestamp};

/// A run whose program is taken for lost may report again within this time. After it the loss is final.
pub const TAKEN_UP_WITHIN: Duration = Duration::from_hours(7 * 24);

/// How long a root that has failed may wait for its next attempt, beside the pause that its program makes before it.
pub const NEXT_ATTEMPT_WITHIN: Duration = Duration::from_secs(60);

/// The highest number of an attempt that can be reported.
pub const MOST_ATTEMPTS: u32 = 10_000;

/// What is fixed about an action of a tracked run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracked {
    /// Of a root: after so many seconds without a report about the run, its program is taken for lost. None or 0: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_seconds: Option<u64>,
    /// Its definition does not say how often it is tried again: a failure may always be followed by another attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_retries: bool,
}

impl Tracked {
    /// After which time without a report its program is taken for lost.
    pub fn silence(&self) -> Option<Duration> {
        self.silence_seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }
}

/// What the program's own cache did for an action, in Flyte's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheReport {
    /// It was not used.
    #[default]
    Disabled,
    /// It had nothing.
    Miss,
    /// It had the outputs.
    Hit,
    /// It had nothing, and has the outputs now.
    Populated,
    /// It could not be read.
    LookupFailure,
    /// It could not be written.
    PutFailure,
    /// It was passed over.
    Skipped,
    /// It had outputs that were removed.
    Evicted,
}

impl CacheReport {
    /// Every one, in the order of Flyte's numbers.
    pub const ALL: [CacheReport; 8] = [
        CacheReport::Disabled,
        CacheReport::Miss,
        CacheReport::Hit,
        CacheReport::Populated,
        CacheReport::LookupFailure,
        CacheReport::PutFailure,
        CacheReport::Skipped,
        CacheReport::Evicted,
    ];

    /// The word for it in `spanwise.cache.status`; none where the cache was not used.
    pub fn word(self) -> Option<&'static str> {
        Some(match self {
            CacheReport::Disabled => return None,
            CacheReport::Miss | CacheReport::Populated => "miss",
            CacheReport::Hit => "hit",
            CacheReport::LookupFailure => "lookup failure",
            CacheReport::PutFailure => "put failure",
            CacheReport::Skipped => "overwrite",
            CacheReport::Evicted => "evicted",
        })
    }

    fn is_disabled(&self) -> bool {
        *self == CacheReport::Disabled
    }
}

/// What is recorded of a report beside the facts that follow from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// The attempt.
    pub attempt: AttemptNo,
    /// The number that the program has given the report, within the attempt.
    pub version: u32,
    /// When it came in.
    pub received_at: Timestamp,
    /// What the program's cache did.
    #[serde(default, skip_serializing_if = "CacheReport::is_disabled")]
    pub cache: CacheReport,
    /// Where the program has put the outputs, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_uri: Option<String>,
    /// Where the program has put the report for people, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_uri: Option<String>,
}

/// How an action stands, as its program says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The attempt.
    pub attempt: AttemptNo,
    /// The number of the report within the attempt: one that is not higher than that of an earlier report says nothing new.
    pub version: u32,
    /// When it became so, by the program's clock.
    pub at: Timestamp,
    /// When the action began, by the same clock, if it is said.
    pub began: Option<Timestamp>,
    /// How it stands.
    pub phase: ReportedPhase,
    /// What the program's cache did.
    pub cache: CacheReport,
    /// Where the outputs are, if it is said.
    pub output_uri: Option<String>,
    /// Where the report for people is, if it is said.
    pub report_uri: Option<String>,
}

/// The phases that can be reported.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportedPhase {
    /// It waits for its next attempt.
    Queued,
    /// The same, for want of room.
    WaitingForResources,
    /// The attempt is being started.
    Initializing,
    /// The attempt runs.
    Running,
    /// The attempt has delivered outputs.
    Succeeded,
    /// The attempt has failed. Whether another one follows is not said.
    Failed(Failure),
    /// The action is over because of a timeout.
    TimedOut(Failure),
    /// The action was ended on request.
    Aborted {
        /// Why.
        reason: String,
    },
}

impl ReportedPhase {
    /// The phase to show.
    pub fn phase(&self) -> Phase {
        match self {
            ReportedPhase::Queued => Phase::Queued,
            ReportedPhase::WaitingForResources => Phase::WaitingForResources,
            ReportedPhase::Initializing => Phase::Initializing,
            ReportedPhase::Running => Phase::Running,
            ReportedPhase::Succeeded => Phase::Succeeded,
            ReportedPhase::Failed(_) => Phase::Failed,
            ReportedPhase::TimedOut(_) => Phase::TimedOut,
            ReportedPhase::Aborted { .. } => Phase::Aborted,
        }
    }
}
