//! The rules of Spanwise, pure.
//!
//! What a run, an action and an attempt may do next is decided here and nowhere else. Nothing in this crate reads a clock, a
//! setting or a file, and nothing waits: time, ids and limits are arguments, so the same commands always give the same events.
//!
//! | word | form | meaning |
//! |---|---|---|
//! | [`Command`] | imperative | a wish, may be refused with a [`Rejection`] |
//! | [`Event`] | past tense | a fact, stored, never edited |
//! | [`Run`], [`State`] | noun, participle | the fold of the events |
//! | [`Next`] | order | what the driver of an action does now |

mod action;
pub mod admission;
pub mod app;
pub mod artifact;
pub mod context;
mod defaults;
mod durability;
mod event;
mod failure;
pub mod history;
mod id;
pub mod layout;
pub mod lifecycle;
mod live;
pub mod notification;
mod options;
mod phase;
mod policy;
mod project;
pub mod quantity;
mod relation;
mod retention;
mod run;
pub mod schedule;
pub mod settings;
pub mod text;
mod times;
pub mod trace;
pub mod tracked;
pub mod trigger;
mod view;

pub use action::{Action, End, State};
pub use context::ContextError;
pub use defaults::RunDefaults;
pub use durability::Durability;
pub use event::{ActionKind, ActionSpec, CachePolicy, Event, Fact, Lookup, Source, StepOutcome, Wait, Wake};
pub use failure::{Failure, FailureKind, code};
pub use id::{
    ActionName, AttemptNo, DEFAULT_DOMAIN, DEFAULT_ORG, DEFAULT_PROJECT, InvalidName, RunId, RunName, Scope, TaskName,
    Timestamp,
};
pub use live::{Driver, Ended, Fate, HeldBy, LiveRun, News, RunPools};
pub use notification::{Fault, NotificationLimits};
pub use options::{CacheOptions, RunOptions};
pub use phase::Phase;
pub use policy::{Backoff, InvalidPolicy, RetryPolicy, Timeouts};
pub use project::Project;
pub use relation::Relation;
pub use retention::Retention;
pub use run::{
    Command, DriverFacts, JournalFacts, Next, ProcessFacts, Rejection, Run, RunLimits, SYSTEM_FAILURE_BUDGET,
};
pub use times::Times;
pub use view::ActionView;
