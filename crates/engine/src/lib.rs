//! The loop around the rules: load, decide, commit, act.
//!
//! An [`Engine`] owns a journal and the runs of this process. A command is decided in memory (`spanwise-core`), its events
//! are committed in groups (`journal.rs`), and whoever waits for an action drives it ([`RunHandle::drive`]): the driver asks the
//! rules what comes next ([`spanwise_core::Run::next`]), does it, and asks again. A restart does the same from the stored events, so live running
//! and recovery are one path.

mod accept;
mod artifacts;
mod begun;
mod blocking;
mod cache;
mod calls;
mod catalog;
mod cell;
mod clock;
mod drive;
mod dropped_calls;
mod engine;
mod error;
mod executor;
mod export;
mod journal;
mod notifications;
mod pools;
mod random;
mod recovery;
mod registry;
mod reservations;
mod run;
mod run_feed;
mod runs;
mod scope;
mod settings;
mod unreadable;
mod waiting;

pub use accept::NewRun;
pub use calls::CallToken;
pub use cell::{ActionFeed, ChildFeed, Watch as ActionWatch};
pub use clock::Clock;
pub use drive::Call;
pub use dropped_calls::{Caller, DroppedCalls, Fate};
pub use engine::{Engine, EngineConfig, Storage};
pub use error::Error;
pub use executor::{Attempt, Executor, Report};
pub use export::{Export, ExportError, ExportLimits, LifecycleExporter};
pub use notifications::{Delivery, Failed, Notifications, Notifier, RunEnd, Undelivered};
pub use random::random_bits;
pub use run::{NewAction, NewReport, NewStep, Outcome, RunHandle, StepRecord};
pub use run_feed::{RunFeed, TooSlow};
pub use scope::AttemptScope;
pub use settings::RunSettings;
pub use spanwise_core::admission::{Limits, QueueLimits, ServerLimits};
pub use spanwise_core::{ActionView, Fault, NotificationLimits, Relation, RunOptions, Scope};
pub use spanwise_store::{
    AppRow, ArtifactGroup, ArtifactKey, ArtifactQuery, ArtifactRow, ArtifactSource, Definition, Durability,
    ExportState, NewArtifact, NotificationRow, NotificationState, Payloads, ProjectRow, PrunedRun, Retention, RunKey,
    RunQuery, RunRow, SettingsRow, TaskQuery, TaskRow, TriggerQuery, TriggerRow,
};
pub use waiting::{Busy, OutsideWait, ShortPool, WaitsFor};
