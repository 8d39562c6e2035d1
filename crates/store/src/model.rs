//! What is stored, as plain data.

use std::collections::BTreeMap;

use bytes::Bytes;
use spanwise_core::artifact::ArtifactKey;
use spanwise_core::trace::TraceParent;
use spanwise_core::trigger::{TriggerChange, TriggerId};
use spanwise_core::{ActionName, AttemptNo, Event, Phase, RunId, Scope, TaskName, Timestamp};

use crate::ActionRow;

mod artifacts;

pub use artifacts::{ArtifactGroup, ArtifactQuery, ArtifactRow, ArtifactSource, NewArtifact};

/// The number of a run in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey(pub i64);

/// A run, as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its full name.
    pub id: RunId,
    /// The task of its root action.
    pub task: TaskName,
    /// The phase of its root action.
    pub phase: Phase,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its root came to its end.
    pub ended_at: Option<Timestamp>,
    /// Free labels, by which lists can be filtered.
    pub labels: BTreeMap<String, String>,
    /// The digest of what the run was created with, where a remote client sent it: one of [`Append::definitions`].
    pub definition: Option<String>,
    /// The version of the root's task; empty where it has none.
    pub task_version: String,
    /// The trigger that has fired it, one of its task's; none if it was started otherwise.
    pub fired_by: Option<String>,
    /// True if its program runs elsewhere and reports how it stands.
    pub tracked: bool,
    /// What else the engine needs to run it again, as JSON of the engine's own making.
    pub settings: String,
    /// How far its lifecycle spans have been exported; none if its lifecycle is not traced.
    pub export: Option<ExportState>,
    /// Why the run cannot be read, if it cannot; then the rest is what can be read of its row.
    pub unreadable: Option<String>,
}

/// The values of an action, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    /// What it was given.
    pub inputs: Option<Bytes>,
    /// What it delivered.
    pub outputs: Option<Bytes>,
}

impl Payloads {
    /// Takes over the values that `new` has; keeps the others.
    pub fn take_new(&mut self, new: Payloads) {
        self.inputs = new.inputs.or(self.inputs.take());
        self.outputs = new.outputs.or(self.outputs.take());
    }
}

/// Events of one run that belong together, and what follows from them.
#[derive(Clone, Debug)]
pub struct Append {
    /// The run.
    pub run: RunKey,
    /// The number of the first event; the others follow without a gap.
    pub first_seq: u64,
    /// What happened.
    pub events: Vec<Event>,
    /// The actions it happened to, as they are now, with values that are new.
    pub actions: Vec<(ActionRow, Payloads)>,
    /// The run's phase, if it changed.
    pub run_phase: Option<(Phase, Option<Timestamp>)>,
    /// The end in `run_phase` may still be taken back: such a run counts as unfinished, and no pruning deletes it.
    pub in_doubt: bool,
    /// What the run is made from from now on: kept as long as the run is, and stored if it is not there yet.
    pub definitions: Vec<Definition>,
    /// With the first events of a run: who is to be notified of its end, with the numbers of the rules.
    pub receivers: Vec<(u32, String)>,
    /// With the first events of a run: the versions of artifacts that it was given.
    pub given: Vec<ArtifactKey>,
    /// Versions of artifacts that come to be by these events. One that is there already stays as it is.
    pub artifacts: Vec<NewArtifact>,
}

/// What runs and actions are made from, stored once for all that share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name of the body, made of it: two bodies never have one digest.
    pub digest: String,
    /// The bytes, which the store does not look into.
    pub body: Bytes,
}

/// A run with its events.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// The run.
    pub row: RunRow,
    /// Its events, in order, from number 0.
    pub events: Vec<Event>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Only those of this project, in any org.
    pub project: Option<String>,
    /// Only those of this domain.
    pub domain: Option<String>,
    /// Only those of this task.
    pub task: Option<String>,
    /// Only those whose task has this version.
    pub task_version: Option<String>,
    /// Only those that a trigger of this name has fired.
    pub fired_by: Option<String>,
    /// Only those whose programs run elsewhere.
    pub only_tracked: bool,
    /// Only these; none means any.
    pub keys: Vec<RunKey>,
    /// Only those of this organisation.
    pub org: Option<String>,
    /// Only those that are not at their end.
    pub only_live: bool,
    /// Only those in one of these phases; none means any. PAUSED is never the phase of a run: it stands for those in which a
    /// condition waits for its signal.
    pub phases: Vec<Phase>,
    /// Only those that carry these labels, with this value or with any.
    pub labels: Vec<(String, Option<String>)>,
    /// Only those accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Only those accepted before this time.
    pub until: Option<Timestamp>,
    /// Only those whose root has changed at this time or later.
    pub updated_since: Option<Timestamp>,
    /// Only those whose root has not changed at this time or later.
    pub updated_until: Option<Timestamp>,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
    /// Only those that follow this one in the order asked for.
    pub after: Option<RunKey>,
    /// At most this many.
    pub limit: usize,
}

impl RunQuery {
    /// The newest runs.
    pub fn newest(limit: usize) -> RunQuery {
        RunQuery { limit, ..RunQuery::default() }
    }

    /// The same, of one project and domain.
    #[must_use]
    pub fn within(self, scope: Scope) -> RunQuery {
        RunQuery { project: Some(scope.project), domain: Some(scope.domain), ..self }
    }
}

/// A deployed task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Where it belongs.
    pub scope: Scope,
    /// Its full name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its definition.
    pub definition: String,
    /// When it was deployed.
    pub deployed_at: Timestamp,
}

/// So many revisions of an app are kept, the newest ones.
pub const REVISIONS_KEPT: u64 = 100;

/// An app in one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRow {
    /// Where it belongs.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// Which revision this is, counted from 1.
    pub revision: u64,
    /// Its definition, as it was sent.
    pub body: Bytes,
    /// Why it was changed, as whoever changed it says; empty if nothing was said.
    pub reason: String,
    /// When the app was created.
    pub created_at: Timestamp,
    /// When it was changed to this revision.
    pub changed_at: Timestamp,
}

/// Which deployed tasks to list, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only those of this project and domain.
    pub scope: Option<Scope>,
    /// Only the one of this name, in all its versions; without a name each task once, in its newest version.
    pub name: Option<String>,
    /// Only those with this in their names.
    pub part: Option<String>,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
    /// How many to leave out before the first.
    pub offset: usize,
    /// At most this many.
    pub limit: usize,
}

/// A revision of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerRow {
    /// The trigger.
    pub id: TriggerId,
    /// The number of the revision, from 1 on.
    pub revision: u64,
    /// What made it.
    pub change: TriggerChange,
    /// True if the trigger fires by itself.
    pub active: bool,
    /// When this revision was made.
    pub changed_at: Timestamp,
    /// When the trigger was deployed last.
    pub deployed_at: Timestamp,
    /// The span of the call that deployed it, if that was traced.
    pub deployed_by: Option<TraceParent>,
    /// The version of the task that it starts.
    pub task_version: String,
    /// The digest of what it is made from.
    pub definition: String,
    /// From when on its slots are its own, and what a rate without a start counts from.
    pub since: Timestamp,
    /// Everything up to this slot has been decided; no matter of the revision, and not written with one.
    pub settled: Option<Timestamp>,
    /// The last version of any artifact that there was when it was deployed or activated: what is older is not its own.
    pub after_artifact: ArtifactKey,
}

/// Which triggers to list, in the revisions that count, those that changed last first. Deleted ones are in no list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerQuery {
    /// Only those of this project and domain.
    pub scope: Option<Scope>,
    /// Only those of this task.
    pub task: Option<String>,
    /// Only those that start this version of their task.
    pub task_version: Option<String>,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only those that fire by themselves.
    pub only_active: bool,
    /// How many to leave out before the first.
    pub offset: usize,
    /// At most this many.
    pub limit: usize,
}

/// Outputs that later actions with the same key may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedOutputs {
    /// The run that computed them.
    pub run: String,
    /// Where it belongs; none if they were stored before this was noted.
    pub scope: Option<Scope>,
    /// The action that computed them.
    pub action: ActionName,
    /// Its attempt that computed them.
    pub attempt: AttemptNo,
    /// The outputs.
    pub outputs: Bytes,
    /// When they were stored.
    pub stored_at: Timestamp,
    /// The span of that attempt, if it was traced.
    pub producer: Option<TraceParent>,
}

/// What has become of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationState {
    /// The run has not ended, or its receiver does not have it yet.
    Waiting,
    /// The receiver has said that it has it.
    Delivered,
    /// It was tried for too long, or cannot be made.
    GivenUp,
    /// The run has ended in a phase that is not asked for.
    Unwanted,
}

/// A notification of the end of a run: one for each rule of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRow {
    /// The run.
    pub run: RunKey,
    /// The number of the rule of the run that it follows.
    pub rule: u32,
    /// Whom it is for, as people may read it.
    pub receiver: String,
    /// What has become of it.
    pub state: NotificationState,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next, or was settled; none until the run has ended.
    pub at: Option<Timestamp>,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// Which notifications to send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueQuery {
    /// The time.
    pub now: Timestamp,
    /// What is due later than this is due now: the clock was moved back since.
    pub latest: Timestamp,
    /// Receivers that take none at the moment.
    pub resting: Vec<String>,
    /// At most this many.
    pub limit: usize,
}

/// Notifications that are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Of each receiver that does not rest, the one that has been due for longest.
    pub rows: Vec<NotificationRow>,
    /// When the next one will be due, of receivers that do not rest and for whom none is due now.
    pub next: Option<Timestamp>,
}

/// How far the lifecycle spans of a run have been exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportState {
    /// The number of the first event whose spans were not exported yet.
    pub next_seq: u64,
    /// Spans that a receiver has acknowledged.
    pub exported: u64,
    /// Spans that were given up.
    pub dropped: u64,
    /// True once nothing is left to be exported.
    pub done: bool,
}

/// What a pruning deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The runs that are gone.
    pub runs: Vec<PrunedRun>,
}

/// A run that a pruning deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedRun {
    /// Its key.
    pub key: RunKey,
    /// Its name; none if it could not be read.
    pub id: Option<RunId>,
}
